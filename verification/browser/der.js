/** DER, read and written, and what is needed of X.509 certificates (RFC 5280) and ECDSA signatures. */

import { concat, equal, fromHex, sha256, toHex } from "./bytes.js";
import { Refused } from "./refusals.js";

export const SEQUENCE = 0x30;
export const SET = 0x31;
export const INTEGER = 0x02;
export const OCTETS = 0x04;
const BITS = 0x03;
const EXTENSIONS = 0xa3;
const CONSTRAINTS = "0603551d13"; // 2.5.29.19
const USAGE = "0603551d0f"; // 2.5.29.15
const ECDSA_SHA256 = fromHex("300a06082a8648ce3d040302");
// SubjectPublicKeyInfo of an uncompressed P-256 point (RFC 5480), up to the point itself.
const ED25519 = fromHex("302a300506032b6570032100");
const P256 = fromHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004");
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** Write one element with a definite length. */
export function der(tag, ...parts) {
  const content = concat(...parts);
  const size = content.length;
  if (size < 128) return concat(Uint8Array.of(tag, size), content);
  const length = size < 0x100 ? [size] : size < 0x10000 ? [size >> 8, size & 255] : null;
  if (!length) throw new RangeError("an element over 65,535 bytes");
  return concat(Uint8Array.of(tag, 128 | length.length, ...length), content);
}

/** Read the element at `start`: `{tag, from, to}`, where its content begins and ends. */
export function element(bytes, start) {
  if (start + 2 > bytes.length) throw new Refused("der-short");
  let size = bytes[start + 1];
  let from = start + 2;
  if (size & 128) {
    const width = size & 127;
    if (width < 1 || width > 2) throw new Refused("der-length");
    size = 0;
    for (let n = 0; n < width; n++) size = (size << 8) | (bytes[from + n] ?? 0);
    from += width;
  }
  if (from + size > bytes.length) throw new Refused("der-short");
  return { tag: bytes[start], from, to: from + size };
}

/** Return the content of an element that fills the bytes and has this tag. */
export function inside(bytes, tag) {
  const found = element(bytes, 0);
  if (found.tag !== tag || found.to !== bytes.length) throw new Refused("der-form");
  return bytes.subarray(found.from, found.to);
}

/** Return the elements that stand one after another, each whole. */
export function elements(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const { to } = element(bytes, at);
    found.push(bytes.subarray(at, to));
    at = to;
  }
  return found;
}

