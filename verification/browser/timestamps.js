/** RFC 3161 timestamps: who made one, over what, and when. Certificates are RFC 5280, signatures RSA or ECDSA. */

import { concat, equal, toHex } from "./bytes.js";
import { elements, inside, INTEGER, OCTETS, SEQUENCE, SET } from "./der.js";
import { must } from "./draw_register.js";
import { seconds } from "./moments.js";

const MOST = 64 << 10; // bytes
const DEPTH = 4; // certificates from a signer to a trusted one
const [OID, BITS, BOOLEAN, UTC, GENERALIZED] = [0x06, 0x03, 0x01, 0x17, 0x18];
const [FIRST, LIST] = [0xa0, 0xa3]; // context tags: [0], and [3] around the extensions
const SIGNED_DATA = "2a864886f70d010702";
const TST_INFO = "2a864886f70d0109100104";
const ATTRIBUTE = { type: "2a864886f70d010903", digest: "2a864886f70d010904", v1: "2a864886f70d010910020c", v2: "2a864886f70d010910022f" };
const [BASIC, PURPOSES, STAMPING] = ["551d13", "551d25", "2b06010505070308"];
const HASH = { "2b0e03021a": "SHA-1", "608648016503040201": "SHA-256", "608648016503040202": "SHA-384", "608648016503040203": "SHA-512" };
const SIGNATURE = {
  "2a864886f70d010101": ["RSASSA-PKCS1-v1_5"], "2a864886f70d01010b": ["RSASSA-PKCS1-v1_5", "SHA-256"],
  "2a864886f70d01010c": ["RSASSA-PKCS1-v1_5", "SHA-384"], "2a864886f70d01010d": ["RSASSA-PKCS1-v1_5", "SHA-512"],
  "2a8648ce3d0201": ["ECDSA"], "2a8648ce3d040302": ["ECDSA", "SHA-256"],
  "2a8648ce3d040303": ["ECDSA", "SHA-384"], "2a8648ce3d040304": ["ECDSA", "SHA-512"],
};
const CURVE = { "2a8648ce3d030107": ["P-256", 32], "2b81040022": ["P-384", 48], "2b81040023": ["P-521", 66] };

const parts = (bytes, tag = SEQUENCE) => elements(inside(bytes, tag));
const oid = (bytes) => toHex(inside(bytes, OID));
const content = (bytes) => inside(bytes, bytes[0]);

/**
 * Return the Unix seconds of a timestamp over one of these SHA-256 digests (hex); Wrong where it is none, or none of
 * the `authorities` (certificates in DER) made it.
 */
export async function stampedAt(token, digests, authorities) {
  must(token.length <= MOST, "the timestamp is too long");
  must(authorities.length, "the trust folder names no timestamp authority");
  let signed = parts(token);
  if (signed[0]?.[0] === SEQUENCE) {
    must(inside(parts(signed[0])[0], INTEGER)[0] <= 1 && signed.length === 2, "the timestamp was not granted");
    signed = parts(signed[1]);
  }
  must(oid(signed[0]) === SIGNED_DATA, "not an RFC 3161 timestamp");
  const fields = parts(inside(signed[1], FIRST));
  const [kind, wrapped] = parts(fields[2]);
  must(oid(kind) === TST_INFO, "not an RFC 3161 timestamp");
  const info = inside(inside(wrapped, FIRST), OCTETS);
  const [, , imprint, , time] = parts(info);
  const [algorithm, over] = parts(imprint);
  const fits = HASH[oid(parts(algorithm)[0])] === "SHA-256" && digests.includes(toHex(inside(over, OCTETS)));
  must(fits, "the timestamp is over other bytes");
  const at = momentOf(time);
  const own = fields.slice(3).filter((field) => field[0] === FIRST).flatMap((field) => elements(content(field)));
  const known = [...own, ...authorities].filter((one) => one[0] === SEQUENCE).map(certificate);
  const roots = authorities.map(certificate);
  for (const signer of parts(fields.at(-1), SET)) {
    for (const one of known) if (await signs(one, signer, info) && stamps(one) && (await trusted(one, known, roots, at))) return at;
  }
  must(false, "no timestamp authority of the trust folder made this timestamp");
}

