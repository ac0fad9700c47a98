/** The page's session: files that find everybody by themselves, and those that need boxes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { fromEntry } from "../core/index.js";
import { POSE_TASKS, Session, seesWholePictures } from "../worker/session.js";

const NAMES = ["nose", "left_eye", "right_eye"];
const [WIDTH, HEIGHT] = [96, 64];

/**
 * @param {string} name
 * @param {number[]} shape
 */
function tensor(name, shape) {
  return { name, shape: [1, ...shape], dtype: "float32", scale: null, zero_point: null };
}

const COMMON = {
  model: "rtmo_t",
  quantization: "float16",
  input: {
    name: "image", shape: [1, HEIGHT, WIDTH, 3], dtype: "uint8", scale: 1, zero_point: 0,
    channel_order: "RGB", normalization: null,
  },
  skeleton: { name: "face", names: NAMES, limb_pairs: [[0, 1], [0, 2]], mirror_pairs: [[1, 2]], oks_sigmas: [0.1, 0.1, 0.1] },
}; // prettier-ignore

const ONE_STAGE = {
  ...COMMON,
  task: "one_stage",
  scores: tensor("scores", [2]),
  boxes: tensor("boxes", [2, 4]),
  keypoints: tensor("keypoints", [2, 2 * NAMES.length]),
  visibility: tensor("visibility", [2, NAMES.length]),
  codec: { kind: "people", score_threshold: 0.1, iou_threshold: 0.65, max_people: 100 },
};

/** A person whose upper left corner is at (x, 10), and one whom nobody believes. */
function onePersonAt(/** @type {number} */ x) {
  return {
    scores: Float32Array.from([0.9, 0.2]),
    boxes: Float32Array.from([x, 10, x + 20, 50, 50, 10, 70, 50]),
    keypoints: Float32Array.from([x + 10, 15, x + 5, 12, x + 15, 12, 60, 15, 55, 12, 65, 12]),
    visibility: Float32Array.from([0.9, 0.9, 0.9, 0.9, 0.9, 0.9]),
  };
}

/** @param {any} entry */
function contractOf(entry) {
  return /** @type {import("../worker/session.js").PeopleContract} */ (fromEntry(entry));
}

/**
 * @param {number | null} seconds
 * @param {boolean} [isSmoothed]
 */
function frame(seconds, isSmoothed = false) {
  const data = new Uint8ClampedArray(WIDTH * HEIGHT * 4);
  const image = { width: WIDTH, height: HEIGHT, channels: /** @type {4} */ (4), data };
  return { image, seconds, detectEvery: 10, isSmoothed };
}

test("a one-stage file finds, follows and steadies people on every frame, without a detector", async () => {
  let x = 20;
  let numRuns = 0;
  const run = async () => {
    numRuns++;
    return onePersonAt(x);
  };
  const session = new Session({ contract: contractOf(ONE_STAGE), run }, null);

  const first = await session.analyse(frame(1, true));
  x = 22;
  const second = await session.analyse(frame(1.04, true));

  // The one of score 0.2 is below what suits one-stage files.
  assert.deepEqual(first.people.map(({ box, trackId }) => [...box, trackId]), [[20, 10, 40, 50, 0]]);
  assert.deepEqual(second.people.map(({ trackId }) => trackId), [0]);
  const [noseX] = second.people[0].keypointsXy;
  assert.ok(noseX > 30 && noseX < 32, `${noseX}`);
  assert.deepEqual([first.isDetected, second.isDetected, numRuns], [true, true, 2]);
  assert.deepEqual(Object.keys(second.stages), ["letterbox", "pose", "decode"]);
});

test("a video that was wound back has new people; a picture has none of a video's", async () => {
  const session = new Session({ contract: contractOf(ONE_STAGE), run: async () => onePersonAt(20) }, null);
  await session.analyse(frame(5));
  const { people } = await session.analyse(frame(1));
  assert.equal(people[0].trackId, 0);
  const picture = await session.analyse(frame(null));
  assert.equal(picture.people[0].trackId, -1);
});

test("a bottom-up file finds a nose in its maps, and nobody in empty ones", async () => {
  const [rows, columns] = [HEIGHT / 8, WIDTH / 8];
  const contract = contractOf({
    ...COMMON,
    task: "bottom_up",
    heatmaps: tensor("heatmaps", [rows, columns, NAMES.length + 1]),
    fields: tensor("fields", [rows, columns, 4]),
    codec: {
      kind: "part_affinity", input_hw: [HEIGHT, WIDTH], stride: 8, sigma: 0.875, limb_width: 1, min_peak: 0.1, max_peaks: 256,
      num_points: 10, min_field: 0.05, min_share: 0.8, max_gap: 1.2, min_keypoints: 1, min_score: 0.1, matching: "greedy",
    },
  }); // prettier-ignore
  const maps = { heatmaps: new Float32Array(rows * columns * 4), fields: new Float32Array(rows * columns * 4) };
  const session = new Session({ contract, run: async () => maps }, null);
  assert.deepEqual((await session.analyse(frame(1))).people, []);
  maps.heatmaps[4 * (2 * columns + 3)] = 0.8;
  const { people, isDetected } = await session.analyse(frame(2));
  assert.equal(people.length, 1);
  const [x, y] = people[0].keypointsXy;
  assert.ok(Math.abs(x - 28) < 4 && Math.abs(y - 20) < 4, `${x}, ${y}`); // the middle of that cell
  assert.equal(isDetected, true);
});

test("a file that finds everybody takes no detector", () => {
  const run = async () => onePersonAt(20);
  const detector = /** @type {any} */ ({ contract: {}, run });
  assert.throws(() => new Session({ contract: contractOf(ONE_STAGE), run }, detector), /finds the people itself/);
  assert.deepEqual(POSE_TASKS.map(seesWholePictures), [false, true, true]);
});
