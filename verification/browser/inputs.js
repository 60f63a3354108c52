/** What kind of thing bytes are, told from the bytes alone: names can lie. */

import { indexOf } from "./bytes.js";
import { STATUS_LIST_CWT, typeOf } from "./cose.js";
import { MAX_LIST_CWT } from "./status.js";

export const PDF = "pdf";
export const CWT = "cwt";
export const PICTURE = "picture";
export const QR_TEXT = "qr-text";
export const BODY = "json";
export const OTHER = "other";
const PDF_WITHIN = 1024; // ISO 32000-1, annex H.3: readers look for the header in the first 1,024 bytes
export const MAX_INPUT = 32 << 20; // bytes that are read of anything

/** Return the kind of bytes that are not empty. */
export function sniff(bytes) {
  const begins = (...head) => head.every((byte, at) => bytes[at] === byte);
  if (ascii(bytes.subarray(0, PDF_WITHIN)).includes("%PDF-") || indexOf(bytes, "/ByteRange") >= 0) return PDF;
  if (begins(0xd2) || ascii(bytes.subarray(0, 64)).includes("application/cwt")) return CWT;
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a) || begins(0xff, 0xd8, 0xff)) return PICTURE;
  if (begins(0x52, 0x49, 0x46, 0x46) && ascii(bytes.subarray(8, 12)) === "WEBP") return PICTURE;
  if (begins(0x49, 0x49, 0x2a, 0x00) || begins(0x4d, 0x4d, 0x00, 0x2a)) return PICTURE; // TIFF
  if (begins(0x7b)) return BODY;
  const beginning = ascii(bytes.subarray(0, 200)).replace(/^\u00ef\u00bb\u00bf/, "").trimStart();
  return beginning.slice(0, 8).toUpperCase() === "HTTPS://" ? QR_TEXT : OTHER;
}

/** Return whether bytes are a signed status list rather than a licence. */
export function isStatusList(bytes) {
  return typeOf(bytes, MAX_LIST_CWT) === STATUS_LIST_CWT;
}

function ascii(bytes) {
  return String.fromCharCode(...bytes);
}
