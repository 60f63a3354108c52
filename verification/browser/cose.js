/** COSE_Sign1 (RFC 9052) in the one form that is signed here: tag 18, three protected headers, none unprotected. */

import { decode, encode } from "./cbor.js";
import { Refused } from "./refusals.js";

const SIGN1_TAG = 0xd2; // tag 18 in one byte
const ES256 = -7;

export const CWT = "application/cwt";
export const STATUS_LIST_CWT = "application/statuslist+cwt";
export const REASONS_CWT = "application/vnd.zhengzhao.status-reasons+cwt";

/**
 * Take a tagged COSE_Sign1 of one type apart: `{kid, payload, signature, toBeSigned}`, nothing of it verified.
 *
 * Refused for every other form.
 */
export function readSign1(bytes, type, maxBytes) {
  if (bytes.length > maxBytes) throw new Refused("cose-size", { most: maxBytes });
  if (bytes[0] !== SIGN1_TAG) throw new Refused("cose-tag");
  const parts = decode(bytes.subarray(1), maxBytes);
  if (!Array.isArray(parts) || parts.length !== 4) throw new Refused("cose-form");
  const [protectedHeader, unprotected, payload, signature] = parts;
  const bytesAll = [protectedHeader, payload, signature].every((part) => part instanceof Uint8Array);
  if (!bytesAll || !(unprotected instanceof Map) || unprotected.size) throw new Refused("cose-form");
  if (signature.length !== 64) throw new Refused("cose-signature");
  const header = decode(protectedHeader, 200);
  const known = header instanceof Map && header.size === 3 && header.get(1) === ES256;
  const kid = known ? header.get(4) : null;
  if (!(kid instanceof Uint8Array) || header.get(16) !== type) throw new Refused("cose-header", { type });
  if (!kid.length || kid.length > 64 || kid.some((byte) => byte > 127)) throw new Refused("cose-kid");
  const toBeSigned = encode(["Signature1", protectedHeader, new Uint8Array(), payload]);
  return { kid: String.fromCharCode(...kid), payload, signature, toBeSigned };
}

/** Return the type that the protected header names, or null where the bytes are no COSE_Sign1. */
export function typeOf(bytes, maxBytes) {
  for (const type of [CWT, STATUS_LIST_CWT, REASONS_CWT]) {
    try {
      readSign1(bytes, type, maxBytes);
      return type;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  return null;
}
