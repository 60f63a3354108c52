/** The credential: encoding and signature first, then the claims, then whether its key could sign it. */

import { equal, sha256 } from "./bytes.js";
import { decode } from "./cbor.js";
import { CWT, readSign1 } from "./cose.js";
import { chinaDate } from "./moments.js";
import { Refused } from "./refusals.js";
import { checkKeyTime, signingKey } from "./trust.js";

export const MAX_CREDENTIAL = 700; // bytes
const LAST_TIME = 253_402_300_799 - 86_400; // the day before 9999-12-31T23:59:59Z
const isText = (value) => typeof value === "string";
const isWhole = (value) => typeof value === "bigint" || Number.isInteger(value);
const absentOr = (test) => (value) => value === undefined || value === null || test(value);
// Claim → name here and what it must be.
const CLAIMS = new Map([
  [1, ["authority", isText]],
  [2, ["identifier", isText]],
  [4, ["expires", absentOr(isWhole)]],
  [5, ["notBefore", isWhole]],
  [6, ["issuedAt", isWhole]],
  [65535, ["status", isStatus]],
  ["no", ["number", isText]],
  ["v", ["version", isWhole]],
  ["item", ["item", isText]],
  ["hn", ["holderName", isText]],
  ["hid", ["holderId", isText]],
  ["by", ["authorityName", isText]],
  ["n", ["products", isWhole]],
  ["cat", ["categories", (value) => Array.isArray(value) && value.every(isText)]],
  ["body", ["body", (value) => value instanceof Uint8Array && value.length === 32]],
  ["prev", ["previousIdentifier", absentOr(isText)]],
]);
// Names that other implementations of the contract use for claims; none of them may stand among the claims.
const RESERVED = [
  "kid", "authority", "identifier", "expires", "not_before", "issued_at", "status", "number", "version",
  "holder_name", "holder_id", "authority_name", "products", "categories", "previous_identifier",
];

function isStatus(value) {
  const place = value instanceof Map && value.size === 1 ? value.get("status_list") : null;
  return place instanceof Map && place.size === 2 && isWhole(place.get("idx")) && isText(place.get("uri"));
}

/** Return the credential in exactly these bytes, signed by an authority of the bundle in the key's time; or Refused. */
export async function readCredential(bytes, trust) {
  const signed = readSign1(bytes, CWT, MAX_CREDENTIAL);
  const key = await signingKey(signed, trust, "credential");
  const credential = readClaims(decode(signed.payload, MAX_CREDENTIAL));
  if (credential.authority !== key.authority) throw new Refused("authority-other");
  checkKeyTime(key, credential.issuedAt);
  credential.kid = key.kid;
  return credential;
}

function readClaims(claims) {
  if (!(claims instanceof Map)) throw new Refused("claims-map");
  const reserved = RESERVED.find((name) => claims.has(name) && !(name === "kid" && claims.get(name) === null));
  if (reserved) throw new Refused("claims-twice");
  const found = {};
  for (const [claim, [name, test]] of CLAIMS) {
    const value = claims.get(claim);
    if (!test(value)) throw new Refused("claims-wrong", { claim: String(claim) });
    found[name] = value ?? null;
  }
  const place = found.status.get("status_list");
  found.statusIndex = place.get("idx");
  found.statusUri = place.get("uri");
  const times = [found.notBefore, found.issuedAt, found.expires ?? 0];
  if (times.some((time) => time < 0 || time > LAST_TIME) || found.statusIndex < 0) throw new Refused("claims-range");
  found.validFrom = chinaDate(found.notBefore);
  found.validUntil = found.expires === null ? null : chinaDate(found.expires);
  return found;
}

/** Refuse a body that is not the one that the credential names, or that says something else. */
export async function checkBody(credential, body, raw) {
  if (!equal(await sha256(raw), credential.body)) throw new Refused("body-digest");
  const pairs = {
    ZZBH: [body.ZZBH, credential.number],
    ZZBS: [body.ZZBS, credential.identifier],
    version: [body.version, credential.version],
    item: [body.item, credential.item],
    CZZTDM: [body.CZZTDM, credential.holderId],
    ZZBFJGDM: [body.ZZBFJGDM, credential.authority],
    ZZBFJG: [body.ZZBFJG, credential.authorityName],
    ZZYXQQSRQ: [body.ZZYXQQSRQ, credential.validFrom],
    ZZYXQJZRQ: [body.ZZYXQJZRQ, credential.validUntil],
    products: [body.products.length, credential.products],
    previous_identifier: [body.previous_identifier, credential.previousIdentifier],
    CZZT: [cutLike(body.CZZT, credential.holderName), credential.holderName],
  };
  const wrong = Object.keys(pairs).filter((name) => pairs[name][0] !== pairs[name][1]);
  if (wrong.length) throw new Refused("body-disagrees", { names: wrong.join(", ") });
}

/** Cut a full name like the one in the credential, which may end in `…`. */
function cutLike(full, shown) {
  return shown.endsWith("…") && full.startsWith(shown.slice(0, -1)) ? shown : full;
}
