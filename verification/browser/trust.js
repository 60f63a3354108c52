/**
 * The trust folder in one download: `/trust/bundle`, written by `verification/trust_bundle.py`.
 *
 * Nothing in it is believed but what the root signed: `trust.json` by its signature, each certificate by the
 * SHA-256 that `trust.json` names and, once it is used, by the root's signature on it.
 */

import { fromBase64, sha256, toBase64Url, toHex, toUtf8 } from "./bytes.js";
import { canonical, hasForm, isCanonical, isText, isWhole, listOf, orNull, parse } from "./canonical.js";
import { isEd25519, isFor, isP256, issuedBy, isValidFrom, keyId, readCertificate, verifies } from "./der.js";
import { seconds } from "./moments.js";
import { noteKey } from "./notes.js";
import { Refused, TrustFailed } from "./refusals.js";

const FORMAT = "zhengzhao-trust-bundle-1";
const MAX_BUNDLE = 32 << 20; // bytes: some ten thousand keys
const isTime = (value) => isText(value) && seconds(value) !== null;
const isUse = (value) => ["credential", "seal", "status", "draw", "log", "party", "supervisor"].includes(value);
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const BUNDLE = {
  certificates: isObject,
  earlier: Array.isArray,
  format: (value) => value === FORMAT,
  lists: listOf(isText),
  root: isText,
  trust: isText,
};
const KEY = {
  kid: isText,
  alg: (value) => value === "ES256" || value === "Ed25519",
  use: isUse,
  authority: isText,
  signs_from: isTime,
  signs_until: isTime,
  revoked_since: orNull(isTime),
  certificate: isText,
  certificate_sha256: isText,
};
const LISTING = {
  sequence: isWhole,
  issued: isTime,
  keys: listOf((key) => hasForm(key, KEY)),
  signature: (value) => hasForm(value, { alg: (alg) => alg === "ES256", kid: isText, value: isText }),
};
// What may be absent: no check of a browser needs it, but the root signs it with the rest. A list never writes what
// its absence says as well.
const AUTHORITY = { name: isText, certificate: isText, certificate_sha256: isText };
const MORE = {
  timestamp_authorities: listOf((one) => hasForm(one, AUTHORITY)),
  log_origin: (value) => isText(value) && value !== "",
  logged_from: isTime,
  witnesses: (value) => listOf(isText)(value) && value.length > 0,
  beacons_sha256: (value) => isText(value) && /^[0-9a-f]{64}$/.test(value),
  witnesses_needed: (value) => isWhole(value) && value > 0,
  fresh_until: isTime,
};

/** A verified bundle: whom to believe, since when and until when. */
export class Trust {
  constructor(root, fingerprint, listing, certificates, lists) {
    this.root = root;
    this.fingerprint = fingerprint; // SHA-256 of the root, hex
    this.sequence = listing.sequence;
    this.issued = seconds(listing.issued);
    this.freshUntil = listing.fresh_until === undefined ? Infinity : seconds(listing.fresh_until);
    this.lists = lists; // names of status lists: a hint, nobody signed it
    this.keys = new Map(listing.keys.map((key) => [key.kid, readKey(key)]));
    this.certificates = certificates; // kid → parts
    this.beacons = listing.beacons_sha256 ?? null; // SHA-256 of beacons.json, hex
    this.stampers = new Set((listing.timestamp_authorities ?? []).map((one) => one.certificate_sha256));
    this.log = readLog(listing); // null: the list names no log
  }

  /** Return the key with this id, if it may be used so; otherwise null. */
  key(kid, use) {
    const found = this.keys.get(kid);
    return found && found.use === use ? found : null;
  }

  /** Return the key whose certificate has exactly these bytes, or null. */
  async byCertificate(bytes) {
    const digest = toHex(await sha256(bytes));
    for (const key of this.keys.values()) if (key.digest === digest) return key;
    return null;
  }

  /** Return the keys that sign the log, as notes name them; one that was revoked counts no more. */
  async logKeys() {
    const keys = [...this.keys.values()].filter((key) => key.use === "log" && key.revoked === null);
    return Promise.all(
      keys.map(async ({ kid }) => noteKey(this.log.origin, 1, (await this.certificate(kid)).spki.subarray(-32))),
    );
  }

