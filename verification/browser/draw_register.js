/** Registers of a draw from CSV (RFC 4180, UTF-8): one buffer of rows, values parted by TAB, and its digest. */

import { compare, fromUtf8, sha256, toHex } from "./bytes.js";

const [TAB, LF, CR, QUOTE, COMMA] = [9, 10, 13, 34, 44];
const BOM = [0xef, 0xbb, 0xbf];
const SHOWS_NOTHING = /[\p{Cc}\p{Cf}\p{Z}\u034F\u115F\u1160\u3164\uFFA0\uFE00-\uFE0F\u{E0100}-\u{E01EF}]/gu;
export const COLUMNS = {
  targets: ["id", "name", "division", "credit_class"],
  inspectors: ["id", "name", "department", "division", "qualifications"],
  conflicts: ["inspector_id", "target_id", "reason"],
};

/** Return the text of UTF-8 bytes; short plain ASCII, which most values are, without a decoder. */
export function textOf(bytes) {
  if (bytes.length > 63) return fromUtf8(bytes);
  for (let at = 0; at < bytes.length; at++) if (bytes[at] > 127) return fromUtf8(bytes);
  return String.fromCharCode.apply(null, bytes);
}

/** A fault of a draw's file, or a difference: a check that fails. */
export class Wrong extends Error {}

export function must(good, message) {
  if (!good) throw new Wrong(message);
}

/** A register: `columns`, `count`, and row by row its bytes. */
export class Register {
  constructor(kind, columns, buffer, starts, controls) {
    this.kind = kind;
    this.columns = columns;
    this.controls = controls; // whether a value has a control character
    this.buffer = buffer; // every row with TABs between its values and an LF at its end
    this.starts = starts;
    this.count = starts.length - 1;
  }

  /** Return the values of a row as bytes, for the columns asked for by their places. */
  values(row, places) {
    const { buffer } = this;
    const found = new Array(places.length);
    let column = 0;
    let from = this.starts[row];
    for (let at = from; ; at++) {
      const byte = buffer[at];
      if (byte > LF || byte < TAB) continue;
      const wanted = places.indexOf(column);
      if (wanted >= 0) found[wanted] = buffer.subarray(from, at);
      if (byte === LF) return found;
      from = at + 1;
      column++;
    }
  }

  /** Return a row as an object of texts. */
  row(number) {
    const values = fromUtf8(this.buffer.subarray(this.starts[number], this.starts[number + 1] - 1)).split("\t");
    return Object.fromEntries(this.columns.map((name, n) => [name, values[n]]));
  }

  /** Return what an announcement says of a register: its columns, number of rows and digest; Wrong for a bad value. */
  async summary() {
    must(!this.controls, `${this.kind}: a control character`);
    checkKeys(this);
    const sorted = new Uint8Array(this.buffer.length - this.starts[0]);
    let at = 0;
    for (const row of this.order()) {
      const line = this.buffer.subarray(this.starts[row], this.starts[row + 1]);
      sorted.set(line, at);
      at += line.length;
    }
    return { columns: this.columns, count: this.count, digest: toHex(await sha256(sorted)) };
  }

  /** Return the numbers of the rows in the byte order of their lines. */
  order() {
    const { buffer, starts } = this;
    const size = this.count;
    const skip = size ? this.common() : 0;
    const keys = new Float64Array(size);
    for (let row = 0; row < size; row++) {
      let key = 0;
      for (let n = 0, at = starts[row] + skip; n < 6; n++, at++) key = key * 256 + (at < starts[row + 1] ? buffer[at] : 0);
      keys[row] = key;
    }
    const line = (row) => buffer.subarray(starts[row], starts[row + 1]);
    return Uint32Array.from({ length: size }, (_, n) => n).sort((a, b) => keys[a] - keys[b] || compare(line(a), line(b)));
  }

  common() {
    const { buffer, starts } = this;
    const first = starts[0];
    let same = starts[1] - first;
    for (let row = 1; row < this.count && same; row++) {
      let n = 0;
      while (n < same && buffer[first + n] === buffer[starts[row] + n]) n++;
      same = n;
    }
    return same;
  }
}

