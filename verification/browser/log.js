/**
 * Inclusion of a licence in the transparency log (C2SP tlog-proof).
 *
 * A proof holds an index, hashes and a checkpoint, and as `extra` the entry. Nothing in it is believed but what the
 * log's key and enough witnesses of the trust list signed.
 */

import { concat, equal, sha256, toUtf8 } from "./bytes.js";
import { canonical, parse } from "./canonical.js";
import { base64, checkCheckpoint, exact, hash, textOf } from "./notes.js";
import { Refused } from "./refusals.js";

export const MAX_PROOF = 1 << 20; // bytes
const FIRST = "c2sp.org/tlog-proof@v1";
const WIDTH = 256; // entries of a bundle, hashes of a tile
const MOST_BUNDLES = 200; // of the newest entries that a page looks through
const DECIMAL = /^(0|[1-9][0-9]{0,14})$/;

/** Return whether bytes are a proof of a log rather than a licence. */
export function isProof(bytes) {
  return equal(bytes.subarray(0, FIRST.length), toUtf8(FIRST));
}

/**
 * Verify that a licence stands in the log: `{index, size, witnesses}`; Refused says why it does not.
 *
 * `licence`: `number`, `version`, `identifier`, `credential` and `object` (SHA-256 in hex, `object` null where there is
 * no PDF). With `before` (Unix seconds) enough witnesses must have signed before that moment.
 */
export async function checkLogged(proof, licence, trust, before) {
  const read = readProof(proof);
  const entry = entryOf(read.extra, licence);
  const head = await checkCheckpoint(read.checkpoint, trust);
  const root = await rootOf(await leafHash(entry), read.index, head.size, read.path);
  if (!root || !equal(root, head.root)) throw new Refused("log-root");
  if (before !== null && !signedBefore(head.cosigned, Math.max(trust.log.needed, 1), before)) {
    throw new Refused("log-late", { since: before });
  }
  return { index: read.index, size: head.size, witnesses: head.cosigned.length };
}

function signedBefore(cosigned, needed, before) {
  const times = cosigned.map(({ time }) => time).sort((one, other) => one - other);
  return times.length >= needed && times[needed - 1] < before;
}

function readProof(bytes) {
  const text = bytes.length <= MAX_PROOF ? textOf(bytes) : "";
  const end = text.indexOf("\n\n");
  const lines = text.slice(0, end).split("\n");
  if (end < 0 || lines.shift() !== FIRST) throw new Refused("log-form");
  const extra = lines[0]?.startsWith("extra ") ? exact(lines.shift().slice(6)) : null;
  const index = lines.shift()?.replace(/^index /, "") ?? "";
  if (!DECIMAL.test(index) || lines.length > 63) throw new Refused("log-form");
  return { index: Number(index), path: lines.map(hash), extra, checkpoint: text.slice(end + 2) };
}

function entryOf(extra, licence) {
  const { number, version, identifier, credential, object } = licence;
  const named = { type: "licence", number, version: Number(version), identifier, credential };
  if (extra === null) {
    if (object === null) throw new Refused("log-entry");
    return toUtf8(canonical({ ...named, object }));
  }
  const said = parse(extra);
  const own = { ...named, object: said?.object };
  const good = typeof own.object === "string" && (object === null || object === own.object);
  if (!good || !equal(toUtf8(canonical(own)), extra)) throw new Refused("log-other");
  return extra;
}

// The tree (RFC 6962)

async function leafHash(entry) {
  return sha256(concat(Uint8Array.of(0), entry));
}

async function nodeHash(left, right) {
  return sha256(concat(Uint8Array.of(1), left, right));
}

/** Return the root to which an inclusion proof leads (RFC 9162, 2.1.3.2), or null where its length is wrong. */
async function rootOf(leaf, index, size, path) {
  let [place, last, found] = [index, size - 1, leaf];
  if (index >= size) return null;
  for (const sibling of path) {
    if (last === 0) return null;
    if (place % 2 || place === last) {
      found = await nodeHash(sibling, found);
      while (place && place % 2 === 0) [place, last] = [place / 2, Math.floor(last / 2)];
    } else {
      found = await nodeHash(found, sibling);
    }
    [place, last] = [Math.floor(place / 2), Math.floor(last / 2)];
  }
  return last === 0 ? found : null;
}