  /** Return the parts of a key's certificate; TrustFailed where the root did not issue it for that key. */
  async certificate(kid) {
    const found = this.certificates.get(kid);
    if (!found.checked) {
      const key = this.keys.get(kid);
      const fits = key.use === "log" ? isEd25519 : isP256;
      const own = fits(found.parts.spki) && (await keyId(found.parts.spki)) === kid;
      const good = own && isFor(found.parts, false) && isValidFrom(found.parts, key.from, key.until - 1);
      if (!good || !(await issuedBy(found.parts, this.root))) throw new TrustFailed("trust-certificate", { kid });
      found.checked = true;
    }
    return found.parts;
  }
}

function readLog({ log_origin: origin, logged_from: from, witnesses = [], witnesses_needed: needed = 0 }) {
  return origin === undefined ? null : { origin, from: seconds(from), witnesses, needed };
}

function readKey(key) {
  return {
    kid: key.kid,
    use: key.use,
    authority: key.authority,
    from: seconds(key.signs_from),
    until: seconds(key.signs_until),
    revoked: key.revoked_since === null ? null : seconds(key.revoked_since),
    digest: key.certificate_sha256,
  };
}

/** Open a bundle, its signatures verified; TrustFailed says what is wrong. */
export async function openBundle(bytes) {
  const bundle = bytes.length <= MAX_BUNDLE ? parse(bytes) : undefined;
  if (!hasForm(bundle, BUNDLE)) throw new TrustFailed("trust-form");
  let root;
  try {
    root = readCertificate(fromBase64(bundle.root));
  } catch (error) {
    if (error instanceof Refused || error instanceof RangeError) throw new TrustFailed("trust-root");
    throw error;
  }
  if (!(await issuedBy(root, root)) || !isFor(root, true)) throw new TrustFailed("trust-root");
  const listing = await readListing(toUtf8(bundle.trust), root);
  const read = listing.keys.map(async (key) => [key.kid, await certificateOf(key, bundle.certificates)]);
  const certificates = new Map(await Promise.all(read));
  return new Trust(root, toHex(await sha256(root.der)), listing, certificates, bundle.lists);
}

async function readListing(bytes, root) {
  const listing = parse(bytes);
  if (!hasForm(listing, LISTING, MORE) || !isCanonical(listing, bytes)) throw new TrustFailed("trust-list");
  const { signature, ...plain } = listing;
  let raw;
  try {
    raw = fromBase64(signature.value);
  } catch {
    throw new TrustFailed("trust-signature");
  }
  const own = signature.kid === (await keyId(root.spki)) && signature.value === toBase64Url(raw);
  if (!own || !(await verifies(root.spki, raw, toUtf8(canonical(plain))))) throw new TrustFailed("trust-signature");
  if (new Set(listing.keys.map((key) => key.kid)).size !== listing.keys.length) throw new TrustFailed("trust-list");
  if (!logFits(listing)) throw new TrustFailed("trust-list");
  return listing;
}

/** Return whether keys of a log, and they alone, sign with Ed25519, and the list names the log that they sign. */
function logFits({ keys, log_origin: origin, logged_from: from, witnesses = [], witnesses_needed: needed = 0 }) {
  const logs = keys.filter((key) => key.use === "log");
  const kinds = keys.every((key) => (key.use === "log") === (key.alg === "Ed25519"));
  return kinds && needed <= witnesses.length && (!logs.length || (origin !== undefined && from !== undefined));
}

async function certificateOf(key, certificates) {
  try {
    const bytes = fromBase64(certificates[key.kid] ?? "-");
    if (toHex(await sha256(bytes)) === key.certificate_sha256) return { parts: readCertificate(bytes), checked: false };
  } catch (error) {
    if (!(error instanceof Refused || error instanceof RangeError)) throw error;
  }
  throw new TrustFailed("trust-certificate", { kid: key.kid });
}

/** Return the key that signed a COSE_Sign1; Refused where it is none of the bundle's for this use. */
export async function signingKey(signed, trust, use) {
  const key = trust.key(signed.kid, use);
  if (!key) throw new Refused("key-unknown", { use, kid: signed.kid, sequence: trust.sequence });
  const { spki } = await trust.certificate(key.kid);
  if (!(await verifies(spki, signed.signature, signed.toBeSigned))) throw new Refused("signature-wrong");
  return key;
}

/** Refuse a key that did not sign at that moment (Unix seconds), or was revoked by then. */
export function checkKeyTime(key, at) {
  if (key.revoked !== null && at >= key.revoked) {
    throw new Refused("key-revoked", { use: key.use, kid: key.kid, since: key.revoked });
  }
  if (at < key.from || at > key.until) {
    throw new Refused("key-time", { use: key.use, kid: key.kid, from: key.from, until: key.until, at });
  }
}
