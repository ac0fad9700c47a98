/** Bottom-up networks: contract, and people out of maps. The parity pack holds the rules, case by case. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { BottomUpEstimator, ContractError, assemblePeople, decodeCrowd, fromEntry } from "../core/index.js";

const NAMES = ["nose", "left_eye", "right_eye"];
const CODEC = {
  kind: "part_affinity", input_hw: [48, 64], stride: 8, sigma: 0.875, limb_width: 1, min_peak: 0.1, max_peaks: 256,
  num_points: 10, min_field: 0.05, min_share: 0.8, max_gap: 1.2, min_keypoints: 1, min_score: 0.1, matching: "greedy",
}; // prettier-ignore

/** @param {any} [changes] of the entry; those of its codec are put into it. */
function entry({ codec = {}, ...changes } = {}) {
  const tensor = (/** @type {string} */ name, /** @type {number} */ channels) => ({
    name, shape: [1, 6, 8, channels], dtype: "float32", scale: null, zero_point: null,
  }); // prettier-ignore
  return {
    task: "bottom_up",
    model: "openpose_lite",
    quantization: "int8",
    input: {
      name: "image", shape: [1, 48, 64, 3], dtype: "uint8", scale: null, zero_point: null,
      channel_order: "RGB", normalization: null,
    },
    heatmaps: tensor("maps", NAMES.length + 1),
    fields: tensor("vectors", 4),
    codec: { ...CODEC, ...codec },
    skeleton: { name: "face", names: NAMES, limb_pairs: [[0, 1], [0, 2]], mirror_pairs: [[1, 2]], oks_sigmas: [] },
    ...changes,
  }; // prettier-ignore
}

const contract = /** @type {import("../core/contract.js").BottomUpContract} */ (fromEntry(entry()));

/**
 * Two people: a nose at (1, 2) with both eyes beside it, three cells apart; a nose at (6, 4) alone.
 * @param {number} [height] of all peaks.
 */
function drawn(height = 0.75) {
  const heatmaps = new Float32Array(6 * 8 * 4);
  const fields = new Float32Array(6 * 8 * 4);
  const peak = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ k) =>
    (heatmaps[(8 * y + x) * 4 + k] = height);
  peak(1, 1, 0);
  peak(4, 1, 1);
  peak(1, 4, 2);
  peak(6, 4, 0);
  for (let x = 1; x <= 4; x++) fields[(8 + x) * 4] = 1;
  for (let y = 1; y <= 4; y++) fields[(8 * y + 1) * 4 + 3] = 1;
  return { heatmaps, fields };
}

test("peaks whose limbs lead to each other are one person, and come back to the picture", () => {
  const people = decodeCrowd(drawn(), contract, { scaleX: 0.5, scaleY: 0.5 });
  assert.deepEqual(people.map(({ score }) => score), [0.75, 0.25]);
  // Cell 1 is pixel 11.5 of the input, and 23.5 of the picture.
  assert.deepEqual([...people[0].keypointsXy], [23.5, 23.5, 71.5, 23.5, 23.5, 71.5]);
  assert.deepEqual(people[0].box, [23.5, 23.5, 71.5, 71.5]);
  assert.deepEqual([...people[1].keypointsXy], [103.5, 71.5, 0, 0, 0, 0]);
  assert.deepEqual([...people[1].keypointScores], [0.75, 0, 0]);
  assert.deepEqual(people[1].box, [103.5, 71.5, 103.5, 71.5]);
});

test("nobody is no error", () => {
  assert.deepEqual(decodeCrowd(drawn(0), contract, { scaleX: 1, scaleY: 1 }), []);
});

test("a picture goes in, people come out without a detector", async () => {
  const { heatmaps, fields } = drawn();
  const run = async (/** @type {ArrayLike<number>} */ input) => {
    assert.equal(input.length, 48 * 64 * 3);
    return { maps: heatmaps, vectors: fields };
  };
  const image = { width: 128, height: 96, channels: /** @type {3} */ (3), data: new Uint8Array(128 * 96 * 3) };
  assert.equal((await new BottomUpEstimator(contract, run).estimate(image)).length, 2);
  const people = await new BottomUpEstimator(contract, run, { boxThreshold: 0.25 }).estimate(image);
  assert.deepEqual(people.map(({ box }) => box), [[23.5, 23.5, 71.5, 71.5]]);
});

