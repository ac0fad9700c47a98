/**
 * The core against Python: replays mobile_demo/parity, or the parity pack in the folder
 * that KERAS_POSE_PARITY names, as far as it needs no model file.
 */

import { test } from "node:test";
import { fileURLToPath } from "node:url";

import {
  BottomUpEstimator,
  OksTracker,
  OneEuroSmoother,
  OneStageEstimator,
  PoseEstimator,
  RegionFollower,
  calibrated,
  cropMatrix,
  decode,
  decodeBoxes,
  fromEntry,
  invertMatrix,
  isUsable,
  letterbox,
  letterboxHw,
  nextBox,
  oks,
  oksNms,
  personScore,
  probabilities,
  propose,
  readCodec,
  suppress,
  toInput,
  toReal,
  transformPoints,
  warpImage,
} from "../core/index.js";
import { assertEqual, part, picture, readPack, rows } from "./pack.js";

const folder = process.env.KERAS_POSE_PARITY ?? fileURLToPath(new URL("../../parity", import.meta.url));

/** @typedef {any} Fields of a case; docs/parity_pack.md says which. */

/** @type {Record<string, (given: Fields, expected: Fields) => void | Promise<void>>} */
const REPLAYS = {
  crop: replayCrop,
  input: replayInput,
  real: ({ raw, output }, { real }) => assertEqual("real", toReal(raw.data, spec(output)), real),
  decode: replayDecode,
  certainty: replayCertainty,
  person_scores: replayPersonScores,
  letterbox: replayLetterbox,
  boxes: replayBoxes,
  people: replayPeople,
  nms: replayNms,
  oks: replayOks,
  oks_nms: replayOksNms,
  regions: replayRegions,
  tracks: replayTracks,
  smoothing: replaySmoothing,
  defaults: replayDefaults,
  clip: replayClip,
};

for (const { name, kind, needs, given, expected } of readPack(folder).cases) {
  const skip = needs.length ? `needs to run the model: ${needs}` : false;
  test(name, { skip }, () => REPLAYS[kind](given, expected));
}

/** @param {Fields} values */
function spec({ name, shape, dtype, scale, zero_point: zeroPoint }) {
  return { name, shape, dtype, scale, zeroPoint };
}

/** @param {Fields} settings */
function boxSettings(settings) {
  return {
    scoreThreshold: settings.score_threshold,
    iouThreshold: settings.iou_threshold,
    maxPerLevel: settings.max_per_level,
    maxDetections: settings.max_detections,
  };
}

