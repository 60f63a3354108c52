/** One encoding of each JSON value (RFC 8785), and the reading of JSON in that encoding only. */

import { equal, fromUtf8, toUtf8 } from "./bytes.js";

/** Return the RFC 8785 text of a JSON value. Keys sort by UTF-16 units, numbers are written as ECMAScript does. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

/** Return whether bytes are the one encoding of a value. */
export function isCanonical(value, bytes) {
  return equal(toUtf8(canonical(value)), bytes);
}

/** Return the value of JSON bytes, or undefined where they are no JSON in UTF-8. */
export function parse(bytes) {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    return undefined;
  }
}

/**
 * Return whether a value is an object with these keys and no other; `kinds` maps each to a test of its value.
 * `more` are keys that may be absent.
 */
export function hasForm(value, kinds, more = {}) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  const tests = { ...more, ...kinds };
  const known = keys.every((key) => Object.hasOwn(tests, key));
  const whole = Object.keys(kinds).every((key) => Object.hasOwn(value, key));
  return known && whole && keys.every((key) => tests[key](value[key]));
}

export const isText = (value) => typeof value === "string";
export const isWhole = (value) => Number.isSafeInteger(value);
export const orNull = (test) => (value) => value === null || test(value);
export const listOf = (test) => (value) => Array.isArray(value) && value.every(test);
