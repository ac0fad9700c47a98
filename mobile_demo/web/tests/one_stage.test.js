/** One-stage networks: contract, and people out of outputs. Numbers are those of tests/unit/runtime/test_one_stage.py. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ContractError, OneStageEstimator, decodePeople, fromEntry } from "../core/index.js";

const NUM_PEOPLE = 4;
const NAMES = ["nose", "left_eye", "right_eye"];

/** @param {object} [changes] */
function entry(changes = {}) {
  const tensor = (/** @type {string} */ name, /** @type {number[]} */ shape) => ({
    name: `people_${name}`, shape: [1, NUM_PEOPLE, ...shape], dtype: "float32", scale: null, zero_point: null,
  }); // prettier-ignore
  return {
    task: "one_stage",
    model: "rtmo_s",
    quantization: "int8",
    input: {
      name: "image", shape: [1, 64, 96, 3], dtype: "uint8", scale: null, zero_point: null,
      channel_order: "RGB", normalization: null,
    },
    scores: tensor("scores", []),
    boxes: tensor("boxes", [4]),
    keypoints: tensor("keypoints", [2 * NAMES.length]),
    visibility: tensor("visibility", [NAMES.length]),
    codec: { kind: "people", score_threshold: 0.1, iou_threshold: 0.65, max_people: 100 },
    skeleton: { name: "face", names: NAMES, limb_pairs: [[0, 1]], mirror_pairs: [[1, 2]], oks_sigmas: [] },
    ...changes,
  }; // prettier-ignore
}

const BOXES = [[10, 10, 30, 50], [11, 10, 31, 50], [60, 10, 80, 50], [0, 0, 9, 9]]; // prettier-ignore
const OUTPUTS = {
  scores: Float32Array.from([0.9, 0.8, 0.7, 0.05]),
  boxes: Float32Array.from(BOXES.flat()),
  keypoints: Float32Array.from(BOXES.flatMap(([x1, y1, x2, y2]) => NAMES.flatMap(() => [(x1 + x2) / 2, (y1 + y2) / 2]))),
  visibility: Float32Array.from(BOXES.flatMap(() => [0, 0.5, 1])),
};

const contract = /** @type {import("../core/contract.js").OneStageContract} */ (fromEntry(entry()));

test("of cells that see one person the best stays, and comes back to the picture", () => {
  const people = decodePeople(OUTPUTS, contract.codec, { scaleX: 0.5, scaleY: 0.5 });
  assert.deepEqual(people.map(({ score }) => score), [0.9, 0.7].map(Math.fround));
  assert.deepEqual(people[0].box, [20.5, 20.5, 60.5, 100.5]);
  assert.deepEqual([...people[1].keypointsXy.subarray(2, 4)], [140.5, 60.5]);
  assert.deepEqual([...people[0].keypointScores], [0, 0.5, 1]);
});

test("nobody is no error, and no more people stay than the codec says", () => {
  const { codec } = contract;
  const scale = { scaleX: 1, scaleY: 1 };
  assert.deepEqual(decodePeople(OUTPUTS, { ...codec, scoreThreshold: 0.95 }, scale), []);
  assert.equal(decodePeople(OUTPUTS, { ...codec, maxPeople: 1 }, scale).length, 1);
});

test("a picture goes in, people come out without a detector", async () => {
  const run = async () => Object.fromEntries(Object.entries(OUTPUTS).map(([name, values]) => [`people_${name}`, values]));
  const image = { width: 192, height: 128, channels: /** @type {3} */ (3), data: new Uint8Array(192 * 128 * 3) };
  const people = await new OneStageEstimator(contract, run, { boxThreshold: 0.8 }).estimate(image);
  assert.deepEqual(people.map(({ box }) => box), [[20.5, 20.5, 60.5, 100.5]]);
});

test("what does not fit is refused by name", () => {
  const refused = (/** @type {object} */ changes, /** @type {RegExp} */ message) =>
    assert.throws(() => fromEntry(entry(changes)), (error) => error instanceof ContractError && message.test(error.message));
  refused({ codec: { kind: "part_affinity" } }, /has the codec part_affinity/);
  refused({ boxes: { ...entry().boxes, shape: [1, 3, 4] } }, /boxes 3x4, expected 4x4/);
  refused({ task: "segmentation" }, /not models for segmentation/);
});
