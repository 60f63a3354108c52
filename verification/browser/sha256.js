/** SHA-256 (FIPS 180-4) of many short texts with one beginning, whose whole blocks are compressed once. */

const K = new Int32Array(64);
const FIRST = new Int32Array(8);
{
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
  const part = (root) => Math.floor((root - Math.floor(root)) * 2 ** 32) | 0;
  primes.forEach((p, n) => {
    K[n] = part(Math.cbrt(p));
    if (n < 8) FIRST[n] = part(Math.sqrt(p));
  });
}
const WORDS = new Int32Array(64);

/** Compress one block of `bytes` that begins at `at` into the state. */
function compress(state, bytes, at) {
  const w = WORDS;
  for (let n = 0; n < 16; n++, at += 4) {
    w[n] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
  for (let n = 16; n < 64; n++) {
    const x = w[n - 15];
    const y = w[n - 2];
    const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[n] = (w[n - 16] + low + w[n - 7] + high) | 0;
  }
  let a = state[0];
  let b = state[1];
  let c = state[2];
  let d = state[3];
  let e = state[4];
  let f = state[5];
  let g = state[6];
  let h = state[7];
  for (let n = 0; n < 64; n++) {
    const one = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const more = (h + one + ((e & f) ^ (~e & g)) + K[n] + w[n]) | 0;
    const two = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const most = (two + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + more) | 0;
    d = c;
    c = b;
    b = a;
    a = (more + most) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

/** The hashes of texts that begin alike. */
export class Hashing {
  constructor(beginning) {
    this.middle = FIRST.slice();
    const whole = beginning.length - (beginning.length % 64);
    for (let at = 0; at < whole; at += 64) compress(this.middle, beginning, at);
    this.rest = beginning.subarray(whole);
    this.before = whole;
    this.block = new Uint8Array(256);
    this.state = new Int32Array(8);
  }

  /** Return the state (eight words, overwritten by the next call) after the beginning and these bytes. */
  of(bytes) {
    const size = this.rest.length + bytes.length;
    const padded = (size + 9 + 63) & ~63;
    if (padded > this.block.length) this.block = new Uint8Array(2 * padded);
    const block = this.block;
    block.set(this.rest);
    block.set(bytes, this.rest.length);
    block.fill(0, size, padded);
    block[size] = 128;
    const bits = (this.before + size) * 8;
    block[padded - 1] = bits;
    block[padded - 2] = bits >>> 8;
    block[padded - 3] = bits >>> 16;
    block[padded - 4] = bits >>> 24;
    this.state.set(this.middle);
    for (let at = 0; at < padded; at += 64) compress(this.state, block, at);
    return this.state;
  }
}

/** Return eight words as lower-case hex. */
export function hex(words) {
  let text = "";
  for (const word of words) text += (word >>> 0).toString(16).padStart(8, "0");
  return text;
}

/** Return the lower-case hex SHA-256 of bytes. */
export function digest(bytes) {
  return hex(new Hashing(bytes).of(new Uint8Array()));
}
