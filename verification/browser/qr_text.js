/** The text in the QR of a licence: `HTTPS://<HOST>/#` and a number whose bytes are 0x01 and the credential. */

import { fromHex } from "./bytes.js";
import { MAX_CREDENTIAL } from "./credential.js";
import { NotJudged, Refused } from "./refusals.js";

export const MAX_TEXT = 2_048; // characters: 701 bytes are at most 1,689 digits
const TEXT = /^HTTPS:\/\/([A-Z0-9](?:[A-Z0-9.-]*[A-Z0-9])?(?::[1-9][0-9]{0,4})?)\/#([1-9][0-9]*)$/;

/** Return whether a text has the form of a licence's QR, whatever its number holds. */
export function isQrText(text) {
  return text.length <= MAX_TEXT && TEXT.test(text);
}

/** Return `{host, credential}`; NotJudged for a text of another form, Refused for a number that holds no credential. */
export function readQrText(text) {
  const found = text.length <= MAX_TEXT ? TEXT.exec(text) : null;
  if (!found) throw new NotJudged("qr-form");
  const digits = BigInt(found[2]).toString(16);
  const raw = fromHex(digits.length % 2 ? `0${digits}` : digits);
  if (raw[0] !== 1 || raw.length > 1 + MAX_CREDENTIAL) throw new Refused("qr-number");
  return { host: found[1], credential: raw.subarray(1) };
}
