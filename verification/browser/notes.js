/**
 * Signed notes and checkpoints of the transparency log (C2SP signed-note, tlog-checkpoint, tlog-cosignature).
 *
 * Nothing in them is believed but what the log's key and enough witnesses of the trust list signed.
 */

import { concat, equal, fromBase64, fromUtf8, sha256, toHex, toUtf8 } from "./bytes.js";
import { Refused } from "./refusals.js";

const DECIMAL = /^(0|[1-9][0-9]{0,14})$/;

/** Verify a checkpoint: `{size, root, cosigned}`; Refused where the log's key or enough witnesses did not sign it. */
export async function checkCheckpoint(text, trust) {
  const end = text.lastIndexOf("\n\n");
  const [said, lines] = [text.slice(0, end + 1), text.slice(end + 2)];
  const [origin, size, root] = said.split("\n");
  if (end < 0 || !lines.endsWith("\n") || !DECIMAL.test(size ?? "")) throw new Refused("log-form");
  if (!trust.log || origin !== trust.log.origin) throw new Refused("log-origin", { origin });
  const signatures = lines.slice(0, -1).split("\n").map(signature);
  let good = false;
  for (const key of await trust.logKeys()) {
    for (const { bytes } of signatures.filter((line) => isBy(line, key))) {
      if (!(await signedBy(key, bytes, toUtf8(said)))) throw new Refused("log-signature");
      good = true;
    }
  }
  if (!good) throw new Refused("log-signature");
  const cosigned = await cosignatures(signatures, said, await Promise.all(trust.log.witnesses.map(readWitness)));
  if (cosigned.length < trust.log.needed) throw new Refused("log-witnesses", { needed: trust.log.needed });
  return { size: Number(size), root: hash(root), cosigned };
}

/** Return one `{time}` for each witness that signed: the earliest that it gave. */
async function cosignatures(signatures, said, witnesses) {
  const first = new Map(); // one key under two names is one witness
  for (const key of witnesses) {
    for (const { bytes } of signatures.filter((line) => isBy(line, key))) {
      const time = bytes.length === 72 ? Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)) : -1;
      const message = toUtf8(`cosignature/v1\ntime ${time}\n${said}`);
      if (time < 0 || !(await signedBy(key, bytes.subarray(8), message))) throw new Refused("log-signature");
      const name = toHex(key.raw);
      first.set(name, Math.min(time, first.get(name) ?? time));
    }
  }
  return [...first.values()].map((time) => ({ time }));
}

function isBy(line, key) {
  return line.name === key.name && equal(line.id, key.id);
}

function signature(line) {
  const [mark, name, value, ...more] = line.split(" ");
  if (mark !== "—" || !name || more.length) throw new Refused("log-form");
  const raw = exact(value ?? "-");
  if (raw.length < 5) throw new Refused("log-form");
  return { name, id: raw.subarray(0, 4), bytes: raw.slice(4) };
}

async function signedBy(key, raw, message) {
  try {
    const imported = await crypto.subtle.importKey("raw", key.raw, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, imported, raw, message);
  } catch (error) {
    if (error?.name === "NotSupportedError") throw new Refused("log-browser");
    return false;
  }
}

/** Return a key that signs notes: `{name, id, raw}`; `kind` is its signature type. */
export async function noteKey(name, kind, raw) {
  const id = (await sha256(concat(toUtf8(`${name}\n`), Uint8Array.of(kind), raw))).subarray(0, 4);
  return { name, id, raw };
}

/** Read a witness's key as the trust list has it; Refused where it is none. */
async function readWitness(text) {
  const [name, id, ...rest] = text.split("+");
  const material = exact(rest.join("+"));
  if (!name || material.length !== 33 || material[0] !== 4) throw new Refused("log-form");
  const key = await noteKey(name, 4, material.subarray(1));
  if (toHex(key.id) !== id) throw new Refused("log-form");
  return key;
}

// Texts

/** Return the text of UTF-8 bytes; Refused for others. */
export function textOf(bytes) {
  try {
    return fromUtf8(bytes);
  } catch {
    throw new Refused("log-form");
  }
}

/** Return a hash of 32 bytes from base64; Refused for anything else. */
export function hash(text) {
  const bytes = exact(text ?? "-");
  if (bytes.length !== 32) throw new Refused("log-form");
  return bytes;
}

/** Return the bytes of base64 in its one form with padding; Refused for anything else. */
export function exact(text) {
  try {
    const bytes = fromBase64(text);
    if (base64(bytes) === text) return bytes;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw new Refused("log-form");
}

/** Return base64 with padding. */
export function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
