/**
 * CBOR in its one deterministic encoding (RFC 8949, 4.2.1).
 *
 * Values: integers (BigInt beyond 2^53), Uint8Array, strings, arrays, Map with integer or text keys, booleans,
 * null. No floats, no tags, no indefinite lengths; each number in its shortest form, map keys in byte order and
 * once. A length is compared with what is left before anything is built.
 */

import { compare, concat, fromUtf8, toUtf8 } from "./bytes.js";
import { Refused } from "./refusals.js";

const MAX_DEPTH = 8;
const MAX_ITEMS = 2_000_000;
const SIMPLE = new Map([[0xf4, false], [0xf5, true], [0xf6, null]]);

/** Return the value of deterministic CBOR; Refused for another encoding, depth or size. */
export function decode(bytes, maxBytes) {
  if (bytes.length > maxBytes) throw new Refused("cbor-size", { most: maxBytes });
  const reader = new Reader(bytes);
  const value = reader.value(MAX_DEPTH);
  if (reader.at !== bytes.length) throw new Refused("cbor-trailing");
  return value;
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
    this.items = MAX_ITEMS;
  }

  take(count) {
    if (count > this.bytes.length - this.at) throw new Refused("cbor-short");
    const part = this.bytes.subarray(this.at, this.at + count);
    this.at += count;
    return part;
  }

  /** Read a head's argument as BigInt. */
  argument(info) {
    if (info < 24) return BigInt(info);
    if (info > 27) throw new Refused("cbor-indefinite");
    const size = 1 << (info - 24);
    let number = 0n;
    for (const byte of this.take(size)) number = (number << 8n) | BigInt(byte);
    const least = size === 1 ? 24n : 1n << BigInt(4 * size);
    if (number < least) throw new Refused("cbor-longer");
    return number;
  }

  length(info) {
    const number = this.argument(info);
    if (number > BigInt(this.bytes.length - this.at)) throw new Refused("cbor-short");
    return Number(number);
  }

  count(info, each) {
    const number = this.argument(info);
    if (number * BigInt(each) > BigInt(this.bytes.length - this.at)) throw new Refused("cbor-short");
    this.items -= Number(number);
    if (this.items < 0) throw new Refused("cbor-items");
    return Number(number);
  }

  value(depth) {
    const initial = this.take(1)[0];
    const info = initial & 31;
    switch (initial >> 5) {
      case 0:
        return plain(this.argument(info));
      case 1:
        return plain(-1n - this.argument(info));
      case 2:
        return this.take(this.length(info));
      case 3:
        return this.text(info);
      case 4:
      case 5:
        if (!depth) throw new Refused("cbor-depth", { most: MAX_DEPTH });
        return initial >> 5 === 4 ? this.array(info, depth) : this.map(info, depth);
      default:
        if (SIMPLE.has(initial)) return SIMPLE.get(initial);
        throw new Refused("cbor-kind");
    }
  }

  text(info) {
    const raw = this.take(this.length(info));
    try {
      return fromUtf8(raw);
    } catch {
      throw new Refused("cbor-text");
    }
  }

  array(info, depth) {
    const count = this.count(info, 1);
    const found = [];
    for (let n = 0; n < count; n++) found.push(this.value(depth - 1));
    return found;
  }

  map(info, depth) {
    const count = this.count(info, 2);
    const found = new Map();
    let last = new Uint8Array();
    for (let n = 0; n < count; n++) {
      const start = this.at;
      if (start < this.bytes.length && ![0, 1, 3].includes(this.bytes[start] >> 5)) {
        throw new Refused("cbor-key");
      }
      const key = this.value(0);
      const raw = this.bytes.subarray(start, this.at);
      if (compare(raw, last) <= 0) throw new Refused("cbor-order");
      last = raw;
      found.set(key, this.value(depth - 1));
    }
    return found;
  }
}

function plain(number) {
  return number >= Number.MIN_SAFE_INTEGER && number <= Number.MAX_SAFE_INTEGER ? Number(number) : number;
}

/** Return the deterministic CBOR of a text, bytes, a whole number from 0 on, or an array of such. */
export function encode(value) {
  if (typeof value === "number") return head(0, value);
  if (typeof value === "string") {
    const raw = toUtf8(value);
    return concat(head(3, raw.length), raw);
  }
  if (value instanceof Uint8Array) return concat(head(2, value.length), value);
  return concat(head(4, value.length), ...value.map(encode));
}

function head(major, number) {
  const kind = major << 5;
  if (number < 24) return Uint8Array.of(kind | number);
  if (number < 0x100) return Uint8Array.of(kind | 24, number);
  if (number < 0x10000) return Uint8Array.of(kind | 25, number >> 8, number & 255);
  const whole = new Uint8Array(5);
  whole[0] = kind | 26;
  new DataView(whole.buffer).setUint32(1, number);
  return whole;
}