/** Read a register; Wrong where it breaks a rule. `kind` is a key of COLUMNS. */
export function readRegister(bytes, kind) {
  must(bytes.length, `${kind}: the file is empty`);
  try {
    fromUtf8(bytes);
  } catch {
    throw new Wrong(`${kind}: not UTF-8; save the register as CSV in UTF-8`);
  }
  const { buffer, starts, width, controls } = rows(bytes, kind);
  must(starts.length > 1, `${kind}: no header`);
  const columns = fromUtf8(buffer.subarray(0, starts[1] - 1)).split("\t");
  must(new Set(columns).size === columns.length, `${kind}: a column stands twice`);
  const missing = COLUMNS[kind].find((name) => !columns.includes(name));
  must(missing === undefined, `${kind}: the register has no column ${missing}`);
  must(width === columns.length, `${kind}: short or long rows`);
  const own = starts.subarray(1);
  const register = new Register(kind, columns, buffer, own, controls);
  checkRows(register, kind);
  return register;
}

/** Return the rows of a CSV, its header first, as lines of TABs; blank lines do not count. */
function rows(bytes, kind) {
  const buffer = new Uint8Array(bytes.length + 1);
  const starts = [0];
  let [at, to, column, width, quoted] = [0, 0, 0, -1, false];
  if (BOM.every((byte, n) => bytes[n] === byte)) at = 3;
  const refuse = (what) => {
    throw new Wrong(`${kind}: ${what}`);
  };
  const endRow = () => {
    if (width < 0) width = column;
    else if (column !== width) refuse("short or long rows");
    column = 0;
    buffer[to++] = LF;
    starts.push(to);
  };
  let controls = false;
  const plain = (byte, next) => {
    if (!isControl(byte, next)) return byte;
    controls = true;
    return 63; // "?": a TAB or LF would part values
  };
  let begins = true; // a field begins here
  while (at < bytes.length) {
    const byte = bytes[at++];
    if (begins && byte === QUOTE) {
      for (;;) {
        if (at >= bytes.length) refuse("a quote that RFC 4180 does not allow");
        const inside = bytes[at++];
        if (inside === QUOTE) {
          if (bytes[at] !== QUOTE) break;
          at++;
        }
        buffer[to++] = plain(inside, bytes[at]);
      }
      const next = bytes[at];
      if (next !== COMMA && next !== LF && next !== CR && at < bytes.length) refuse("a quote that RFC 4180 does not allow");
      begins = false;
      quoted = true;
      continue;
    }
    if (byte === CR && bytes[at] === LF) continue;
    if (byte === LF) {
      if (begins && column === 0 && starts.at(-1) === to && !quoted) continue; // a blank line
      column++;
      endRow();
      begins = true;
      quoted = false;
    } else if (byte === COMMA) {
      column++;
      buffer[to++] = TAB;
      begins = true;
      quoted = true; // the line is not blank
    } else {
      if (byte === QUOTE) refuse("a quote that RFC 4180 does not allow");
      buffer[to++] = plain(byte, bytes[at]);
      begins = false;
    }
  }
  if (starts.at(-1) !== to || quoted) {
    column++;
    endRow();
  }
  return { buffer: buffer.subarray(0, to), starts: Uint32Array.from(starts), width, controls };
}

function isControl(byte, next) {
  return byte < 32 || byte === 127 || (byte === 0xc2 && next >= 0x80 && next <= 0x9f);
}

function keysOf(kind) {
  return kind === "conflicts" ? ["inspector_id", "target_id"] : ["id"];
}

function checkRows(register, kind) {
  const names = [...keysOf(kind), ...(kind === "conflicts" ? [] : ["division"]), ...(kind === "targets" ? ["credit_class"] : [])];
  const places = names.map((name) => register.columns.indexOf(name));
  for (let row = 0; row < register.count; row++) {
    const values = register.values(row, places);
    must(keysOf(kind).every((_, n) => values[n].length), `${kind}: an empty id`);
    if (kind === "conflicts") continue;
    must(values[1].length === 6 && values[1].every((byte) => byte >= 48 && byte <= 57), `${kind}: a division without six digits`);
    if (kind === "targets") must(/^[ABCD]?$/.test(textOf(values[2])), `${kind}: a credit class that is not A to D`);
  }
}

function checkKeys(register) {
  const { kind } = register;
  const places = keysOf(kind).map((name) => register.columns.indexOf(name));
  const seen = new Set();
  let odd = false;
  for (let row = 0; row < register.count; row++) {
    const id = register.values(row, places).map(textOf).join("\t");
    must(!seen.has(id), `${kind}: an id stands twice`);
    seen.add(id);
    odd ||= kind !== "conflicts" && /[^!-~]/.test(id);
  }
  const shown = new Set();
  for (const id of odd ? seen : []) {
    const form = id.normalize("NFKC").replace(SHOWS_NOTHING, "");
    must(!shown.has(form), `${kind}: two ids look alike`);
    shown.add(form);
  }
}