test("maps that are no numbers are nobody, and hang nothing up", () => {
  const heatmaps = new Float32Array(6 * 8 * 4).fill(NaN);
  assert.deepEqual(decodeCrowd({ heatmaps, fields: heatmaps }, contract, { scaleX: 1, scaleY: 1 }), []);
  const people = decodeCrowd({ ...drawn(), fields: heatmaps }, contract, { scaleX: 1, scaleY: 1 });
  assert.equal(people.length, 4);
});

test("a noisy crowd is decoded in bounded time", () => {
  const [height, width, numKeypoints] = [80, 80, 18];
  const limbPairs = Array.from({ length: 17 }, (_, i) => /** @type {[number, number]} */ ([i, i + 1]));
  let seed = 1;
  const noise = () => (seed = (16807 * seed) % 2147483647) / 2147483647;
  const maps = {
    height, width, numKeypoints, limbPairs,
    heatmaps: Float32Array.from({ length: height * width * 19 }, noise),
    fields: Float32Array.from({ length: height * width * 34 }, () => 2 * noise() - 1),
  }; // prettier-ignore
  const started = performance.now();
  const people = assemblePeople(maps, contract.codec);
  assert.ok(people.length > 200);
  assert.ok(performance.now() - started < 20_000);
  const scores = people.map(({ score }) => score);
  assert.deepEqual(scores, scores.toSorted((a, b) => b - a));
});

test("what does not fit is refused by rule and value", () => {
  const refused = (/** @type {object} */ changes, /** @type {RegExp} */ message) =>
    assert.throws(() => fromEntry(entry(changes)), (error) => error instanceof ContractError && message.test(error.message));
  refused({ codec: { kind: "people" } }, /part_affinity of bottom-up networks, not people/);
  refused({ codec: { matching: "hungarian" } }, /needs the matching greedy in this app, got hungarian/);
  refused({ codec: { sigma: 0 } }, /needs sigma above 0, got 0/);
  refused({ codec: { max_peaks: -1 } }, /needs max_peaks above 0, got -1/);
  refused({ codec: { num_points: 256 } }, /num_points of 1 to 255, got 256/);
  refused({ codec: { num_points: 2.5 } }, /a whole num_points, got 2.5/);
  refused({ codec: { min_keypoints: 0 } }, /min_keypoints of at least 1, got 0/);
  refused({ codec: { max_gap: -0.1 } }, /max_gap of at least 0, got -0.1/);
  refused({ codec: { min_share: 1.5 } }, /0 < min_share <= 1, got 1.5/);
  refused({ codec: { min_field: undefined } }, /a number for min_field, got undefined/);
  refused({ codec: { input_hw: [44, 64] } }, /multiples of its stride 8, got 44,64/);
  refused({ heatmaps: { ...entry().heatmaps, shape: [1, 6, 8, 3] } }, /heatmaps 6x8x3, expected 6x8x4/);
  refused({ fields: { ...entry().fields, shape: [1, 6, 8, 6] } }, /fields 6x8x6, expected 6x8x4/);
  refused({ input: { ...entry().input, shape: [1, 64, 64, 3] } }, /input 64x64x3, expected 48x64x3/);
  refused({ skeleton: { ...entry().skeleton, limb_pairs: [] } }, /needs a skeleton with limbs, got face/);
  refused({ skeleton: { ...entry().skeleton, limb_pairs: [[0, 1], [0, 3]] } }, /pairs below 3, got 0,3/);
  assert.throws(
    () => decodeCrowd({ ...drawn(), fields: new Float32Array(5) }, contract, { scaleX: 1, scaleY: 1 }),
    /6x8x4 for the fields, the file gave 5 values/,
  );
});
