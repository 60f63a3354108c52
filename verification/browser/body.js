/** `licence.json`: the body of a licence under the names of GB/T 36903, in its one encoding. */

import { hasForm, isCanonical, isText, isWhole, listOf, orNull, parse } from "./canonical.js";
import { Refused } from "./refusals.js";

export const MAX_BODY = 1 << 20; // bytes

// A product without site or detail has no such key, as the signer writes it.
const isProduct = (value) => optional(value, { category: isText }, { site: isFilled, detail: isFilled });
const isFiling = (value) => hasForm(value, { filing_id: isText, item: isText, name: isText, department: isText });
const isParticular = (value) => hasForm(value, { name: isText, label: isText, value: isText });
const isFilled = (value) => isText(value) && value !== "";
const BODY = {
  ZZMC: isText,
  ZZLXDM: isText,
  ZZBH: isText,
  ZZBS: isText,
  ZZBFRQ: isText,
  CZZT: isText,
  CZZTDM: isText,
  CZZTDMLX: isText,
  CZZTDMLXDM: isText,
  ZZYXQQSRQ: isText,
  ZZYXQJZRQ: orNull(isText),
  ZZBFJG: isText,
  ZZBFJGDM: isText,
  version: isWhole,
  item: isText,
  application_id: isText,
  address: isText,
  products: listOf(isProduct),
  filings: listOf(isFiling),
  previous_identifier: orNull(isText),
};
const PARTICULARS = { particulars: (value) => listOf(isParticular)(value) && value.length > 0 };

function optional(value, required, more) {
  if (value === null || typeof value !== "object") return false;
  const there = Object.entries(more).filter(([key]) => Object.hasOwn(value, key));
  return hasForm(value, { ...required, ...Object.fromEntries(there) });
}

/** Return the content of `licence.json`; Refused for other fields, or other bytes of the same content. */
export function readBody(bytes) {
  if (bytes.length > MAX_BODY) throw new Refused("body-size", { most: MAX_BODY });
  const body = parse(bytes);
  if (!optional(body, BODY, PARTICULARS)) throw new Refused("body-form");
  if (!isCanonical(body, bytes)) throw new Refused("body-encoding");
  return body;
}