/** Return whether a certificate's key signed the attributes of a SignerInfo, which name content and certificate. */
async function signs(one, signer, info) {
  const fields = parts(signer);
  const [hashing, attributes, algorithm, signature] = fields.slice(2);
  if (attributes?.[0] !== FIRST || !signature) return false;
  const hash = HASH[oid(parts(hashing)[0])];
  if (!hash) return false;
  const told = new Map(elements(content(attributes)).map((attribute) => {
    const [name, values] = parts(attribute);
    return [oid(name), elements(inside(values, SET))[0]];
  }));
  const [type, digest] = [told.get(ATTRIBUTE.type), told.get(ATTRIBUTE.digest)];
  if (!type || oid(type) !== TST_INFO || !digest || !equal(inside(digest, OCTETS), await digestOf(hash, info))) return false;
  if (!(await named(told, one))) return false;
  const whole = concat(Uint8Array.of(SET), attributes.subarray(1)); // signed as a SET
  return verifies(one, oid(parts(algorithm)[0]), hash, inside(signature, OCTETS), whole);
}

/** Return whether the attribute `signingCertificate` names this certificate by its digest. */
async function named(told, one) {
  const [old, now] = [told.get(ATTRIBUTE.v1), told.get(ATTRIBUTE.v2)];
  if (!old && !now) return false;
  const first = parts(parts(parts(now ?? old)[0])[0]);
  const chosen = now && first[0][0] === SEQUENCE ? HASH[oid(parts(first.shift())[0])] : now ? "SHA-256" : "SHA-1";
  return chosen !== undefined && equal(inside(first[0], OCTETS), await digestOf(chosen, one.der));
}

function certificate(bytes) {
  const [signed, algorithm, signature] = parts(bytes);
  const fields = parts(signed);
  if (fields[0][0] === FIRST) fields.shift(); // the version
  const [, , issuer, validity, subject, spki, ...rest] = fields;
  const list = rest.find((field) => field[0] === LIST);
  const extensions = new Map(list ? parts(content(list)).map((one) => {
    const each = parts(one);
    return [oid(each[0]), inside(each.at(-1), OCTETS)];
  }) : []);
  const [from, until] = parts(validity).map(momentOf);
  const bits = inside(signature, BITS);
  return { der: bytes, signed, algorithm: oid(parts(algorithm)[0]), signature: bits.subarray(1), issuer, subject, spki, from, until, extensions };
}

function stamps(one) {
  const purposes = one.extensions.get(PURPOSES);
  return purposes !== undefined && parts(purposes).some((purpose) => oid(purpose) === STAMPING);
}

function isAuthority(one) {
  const basic = one.extensions.get(BASIC);
  const first = basic && parts(basic)[0];
  return Boolean(first && first[0] === BOOLEAN && inside(first, BOOLEAN)[0]);
}

/** Return whether trusted certificates lead to this one, all in force at a moment. */
async function trusted(one, known, roots, at, depth = DEPTH) {
  if (at < one.from || at > one.until) return false;
  if (roots.some((root) => equal(root.der, one.der))) return true;
  if (!depth) return false;
  for (const issuer of known) {
    if (!equal(issuer.subject, one.issuer) || !isAuthority(issuer)) continue;
    if (!(await verifies(issuer, one.algorithm, null, one.signature, one.signed))) continue;
    if (await trusted(issuer, known, roots, at, depth - 1)) return true;
  }
  return false;
}

async function verifies({ spki }, algorithm, otherwise, signature, message) {
  const [name, hash = otherwise] = SIGNATURE[algorithm] ?? [];
  if (!name || !hash) return false;
  const [curve, size] = (name === "ECDSA" && CURVE[oid(parts(parts(spki)[0])[1])]) || [];
  if (name === "ECDSA" && !curve) return false;
  try {
    const key = await crypto.subtle.importKey("spki", spki, curve ? { name, namedCurve: curve } : { name, hash }, false, ["verify"]);
    return await crypto.subtle.verify({ name, hash }, key, curve ? raw(signature, size) : signature, message);
  } catch (error) {
    if (error?.name === "DataError" || error instanceof RangeError) return false;
    throw error;
  }
}

/** Return the numbers of an ECDSA signature in DER, each in so many bytes. */
function raw(signature, size) {
  const found = new Uint8Array(2 * size);
  for (const [n, number] of parts(signature).entries()) {
    const bytes = inside(number, INTEGER);
    const short = bytes.subarray(bytes.findIndex((byte) => byte));
    found.set(short, (n + 1) * size - short.length);
  }
  return found;
}

async function digestOf(hash, bytes) {
  return new Uint8Array(await crypto.subtle.digest(hash, bytes));
}

/** Return the Unix seconds of a UTCTime or GeneralizedTime in its DER form. */
function momentOf(bytes) {
  const text = String.fromCharCode(...content(bytes));
  must(bytes[0] === UTC || bytes[0] === GENERALIZED, "no time");
  const long = bytes[0] === UTC ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const found = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d{1,9})?Z$/.exec(long);
  must(found, "no time");
  const [, year, month, day, hour, minute, second, fraction = ""] = found;
  return seconds(`${year}-${month}-${day}T${hour}:${minute}:${second}${fraction}Z`);
}