/** @param {number[]} box x, y, width, height. */
function corners([x, y, width, height]) {
  return /** @type {[number, number, number, number]} */ ([x, y, x + width, y + height]);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayCrop(given, expected) {
  const box = corners([...given.box_xywh.data]);
  const matrix = cropMatrix(box, given.input_hw, given.box_padding, given.is_unbiased);
  const back = invertMatrix(matrix);
  assertEqual("image_to_crop", matrix, expected.image_to_crop);
  assertEqual("crop_to_image", back, expected.crop_to_image);
  assertEqual("crop", warpImage(picture(given.image), matrix, given.input_hw), expected.crop);
  assertEqual("points", transformPoints(back, given.points_xy.data), expected.points_in_image_xy);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayInput({ pixels, input }, expected) {
  const { mean, std, channel_order: channelOrder } = input.normalization ?? {};
  const normalization = input.normalization ? { mean, std, channelOrder } : null;
  assertEqual("input", toInput(pixels.data, spec(input), normalization), expected.input);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayDecode({ raw, output, codec, num_keypoints: numKeypoints }, expected) {
  const found = decode(readCodec(codec), toReal(raw.data, spec(output)), numKeypoints);
  assertEqual("crop_xy", found.keypointsXy, expected.crop_xy);
  assertEqual("keypoint_scores", found.scores, expected.keypoint_scores);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayPersonScores(given, expected) {
  const scores = rows(given.keypoint_scores).map((values, i) =>
    personScore(given.box_scores.data[i], Float32Array.from(values), given.threshold),
  );
  assertEqual("scores", scores, expected.scores);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayLetterbox({ image, input_hw: inputHw }, expected) {
  const fitted = letterbox(picture(image), inputHw);
  assertEqual("boxed", fitted.pixels, expected.boxed);
  assertEqual("content_hw", letterboxHw([image.shape[0], image.shape[1]], inputHw), expected.content_hw);
  assertEqual("scale_xy", [fitted.scaleX, fitted.scaleY], expected.scale_xy);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayCertainty(given, expected) {
  const logits = toReal(given.raw.data, spec(given.visibility));
  assertEqual("visibility", probabilities(logits, given.visibility.temperature), expected.visibility);
  if (!given.score_calibration) return;
  const scores = Float32Array.from(given.keypoint_scores.data);
  assertEqual("keypoint_scores", calibrated(scores, given.score_calibration), expected.keypoint_scores);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayBoxes(given, expected) {
  const real = given.raw.map((/** @type {Fields} */ raw, /** @type {number} */ i) =>
    toReal(raw.data, spec(given.outputs[i])),
  );
  const levels = given.strides.map((/** @type {number} */ stride, /** @type {number} */ i) => {
    const [, width, numClasses] = given.raw[i].shape;
    return { stride, width, numClasses, scores: real[i], distances: real[i + given.strides.length] };
  });
  const settings = boxSettings(given.settings);
  const [scaleX, scaleY] = given.scale_xy.data;
  const proposed = propose(levels, given.input_hw, settings);
  const found = decodeBoxes(levels, given.input_hw, { scaleX, scaleY }, given.image_hw, settings);
  for (const [prefix, detections] of /** @type {const} */ ([["proposed_", proposed], ["", found]])) {
    assertEqual(`${prefix}boxes`, detections.map(({ box }) => box), expected[`${prefix}boxes_xyxy`]);
    assertEqual(`${prefix}scores`, detections.map(({ score }) => score), expected[`${prefix}scores`]);
    assertEqual(`${prefix}labels`, detections.map(({ label }) => label), expected[`${prefix}labels`]);
  }
}

/** @param {import("../core/contract.js").Contract} contract */
function oneStage(contract) {
  if (contract.task !== "one_stage") throw new Error(`People are not found by a network for ${contract.task}.`);
  return contract;
}

/** @param {import("../core/contract.js").OneStageContract} contract */
function outputsOf({ scores, boxes, keypoints, visibility }) {
  return [scores, boxes, keypoints, visibility];
}

/** @type {(given: Fields, expected: Fields) => Promise<void>} */
async function replayPeople({ image, contract: entry, raw }, expected) {
  const contract = fromEntry(entry);
  const answer = async (/** @type {import("../core/tensors.js").TensorSpec[]} */ ...specs) =>
    Object.fromEntries(specs.map(({ name }, i) => [name, raw[i].data]));
  const options = { boxThreshold: 0 };
  const estimator =
    contract.task === "bottom_up"
      ? new BottomUpEstimator(contract, () => answer(contract.heatmaps, contract.fields), options)
      : new OneStageEstimator(oneStage(contract), () => answer(...outputsOf(oneStage(contract))), options);
  const found = await estimator.estimate(picture(image));
  assertEqual("boxes_xyxy", found.map(({ box }) => box), expected.boxes_xyxy);
  assertEqual("keypoints_xy", points(found), expected.keypoints_xy);
  assertEqual("keypoint_scores", found.flatMap(({ keypointScores }) => [...keypointScores]), expected.keypoint_scores);
  assertEqual("scores", found.map(({ score }) => score), expected.scores);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayNms(given, expected) {
  const detections = rows(given.boxes_xyxy).map((box, i) => ({
    box,
    score: given.scores.data[i],
    label: given.labels.data[i],
  }));
  const kept = suppress(detections, boxSettings(given.settings));
  assertEqual("kept", kept.map((one) => detections.indexOf(one)), expected.kept);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayOks(given, expected) {
  const sigmas = [...given.sigmas.data];
  const similarity = rows(given.poses_xy).map((pose, i) =>
    rows(given.others_xy).map((other, j) => {
      const counts = part(part(given.is_counted, i), j).data;
      return oks(pose, other, part(given.areas, i).data[j], sigmas, (k) => counts[k] === 1);
    }),
  );
  assertEqual("similarity", similarity, expected.similarity);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayOksNms(given, expected) {
  const poses = rows(given.keypoints_xy).map((keypointsXy, i) => ({
    keypointsXy,
    score: given.scores.data[i],
    area: given.areas.data[i],
  }));
  assertEqual("kept", oksNms(poses, [...given.sigmas.data], given.threshold), expected.kept);
}

/**
 * Returns people out of arrays.
 * @param {Fields} given
 * @returns {import("../core/types.js").Person[]}
 */
function people(given) {
  return rows(given.boxes_xyxy).map((box, i) => ({
    box,
    keypointsXy: Float32Array.from(part(given.keypoints_xy, i).data),
    keypointScores: Float32Array.from(given.keypoint_scores ? part(given.keypoint_scores, i).data : []),
    score: 1,
    trackId: given.track_ids ? given.track_ids.data[i] : -1,
  }));
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayRegions(given, expected) {
  const next = people(given).map((person) => nextBox(person, given.threshold));
  assertEqual("next_boxes_xyxy", next, expected.next_boxes_xyxy);
  assertEqual("can_follow", next.map((box) => Number(isUsable(box, given.image_hw))), expected.can_follow);
}

/**
 * Returns a skeleton of which only the sigmas matter.
 * @param {Fields} sigmas
 */
function skeletonOf(sigmas) {
  const oksSigmas = [...sigmas.data];
  return { name: "", names: oksSigmas.map(String), limbPairs: [], mirrorPairs: [], oksSigmas };
}

/** @param {Fields} settings */
function trackerSettings(settings) {
  return {
    oksThreshold: settings.oks_threshold,
    patience: settings.patience,
    keypointThreshold: settings.keypoint_threshold,
    minKeypoints: settings.min_keypoints,
  };
}

/** @param {Fields} settings */
function smootherSettings(settings) {
  return {
    minCutoff: settings.min_cutoff,
    beta: settings.beta,
    speedCutoff: settings.speed_cutoff,
    forgetAfter: settings.forget_after,
  };
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayTracks(given, expected) {
  const tracker = new OksTracker(skeletonOf(given.sigmas), trackerSettings(given.settings));
  for (const [i, frame] of given.frames.entries()) {
    const ids = tracker.update(people(frame)).map(({ trackId }) => trackId);
    assertEqual(`frame ${i}: track_ids`, ids, expected.frames[i].track_ids);
  }
}

/** @type {(given: Fields, expected: Fields) => void} */
function replaySmoothing(given, expected) {
  const smoother = new OneEuroSmoother(smootherSettings(given.settings));
  for (const [i, frame] of given.frames.entries()) {
    const smoothed = smoother.next(people(frame), frame.seconds);
    assertEqual(`frame ${i}: smoothed_xy`, points(smoothed), expected.frames[i].smoothed_xy);
  }
}

/** @param {import("../core/types.js").Person[]} people */
function points(people) {
  return people.flatMap(({ keypointsXy }) => [...keypointsXy]);
}

/** @type {(given: Fields, expected: Fields) => void} */
function replayDefaults({ contract: entry, names }, expected) {
  const contract = /** @type {import("../core/contract.js").PoseContract} */ (fromEntry(entry));
  const estimator = new PoseEstimator(contract, async () => ({}), /** @type {any} */ ({}));
  /** @type {Record<string, any>} */
  const parts = {
    estimator,
    follower: new RegionFollower(estimator),
    tracker: new OksTracker(contract.skeleton),
    smoother: new OneEuroSmoother(),
  };
  const defaults = names.map((/** @type {string} */ name) => {
    const [owner, setting] = name.split(".");
    return parts[owner][setting.replace(/_(.)/g, (_, letter) => letter.toUpperCase())];
  });
  assertEqual("defaults", defaults, expected.defaults);
}

/**
 * Returns a network of which the pack says what it answers.
 * @param {string} network
 * @param {() => Fields} frame
 * @param {number[]} inputHw
 * @param {string} outputName
 */
function playedNetwork(network, frame, [, width], outputName) {
  let call = 0;
  /** @type {import("../core/estimator.js").Run} */
  const run = async (crop) => {
    if (network === "playback") return { [outputName]: part(frame().raw, call++).data };
    const heatmaps = [];
    for (let i = 0; i < crop.length; i++) {
      const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
      if (x % 4 === 0 && y % 4 === 0) heatmaps.push(Math.fround(crop[i] / 255));
    }
    return { [outputName]: Float32Array.from(heatmaps) };
  };
  return { run, beginFrame: () => (call = 0) };
}

/** @type {(given: Fields, expected: Fields) => Promise<void>} */
async function replayClip({ network, contract: entry, settings, frames }, expected) {
  const contract = /** @type {import("../core/contract.js").PoseContract} */ (fromEntry(entry));
  let current = frames[0];
  const played = playedNetwork(network, () => current, [...contract.inputHw], contract.output.name);
  const estimator = new PoseEstimator(contract, played.run, /** @type {any} */ ({}), {
    nmsThreshold: settings.nms_threshold,
  });
  estimator.findPeople = async () =>
    rows(current.detected.boxes_xyxy).map((box, i) => ({ box, score: current.detected.scores.data[i], label: 0 }));
  const follower = new RegionFollower(estimator, {
    detectEvery: settings.detect_every,
    keypointThreshold: settings.keypoint_threshold,
    leastShare: settings.least_share,
  });
  const tracker = new OksTracker(contract.skeleton, trackerSettings(settings));
  const smoother = new OneEuroSmoother(smootherSettings(settings));
  for (const [i, frame] of frames.entries()) {
    current = frame;
    played.beginFrame();
    const before = follower.numDetected;
    const tracked = tracker.update(await follower.next(picture(frame.image)));
    const found = {
      boxes_xyxy: tracked.map(({ box }) => box),
      keypoints_xy: points(tracked),
      keypoint_scores: tracked.flatMap(({ keypointScores }) => [...keypointScores]),
      scores: tracked.map(({ score }) => score),
      track_ids: tracked.map(({ trackId }) => trackId),
      smoothed_xy: points(smoother.next(tracked, frame.seconds)),
      is_detected: [follower.numDetected - before],
    };
    for (const [name, values] of Object.entries(found)) {
      assertEqual(`frame ${i}: ${name}`, values, expected.frames[i][name]);
    }
  }
}
