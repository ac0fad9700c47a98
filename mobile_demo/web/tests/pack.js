/** Reading a parity pack (docs/parity_pack.md), and holding results against it. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { numbersOf } from "../worker/checks.js";

/**
 * @typedef {object} Tensor
 * @property {number[]} shape
 * @property {any} data a typed array.
 * @property {number} tolerance of what is expected.
 * @property {Tensor | undefined} where which entries are compared; all by default.
 */

/**
 * Reads a pack; its arrays become `Tensor`s.
 * @param {string} folder
 * @returns {{cases: any[], models: any}}
 */
export function readPack(folder) {
  const bytes = readFileSync(join(folder, "arrays.bin"));
  const index = JSON.parse(readFileSync(join(folder, "index.json"), "utf-8"), (_, value) =>
    Array.isArray(value?.shape) && (value.values || value.offset !== undefined) ? tensor(value, bytes) : value,
  );
  if (!index.format_version.startsWith("1.")) {
    throw new Error(`This reads parity packs of format 1, got ${index.format_version}.`);
  }
  return index;
}

/**
 * @param {any} array
 * @param {Buffer} bytes
 * @returns {Tensor}
 */
function tensor(array, bytes) {
  const { shape, tolerance, where } = array;
  return { shape, data: numbersOf(array, bytes), tolerance, where };
}

/**
 * Returns part i along the first axis.
 * @param {Tensor} whole
 * @param {number} i
 * @returns {Tensor}
 */
export function part({ shape, data, ...rest }, i) {
  const size = shape.slice(1).reduce((product, length) => product * length, 1);
  return { ...rest, shape: shape.slice(1), data: data.subarray(i * size, (i + 1) * size) };
}

/**
 * Returns all parts along the first axis, as plain numbers.
 * @param {Tensor} whole
 * @returns {any[]}
 */
export function rows(whole) {
  return Array.from({ length: whole.shape[0] }, (_, i) => [...part(whole, i).data]);
}

/**
 * @param {Tensor} tensor (H, W, 3) uint8
 * @returns {import("../core/types.js").Picture}
 */
export function picture({ shape: [height, width], data }) {
  return { height, width, channels: 3, data };
}

/**
 * Fails unless all numbers are within the tolerance.
 * @param {string} what
 * @param {ArrayLike<number> | number[][]} actual
 * @param {Tensor} expected
 */
export function assertEqual(what, actual, expected) {
  const flat = Array.from(/** @type {any} */ (actual)).flat();
  assert.equal(flat.length, expected.data.length, `${what}: number of values`);
  const perMark = expected.where ? expected.data.length / expected.where.data.length : 1;
  for (let i = 0; i < flat.length; i++) {
    if (expected.where && !expected.where.data[Math.floor(i / perMark)]) continue;
    const isClose = Math.abs(flat[i] - expected.data[i]) <= expected.tolerance;
    const areMissing = Number.isNaN(flat[i]) && Number.isNaN(expected.data[i]);
    assert.ok(
      isClose || areMissing,
      `${what}[${i}] is ${flat[i]}, expected ${expected.data[i]} within ${expected.tolerance}`,
    );
  }
}
