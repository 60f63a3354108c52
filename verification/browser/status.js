/**
 * The status of a licence: which edition of its list was in force at a moment, and what it says.
 *
 * A source is `async (uri, at) => [{where, list, reasons}]`: bytes of editions, and of the reasons beside each or
 * null. One that cannot be verified makes the status unknown: an older one in its place would hide what changed.
 */

import { equal, inflate, sha256 } from "./bytes.js";
import { decode } from "./cbor.js";
import { readSign1, REASONS_CWT, STATUS_LIST_CWT } from "./cose.js";
import { Refused } from "./refusals.js";
import { checkKeyTime, signingKey } from "./trust.js";

export const MAX_LIST_CWT = 5 << 20; // bytes as published
export const MAX_REASONS_CWT = 64 << 20;
const MAX_LIST = 4 << 20; // bytes once inflated: 16 million places
const SUBJECT = 2;
const EXPIRES = 4;
const ISSUED_AT = 6;
const STATUS_LIST = 65533;
const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9_])?$/;
const isText = (value) => typeof value === "string";

export const VALID = 0;
export const SUSPENDED = 2;

/** Return the name of the list with this URI, or null where it is none of ours. */
export function listName(uri) {
  const name = uri.slice(uri.lastIndexOf("/status/") + "/status/".length);
  return uri.includes("/status/") && NAME.test(name) ? name : null;
}

/**
 * Return the status in place `index` of list `uri` at a moment: `{status, issuedAt, expires, reason, doubt}`.
 *
 * Refused where no edition is in force or the one that is cannot be verified: the status is unknown then.
 */
export async function findStatus(source, uri, index, at, trust) {
  const moment = Math.floor(at);
  const read = [];
  for (const candidate of await source(uri, moment)) read.push(await readEdition(candidate, trust));
  const fitting = read.filter((edition) => edition.uri === uri && edition.issuedAt <= moment);
  if (!fitting.length) throw new Refused("status-none", { uri, at: moment });
  const latest = fitting.reduce((one, other) => (later(other, one) ? other : one));
  if (moment >= latest.expires) throw new Refused("status-expired", { until: latest.expires, at: moment });
  if (index >= 4 * latest.packed.length) throw new Refused("status-place", { index: String(index) });
  const status = (latest.packed[index >> 2] >> (2 * (index & 3))) & 3;
  const found = { status, issuedAt: latest.issuedAt, expires: latest.expires, reason: null, doubt: null };
  if (status !== VALID && latest.candidate.reasons) {
    try {
      found.reason = await readReason(latest, index, trust);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      found.doubt = error; // the list alone decides; the reasons only explain
    }
  }
  return found;
}

function later(one, other) {
  return one.issuedAt > other.issuedAt || (one.issuedAt === other.issuedAt && one.edition > other.edition);
}

/** Verify an edition: `{uri, issuedAt, expires, edition, packed, candidate}`; Refused says what is wrong. */
export async function readEdition(candidate, trust) {
  const signed = readSign1(candidate.list, STATUS_LIST_CWT, MAX_LIST_CWT);
  const key = await signingKey(signed, trust, "status");
  const claims = decode(signed.payload, MAX_LIST_CWT);
  if (!(claims instanceof Map)) throw new Refused("status-claims");
  const [uri, expires, issuedAt, edition] = [SUBJECT, EXPIRES, ISSUED_AT, "edition"].map((name) => claims.get(name));
  const wholes = [expires, issuedAt, edition].every(Number.isSafeInteger);
  if (!isText(uri) || !wholes) throw new Refused("status-claims");
  if (!(0 < issuedAt && issuedAt < expires && expires < 2 ** 37)) throw new Refused("status-times");
  checkKeyTime(key, issuedAt);
  return { uri, issuedAt, expires, edition, packed: await unpack(claims.get(STATUS_LIST)), candidate };
}

async function unpack(claim) {
  const compressed = claim instanceof Map && claim.get("bits") === 2 ? claim.get("lst") : null;
  if (!(compressed instanceof Uint8Array)) throw new Refused("status-claims");
  const packed = await inflate(compressed, MAX_LIST);
  if (!packed) throw new Refused("status-zlib");
  return packed;
}

async function readReason(edition, index, trust) {
  const signed = readSign1(edition.candidate.reasons, REASONS_CWT, MAX_REASONS_CWT);
  const key = await signingKey(signed, trust, "status");
  const claims = decode(signed.payload, MAX_REASONS_CWT);
  const digest = claims instanceof Map ? claims.get("list") : null;
  const own = digest instanceof Uint8Array && equal(digest, await sha256(edition.candidate.list));
  if (!own || claims.get(SUBJECT) !== edition.uri) throw new Refused("reasons-other");
  checkKeyTime(key, edition.issuedAt);
  const reasons = claims.get("reasons");
  const entry = reasons instanceof Map ? reasons.get(index) : undefined;
  if (entry === undefined) return null;
  const good = Array.isArray(entry) && entry.length === 4 && entry.slice(0, 3).every(isText);
  if (!good || !(entry[3] === null || Number.isSafeInteger(entry[3]))) throw new Refused("reasons-form");
  return { status: entry[0], text: entry[1], date: entry[2], version: entry[3] };
}
