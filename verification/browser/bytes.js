/** Bytes and their texts: hex, base64, UTF-8, SHA-256. */

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Return whether two byte arrays are the same. */
export function equal(one, other) {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return false;
  return true;
}

/** Order byte arrays as RFC 8949 orders map keys: byte by byte, a beginning before what it begins. */
export function compare(one, other) {
  const shorter = Math.min(one.length, other.length);
  for (let at = 0; at < shorter; at++) if (one[at] !== other[at]) return one[at] - other[at];
  return one.length - other.length;
}

/** Join byte arrays. */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Return lower-case hex. */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return the bytes of hex digits; RangeError for anything else. */
export function fromHex(text) {
  if (text.length % 2 || /[^0-9a-fA-F]/.test(text)) throw new RangeError("no hex");
  return Uint8Array.from({ length: text.length / 2 }, (_, n) => parseInt(text.slice(2 * n, 2 * n + 2), 16));
}

/** Return the bytes of base64, or of base64url without padding; RangeError for anything else. */
export function fromBase64(text) {
  let binary;
  try {
    binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    throw new RangeError("no base64");
  }
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** Return base64url without padding. */
export function toBase64Url(bytes) {
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Return the UTF-8 bytes of a text. */
export function toUtf8(text) {
  return new TextEncoder().encode(text);
}

/** Return the text of UTF-8 bytes, a byte order mark kept; TypeError where they are none. */
export function fromUtf8(bytes) {
  return UTF8.decode(bytes);
}

/** Return one character for each byte, so that patterns can be matched against bytes. */
export function latin1(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 0x8000));
  }
  return text;
}

/** Return where `needle` (ASCII) stands last in the bytes, or -1. */
export function lastIndexOf(bytes, needle) {
  const wanted = toUtf8(needle);
  for (let at = bytes.length - wanted.length; at >= 0; at--) {
    let same = 0;
    while (same < wanted.length && bytes[at + same] === wanted[same]) same++;
    if (same === wanted.length) return at;
  }
  return -1;
}

/** Return where `needle` (ASCII) stands first from `start` on, or -1. */
export function indexOf(bytes, needle, start = 0) {
  const wanted = toUtf8(needle);
  let at = bytes.indexOf(wanted[0], start);
  while (at >= 0 && at + wanted.length <= bytes.length) {
    let same = 1;
    while (same < wanted.length && bytes[at + same] === wanted[same]) same++;
    if (same === wanted.length) return at;
    at = bytes.indexOf(wanted[0], at + 1);
  }
  return -1;
}

/** Return the SHA-256 of bytes. */
export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** Return the inflated bytes of zlib data (RFC 1950), or null where it is none, or more than `limit` bytes. */
export async function inflate(data, limit) {
  const parts = [];
  let size = 0;
  try {
    const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > limit) {
        await reader.cancel();
        return null;
      }
      parts.push(value);
    }
  } catch {
    return null; // not zlib, or cut off
  }
  const inflated = concat(...parts);
  // Some engines pass over bytes behind the end; there stands the check sum, so that others would differ.
  return equal(data.subarray(data.length - 4), adler32(inflated)) ? inflated : null;
}

function adler32(bytes) {
  let [one, two] = [1, 0];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(at + 3800, bytes.length); // the sums stay exact for so many bytes
    for (; at < end; at++) {
      one += bytes[at];
      two += one;
    }
    one %= 65521;
    two %= 65521;
  }
  return Uint8Array.of(two >> 8, two & 255, one >> 8, one & 255);
}
