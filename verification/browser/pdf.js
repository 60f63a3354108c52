/**
 * The one form of a licence's PDF: what the seal covers, and the files attached to it.
 *
 * `readLayout` looks at nothing but the signature's place at the end of the file: it must cover everything else.
 * Only when the seal is verified does anything follow the file's own cross-reference table; the file is never
 * searched, since a holder's texts stand in it and may look like anything.
 */

import { concat, fromHex, indexOf, lastIndexOf, latin1, sha256 } from "./bytes.js";
import { NotJudged, Refused } from "./refusals.js";

export const MAX_PDF = 16 << 20; // bytes
const MAX_OBJECTS = 50_000;
const MAX_ATTACHMENT = 2 << 20;
const HEX_SIZE = 4096; // digits of /Contents
const SIGNATURE = /^\/Contents<([0-9a-f]{4096})>\/ByteRange\[0 ([1-9]\d{0,8}) ([1-9]\d{0,8}) ([1-9]\d{0,8})\] *>>\nendobj\n/;
const END = /^trailer\n<<\/Size (\d{1,6})\/Root (\d{1,6}) 0 R\/Info \d{1,6} 0 R\/ID\[<[0-9a-f]{32}><[0-9a-f]{32}>\]>>\nstartxref\n(\d{1,9})\n%%EOF\n$/;
const NAMES = /\/Names<<\/EmbeddedFiles<<\/Names\[((?:<[0-9a-f]+> ?\d{1,6} 0 R ?)*)\]>>>>/;
const NAME = /<([0-9a-f]+)> ?(\d{1,6}) 0 R ?/g;
const SPECIFICATION = /^<<\/Type\/Filespec\/F<[0-9a-f]+>[^()]*\/EF<<\/F (\d{1,6}) 0 R\/UF \1 0 R>>>>\nendobj\n/;
const FILE = /^<<\/Type\/EmbeddedFile[^\n]*?\/Length (\d{1,8})>>\nstream\n/;

/**
 * Return `{cms, digest}`: the CMS in exact DER, and the SHA-256 of all the rest.
 *
 * Refused unless the seal covers the whole file in the one form. NotJudged for a PDF without any seal: only drawing it
 * would tell a scan, whose QR counts, from a changed copy, whose QR does not.
 */
export async function readLayout(bytes) {
  if (bytes.length > MAX_PDF) throw new NotJudged("pdf-size", { most: MAX_PDF >> 20 });
  if (indexOf(bytes, "/ByteRange") < 0) throw new NotJudged("pdf-unsealed");
  const head = latin1(bytes.subarray(0, 9));
  const tail = latin1(bytes.subarray(Math.max(0, bytes.length - 6)));
  if (head !== "%PDF-1.7\n" || tail !== "%%EOF\n") throw new Refused("pdf-ends");
  const place = lastIndexOf(bytes, "/Contents<");
  const found = place > 0 ? SIGNATURE.exec(latin1(bytes.subarray(place, place + HEX_SIZE + 200))) : null;
  if (!found) throw new Refused("pdf-seal");
  const [first, second, length] = found.slice(2).map(Number);
  const start = place + "/Contents<".length;
  if (first !== start - 1 || second !== start + HEX_SIZE + 1 || second + length !== bytes.length) {
    throw new Refused("pdf-cover");
  }
  const digest = await sha256(concat(bytes.subarray(0, first), bytes.subarray(second)));
  return { cms: exact(fromHex(found[1])), digest };
}

/** Return the DER in front of the zeros. */
function exact(padded) {
  const width = padded[1] & 0x7f;
  if (padded[0] !== 0x30 || !(padded[1] & 0x80) || width < 1 || width > 2) throw new Refused("pdf-cms");
  let size = 0;
  for (let n = 0; n < width; n++) size = (size << 8) | padded[2 + n];
  const end = 2 + width + size;
  if (end > padded.length || padded.subarray(end).some((byte) => byte)) throw new Refused("pdf-cms");
  return padded.subarray(0, end);
}

/** The objects of a PDF whose seal was verified, by its plain cross-reference table. */
export class Objects {
  constructor(bytes) {
    const place = lastIndexOf(bytes, "\ntrailer\n");
    const end = place > 0 ? END.exec(latin1(bytes.subarray(place + 1, place + 400))) : null;
    if (!end || bytes.length - place > 400) throw new Refused("pdf-table");
    const [size, root, start] = end.slice(1).map(Number);
    const head = `xref\n0 ${size}\n`;
    const from = start + head.length;
    const named = latin1(bytes.subarray(start, from)) === head;
    if (size > MAX_OBJECTS || !named || place + 1 - from !== 20 * size) throw new Refused("pdf-table");
    this.bytes = bytes;
    this.root = root;
    this.offsets = [];
    for (let at = from; at < place + 1; at += 20) {
      const offset = latin1(bytes.subarray(at, at + 10));
      if (!/^\d{10}$/.test(offset)) throw new Refused("pdf-table");
      this.offsets.push(Number(offset));
    }
    this.sorted = [...this.offsets].sort((one, other) => one - other);
  }

  /** Return the object's content up to where the next object begins. */
  get(number) {
    const start = number > 0 && number < this.offsets.length ? this.offsets[number] : -1;
    const head = `${number} 0 obj\n`;
    const from = start + head.length;
    if (start <= 0 || latin1(this.bytes.subarray(start, from)) !== head) throw new Refused("pdf-object", { number });
    const next = this.sorted.find((offset) => offset > start) ?? this.bytes.length;
    return this.bytes.subarray(from, next);
  }
}

/** Return a map name → bytes of the attached files; Refused for another form. */
export function attachments(objects) {
  const listed = NAMES.exec(latin1(objects.get(objects.root)));
  if (!listed) throw new Refused("pdf-attachments");
  const files = new Map();
  for (const [, name, number] of listed[1].matchAll(NAME)) files.set(nameOf(name), content(objects, Number(number)));
  return files;
}

function content(objects, number) {
  const specification = SPECIFICATION.exec(latin1(objects.get(number)));
  if (!specification) throw new Refused("pdf-attachments");
  const stream = objects.get(Number(specification[1]));
  const head = FILE.exec(latin1(stream.subarray(0, 1000)));
  const length = head ? Number(head[1]) : 0;
  if (!head || length > MAX_ATTACHMENT) throw new Refused("pdf-attachments");
  const end = head[0].length + length;
  if (latin1(stream.subarray(end, end + 18)) !== "\nendstream\nendobj\n") throw new Refused("pdf-attachments");
  return stream.subarray(head[0].length, end);
}

function nameOf(hex) {
  try {
    const bytes = fromHex(hex);
    const order = bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-16le";
    return new TextDecoder(order, { fatal: true }).decode(bytes);
  } catch {
    throw new Refused("pdf-attachments");
  }
}
