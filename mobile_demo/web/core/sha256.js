/**
 * SHA-256 (FIPS 180-4). Browsers have it only on pages that came by https or from
 * localhost; a phone may open this one by http.
 */

/** @param {number} count */
function firstPrimes(count) {
  const primes = [2];
  for (let n = 3; primes.length < count; n += 2) {
    if (primes.every((prime) => n % prime)) primes.push(n);
  }
  return primes;
}

/**
 * Returns the first 32 bits behind the point of the roots of the first primes (FIPS
 * 180-4, sections 4.2.2 and 5.3.3).
 * @param {number} count
 * @param {(n: number) => number} root
 */
function rootBits(count, root) {
  return Uint32Array.from(firstPrimes(count), (prime) => Math.floor((root(prime) % 1) * 2 ** 32));
}

const ROUND_CONSTANTS = rootBits(64, Math.cbrt);
const INITIAL = rootBits(8, Math.sqrt);

/**
 * Returns the hex SHA-256 of a file's bytes.
 * @param {Uint8Array} bytes
 * @returns {Promise<string>}
 */
export async function sha256(bytes) {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) return hex(digest(bytes));
  const copy = /** @type {Uint8Array<ArrayBuffer>} */ (bytes);
  return hex(new Uint8Array(await subtle.digest("SHA-256", copy)));
}

/**
 * @param {Uint8Array} bytes
 * @returns {Uint8Array} (32)
 */
export function digest(bytes) {
  const state = INITIAL.slice();
  const words = new Uint32Array(64);
  const wholeBlocks = bytes.length >> 6;
  for (let block = 0; block < wholeBlocks; block++) mixBlock(state, words, bytes, block * 64);
  const tail = padded(bytes.subarray(wholeBlocks * 64), bytes.length);
  for (let start = 0; start < tail.length; start += 64) mixBlock(state, words, tail, start);
  const result = new Uint8Array(32);
  state.forEach((word, i) => new DataView(result.buffer).setUint32(4 * i, word));
  return result;
}

/**
 * @param {Uint8Array} rest fewer than 64 bytes.
 * @param {number} length bytes in all.
 */
function padded(rest, length) {
  const tail = new Uint8Array(rest.length < 56 ? 64 : 128);
  tail.set(rest);
  tail[rest.length] = 0x80;
  const view = new DataView(tail.buffer);
  view.setUint32(tail.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(tail.length - 4, (length << 3) >>> 0);
  return tail;
}

/**
 * @param {Uint32Array} state
 * @param {Uint32Array} words
 * @param {Uint8Array} bytes
 * @param {number} start
 */
function mixBlock(state, words, bytes, start) {
  for (let i = 0, at = start; i < 16; i++, at += 4) {
    words[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
  for (let i = 16; i < 64; i++) {
    const [early, late] = [words[i - 15], words[i - 2]];
    const small0 = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3);
    const small1 = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10);
    words[i] = words[i - 16] + small0 + words[i - 7] + small1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const big1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const first = (h + big1 + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[i] + words[i]) | 0;
    const big0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const second = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((value, i) => (state[i] += value));
}

/**
 * Turns 32 bits to the right.
 * @param {number} word
 * @param {number} count
 */
function turn(word, count) {
  return (word >>> count) | (word << (32 - count));
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
