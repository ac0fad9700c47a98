/** What a network does not know, by figures computed by hand. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { calibrated, fromEntry, isOutside, probabilities } from "../core/index.js";

/** @param {object} more fields of the contract. */
function entry(more) {
  const tensor = { shape: [1, 8, 6, 2], dtype: "float32", scale: null, zero_point: null };
  return {
    task: "top_down",
    model: "tiny",
    quantization: "float32",
    input: { ...tensor, name: "image", shape: [1, 32, 24, 3], channel_order: "RGB", normalization: null },
    output: { ...tensor, name: "heatmaps" },
    crop: { box_padding: 1.25 },
    codec: { kind: "gaussian", input_hw: [32, 24], stride: 4, sigma: 1 },
    skeleton: { name: "two", names: ["a", "b"], limb_pairs: [], mirror_pairs: [], oks_sigmas: [] },
    ...more,
  };
}

const VISIBILITY = {
  name: "visibility",
  shape: [1, 2, 3],
  dtype: "int8",
  scale: 0.1,
  zero_point: 4,
  kinds: ["visible", "hidden", "outside"],
  temperature: 2,
};

test("logits become probabilities, three a keypoint", () => {
  const shares = probabilities(Float32Array.of(2, 0, 0, 900, -900, 0), 2);
  const expected = [Math.E / (Math.E + 2), 1 / (Math.E + 2), 1 / (Math.E + 2), 1, 0, 0];
  expected.forEach((share, i) => assert.ok(Math.abs(shares[i] - share) < 1e-6, `${shares[i]}, not ${share}`));
});

test("scores become shares", () => {
  const [share, none] = calibrated(Float32Array.of(0.5, -1e9), { slope: 8, intercept: -3 });
  assert.ok(Math.abs(share - 1 / (1 + Math.exp(-1))) < 1e-6);
  assert.ok(none < 1e-25);
});

test("a keypoint is outside where that is likelier than not", () => {
  const person = /** @type {any} */ ({ visibility: Float32Array.of(0.6, 0.2, 0.2, 0.2, 0.2, 0.6) });
  assert.deepEqual([0, 1].map((k) => isOutside(person, k)), [false, true]);
  assert.equal(isOutside(/** @type {any} */ ({ visibility: null }), 0), false);
});

test("the contract says both, or neither", () => {
  const calibration = { kind: "logistic", slope: 8, intercept: -3, tolerance: 0.5 };
  const read = /** @type {any} */ (fromEntry(entry({ visibility: VISIBILITY, score_calibration: calibration })));
  assert.equal(read.visibility.temperature, 2);
  assert.equal(read.visibility.output.zeroPoint, 4);
  assert.deepEqual(read.scoreCalibration, { slope: 8, intercept: -3 });
  const plain = /** @type {any} */ (fromEntry(entry({})));
  assert.deepEqual([plain.visibility, plain.scoreCalibration], [null, null]);
});

test("what makes no sense is refused", () => {
  const wrong = [{ temperature: 0 }, { kinds: ["seen"] }, { shape: [1, 3, 3] }];
  for (const change of wrong) {
    assert.throws(() => fromEntry(entry({ visibility: { ...VISIBILITY, ...change } })), /visibility/);
  }
});
