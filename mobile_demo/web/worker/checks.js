/**
 * Whether what runs a model computes what Python did: the runs of its file that a bundle's
 * parity pack records (docs/parity_pack.md), repeated.
 *
 * @import { Contract } from "../core/contract.js"
 * @import { Values } from "../core/estimator.js"
 * @import { TensorSpec } from "../core/tensors.js"
 *
 * @typedef {Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array} Numbers
 *
 * @typedef {object} RecordedRun
 * @property {any} input what the file took, of its input's type.
 * @property {Record<string, ArrayLike<number>>} outputs what it answered in Python, raw, by name.
 */

import { fromEntry, toInput, toReal } from "../core/index.js";

/**
 * What outputs may be off by, root of the mean square: a share of their standard deviation,
 * and steps of integers. On a person the shipped int8 file is off its network by 0.07, a
 * heatmap that is shifted by one pixel by 0.33 (tests/mobile/test_android.py); as in the
 * Android app.
 */
const MOST_OFF = 0.1;
const MOST_STEPS_OFF = 1;

/** @type {Record<string, any>} */
const ARRAYS = {
  uint8: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/**
 * Reads an array of a parity pack.
 * @param {any} array
 * @param {Uint8Array} bytes content of the pack's `arrays.bin`.
 * @returns {Numbers}
 */
export function numbersOf({ dtype, shape, values, offset }, bytes) {
  const type = ARRAYS[dtype];
  // null is NaN.
  if (values) return type.from(values, (/** @type {number | null} */ number) => number ?? NaN);
  const size = shape.reduce((/** @type {number} */ product, /** @type {number} */ length) => product * length, 1);
  const start = bytes.byteOffset + offset;
  return new type(bytes.buffer.slice(start, start + size * type.BYTES_PER_ELEMENT));
}

/**
 * Returns what a parity pack records of model files, by the SHA-256 of the file.
 * @param {any} index content of its `index.json`.
 * @param {Uint8Array} bytes content of its `arrays.bin`.
 * @returns {Map<string, RecordedRun[]>}
 */
export function recordedRuns(index, bytes) {
  /** @type {Map<string, RecordedRun[]>} */
  const runs = new Map();
  for (const { kind, given, expected } of index.cases) {
    if (kind !== "model") continue;
    const { sha256, contract } = index.models[given.model];
    const raw = expected.raw.map((/** @type {any} */ array) => numbersOf(array, bytes));
    const names = outputsOf(fromEntry(contract)).map(({ name }) => name);
    const outputs = Object.fromEntries(names.map((name, i) => [name, raw[i]]));
    runs.set(sha256, [...(runs.get(sha256) ?? []), { input: numbersOf(given.input, bytes), outputs }]);
  }
  return runs;
}

/**
 * Returns all outputs of a model, in the order of a parity pack.
 * @param {Contract} contract
 * @returns {TensorSpec[]}
 */
export function outputsOf(contract) {
  switch (contract.task) {
    case "top_down":
      return [contract.output, ...(contract.visibility ? [contract.visibility.output] : [])];
    case "bottom_up":
      return [contract.heatmaps, contract.fields];
    case "one_stage":
      return [contract.scores, contract.boxes, contract.keypoints, contract.visibility];
    case "detection":
      return [...contract.levels.map(({ scores }) => scores), ...contract.levels.map(({ distances }) => distances)];
  }
}

/**
 * Returns what a file takes for a picture of noise, the same every time.
 * @param {Contract} contract
 * @returns {Values}
 */
export function noise({ input, normalization }) {
  let state = 1;
  const count = input.shape.reduce((product, length) => product * length, 1);
  const pixels = Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
  return toInput(pixels, input, normalization);
}

/**
 * Says what is wrong with a network's raw outputs.
 * @param {TensorSpec[]} specs
 * @param {Record<string, ArrayLike<number>>} outputs by name.
 * @param {Record<string, ArrayLike<number>>} expected by name; empty: only what no network returns is looked for.
 * @returns {string | null} null: nothing is.
 */
export function difference(specs, outputs, expected) {
  for (const spec of specs) {
    const { name } = spec;
    const [values, wanted] = [outputs[name], expected[name]];
    if (!values) return `it returns no ${name}`;
    const numBroken = count(values, (value) => !Number.isFinite(value));
    if (numBroken) return `it returns NaN or infinity: ${numBroken} of ${values.length} numbers of ${name}`;
    if (wanted && wanted.length !== values.length) return `it returns ${values.length} numbers of ${name}, not ${wanted.length}`;
    if (values.length > 1 && isConstant(values) && !(wanted && isConstant(wanted))) {
      return `it returns the same number everywhere in ${name}`;
    }
    const words = wanted && distance(spec, toReal(values, spec), toReal(wanted, spec));
    if (words) return words;
  }
  return null;
}

/**
 * @param {ArrayLike<number>} values
 * @param {(value: number) => boolean} test
 */
function count(values, test) {
  let number = 0;
  for (let i = 0; i < values.length; i++) number += Number(test(values[i]));
  return number;
}

/** @param {ArrayLike<number>} values */
function isConstant(values) {
  return count(values, (value) => value === values[0]) === values.length;
}

/**
 * @param {TensorSpec} spec
 * @param {Float32Array} values
 * @param {Float32Array} wanted
 * @returns {string | null}
 */
function distance({ name, scale }, values, wanted) {
  const mean = wanted.reduce((sum, value) => sum + value, 0) / wanted.length;
  const deviation = Math.sqrt(wanted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / wanted.length);
  const off = Math.sqrt(wanted.reduce((sum, value, i) => sum + (values[i] - value) ** 2, 0) / wanted.length);
  if (off <= MOST_OFF * deviation + MOST_STEPS_OFF * (scale ?? 0)) return null;
  return `it computes something else than it should: ${name} is off by ${(off / deviation).toFixed(2)} of its standard deviation`;
}