/**
 * Make the proof of a licence from the files of a log, looked for from the newest entry back; null without it.
 *
 * `get` is `async (path) => bytes` of a file below the log's address. Nobody learns which licence is meant: whole
 * bundles are read. Refused where the licence may stand further back than a page looks.
 */
export async function findProof(get, credential) {
  const checkpoint = await get("checkpoint");
  const size = Number(textOf(checkpoint).split("\n")[1]);
  const last = Math.ceil(size / WIDTH) - 1;
  if (!Number.isSafeInteger(size)) throw new Refused("log-form");
  for (let number = last; number >= 0; number--) {
    if (last - number >= MOST_BUNDLES) throw new Refused("log-far");
    const entries = unpack(await get(tilePath("entries", number, size)));
    const at = entries.findIndex((entry) => parse(entry)?.credential === credential);
    if (at >= 0) return written(get, size, number * WIDTH + at, entries[at], checkpoint);
  }
  return null;
}

async function written(get, size, index, entry, checkpoint) {
  const tiles = new Map();
  const path = [];
  for (const span of spansOf(index, size)) path.push(await hashOf(span, (level, at) => subtree(get, tiles, size, level, at)));
  const lines = [FIRST, `extra ${base64(entry)}`, `index ${index}`, ...path.map(base64), "", ""];
  return concat(toUtf8(lines.join("\n")), checkpoint);
}

/** Return the spans whose hashes make up an inclusion proof (RFC 6962, 2.1.1). */
function spansOf(index, size) {
  const spans = [];
  let [low, high] = [0, size];
  while (high - low > 1) {
    const middle = low + split(high - low);
    spans.push(index < middle ? [middle, high] : [low, middle]);
    if (index < middle) high = middle;
    else low = middle;
  }
  return spans.reverse();
}

function split(count) {
  let half = 1;
  while (2 * half < count) half *= 2;
  return half;
}

async function hashOf([low, high], read) {
  const count = high - low;
  const half = split(count);
  if (count === 1 || count === 2 * half) return read(Math.round(Math.log2(count)), low / count);
  const middle = low + half;
  return nodeHash(await hashOf([low, middle], read), await hashOf([middle, high], read));
}

async function subtree(get, tiles, size, level, index) {
  const [above, within] = [Math.floor(level / 8), level % 8];
  const first = index * 2 ** within;
  const path = tilePath(above, Math.floor(first / WIDTH), Math.floor(size / 256 ** above));
  if (!tiles.has(path)) tiles.set(path, await get(path));
  const at = 32 * (first % WIDTH);
  let hashes = Array.from({ length: 2 ** within }, (_, n) => tiles.get(path).subarray(at + 32 * n, at + 32 * n + 32));
  while (hashes.length > 1) {
    const pairs = Array.from({ length: hashes.length / 2 }, (_, n) => nodeHash(hashes[2 * n], hashes[2 * n + 1]));
    hashes = await Promise.all(pairs);
  }
  return hashes[0];
}

function tilePath(level, number, count) {
  const width = Math.min(WIDTH, count - number * WIDTH);
  const digits = String(number).padStart(Math.ceil(String(number).length / 3) * 3, "0");
  const groups = digits.match(/.{3}/g);
  const name = groups.map((group, n) => (n < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${level}/${name}${width < WIDTH ? `.p/${width}` : ""}`;
}

function unpack(bundle) {
  const entries = [];
  for (let at = 0; at < bundle.length; ) {
    const end = at + 2 + ((bundle[at] << 8) | bundle[at + 1]);
    if (!(end <= bundle.length)) throw new Refused("log-form");
    entries.push(bundle.subarray(at + 2, end));
    at = end;
  }
  return entries;
}