/** Return the raw `r ‖ s` of an ECDSA P-256 signature in exact DER, or null for any other bytes. */
export function rawSignature(bytes) {
  try {
    const numbers = elements(inside(bytes, SEQUENCE));
    if (numbers.length !== 2) return null;
    const raw = new Uint8Array(64);
    for (const [n, number] of numbers.entries()) {
      const content = inside(number, INTEGER);
      const padded = content.length > 1 && content[0] === 0;
      const magnitude = padded ? content.subarray(1) : content;
      const minimal = content.length && !(content[0] & 128) && (!padded || magnitude[0] & 128);
      if (!minimal || magnitude.length > 32) return null;
      const value = BigInt(`0x${toHex(magnitude)}`);
      if (value <= 0n || value >= ORDER) return null;
      raw.set(magnitude, 32 * (n + 1) - magnitude.length);
    }
    return equal(bytes, signatureDer(raw)) ? raw : null;
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

function signatureDer(raw) {
  const number = (part) => {
    let at = 0;
    while (at < part.length - 1 && part[at] === 0) at++;
    const magnitude = part.subarray(at);
    return der(INTEGER, magnitude[0] & 128 ? Uint8Array.of(0) : new Uint8Array(), magnitude);
  };
  return der(SEQUENCE, number(raw.subarray(0, 32)), number(raw.subarray(32)));
}

/**
 * Return whether `raw` is a signature over `message` (SHA-256) by the P-256 key in `spki`.
 *
 * With `low` only the signature with the lower s counts: of the two that fit a message, our signers give that one.
 */
export async function verifies(spki, raw, message, low = true) {
  if (raw.length !== 64) return false;
  const s = BigInt(`0x${toHex(raw.subarray(32))}`);
  if (low && (s <= 0n || s > ORDER / 2n)) return false;
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  try {
    const key = await crypto.subtle.importKey("spki", spki, algorithm, false, ["verify"]);
    return await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw, message);
  } catch (error) {
    if (error?.name === "DataError") return false; // no point of the curve
    throw error;
  }
}

/**
 * Take a certificate apart: `{der, signed, signature, serial, issuer, validity, subject, spki, extensions}`, each as it stands.
 *
 * Refused where it is no X.509 certificate signed by ECDSA with SHA-256 over P-256.
 */
export function readCertificate(bytes) {
  const parts = elements(inside(bytes, SEQUENCE));
  if (parts.length !== 3 || !equal(parts[1], ECDSA_SHA256)) throw new Refused("certificate-form");
  const fields = elements(inside(parts[0], SEQUENCE));
  if (fields[0]?.[0] === 0xa0) fields.shift(); // the version
  const [serial, algorithm, issuer, validity, subject, spki, ...more] = fields;
  if (!spki || serial[0] !== INTEGER || !equal(algorithm, ECDSA_SHA256)) throw new Refused("certificate-form");
  const bits = inside(parts[2], BITS);
  const signature = bits[0] === 0 ? rawSignature(bits.subarray(1)) : null;
  if (!signature) throw new Refused("certificate-form");
  const extensions = more.find((field) => field[0] === EXTENSIONS);
  return { der: bytes, signed: parts[0], signature, serial, issuer, validity, subject, spki, extensions };
}

/** Return whether a certificate is for issuing certificates, or else for signing alone (RFC 5280, 4.2.1.3 and 4.2.1.9). */
export function isFor(certificate, authority) {
  return wellFormed(() => {
    const [ca] = elements(inside(extension(certificate, CONSTRAINTS), SEQUENCE));
    const bits = inside(extension(certificate, USAGE), BITS)[1] ?? 0;
    const issues = ca !== undefined && equal(ca, Uint8Array.of(0x01, 0x01, 0xff));
    const certifies = (bits & 0x04) !== 0;
    return issues === authority && certifies === authority && (authority || (bits & 0x80) !== 0);
  });
}

function wellFormed(judged) {
  try {
    return judged();
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}

/** Return the value of an extension; Refused where there is none, or it stands twice. */
function extension({ extensions }, identifier) {
  const all = elements(inside(inside(extensions ?? new Uint8Array(), EXTENSIONS), SEQUENCE));
  const found = all.map((one) => elements(inside(one, SEQUENCE))).filter(([named]) => named && toHex(named) === identifier);
  if (found.length !== 1) throw new Refused("certificate-form");
  return inside(found[0].at(-1), OCTETS);
}

/** Return whether a certificate is valid from one moment to another (Unix seconds). */
export function isValidFrom(certificate, from, until) {
  return wellFormed(() => {
    const [begin, end] = elements(inside(certificate.validity, SEQUENCE)).map(timeOf);
    return begin <= from && until <= end;
  });
}

/** Return the moment of a UTCTime or GeneralizedTime; NaN, which is before and after nothing, for another form. */
function timeOf(bytes) {
  const text = String.fromCharCode(...inside(bytes, bytes[0]));
  const [, year, ...rest] = /^(\d\d|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? [];
  const century = year?.length === 2 ? (Number(year) < 50 ? 2000 : 1900) : 0;
  const [month, ...others] = rest.map(Number);
  return Date.UTC(century + Number(year), month - 1, ...others) / 1000;
}

/** Return whether `issuer`'s key signed a certificate that names it. */
export async function issuedBy(certificate, issuer) {
  const named = equal(certificate.issuer, issuer.subject);
  return named && isP256(issuer.spki) && verifies(issuer.spki, certificate.signature, certificate.signed, false);
}

/** Return whether a SubjectPublicKeyInfo holds an uncompressed P-256 point. */
export function isP256(spki) {
  return spki.length === 91 && equal(spki.subarray(0, P256.length), P256);
}

/** Return whether a SubjectPublicKeyInfo holds an Ed25519 key (RFC 8410). */
export function isEd25519(spki) {
  return spki.length === 44 && equal(spki.subarray(0, ED25519.length), ED25519);
}

/** Return the id of a key: the first eight hex digits of the SHA-256 of its SubjectPublicKeyInfo. */
export async function keyId(spki) {
  return toHex((await sha256(spki)).subarray(0, 4));
}
