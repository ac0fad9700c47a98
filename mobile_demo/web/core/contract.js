/**
 * Reading `pose_model.json`: what must be known of a model file; SPEC.md, section 12.
 *
 * @import { BoxSettings } from "./detector.js"
 * @import { Codec } from "./codecs.js"
 * @import { PartAffinityCodec } from "./part_affinity.js"
 * @import { ScoreCalibration, Visibility } from "./certainty.js"
 * @import { Skeleton, Size } from "./types.js"
 * @import { Normalization, TensorSpec } from "./tensors.js"
 *
 * @typedef {object} PoseContract
 * @property {"top_down"} task
 * @property {string} model name in the zoo.
 * @property {string} quantization
 * @property {Size} inputHw
 * @property {TensorSpec} input
 * @property {Normalization | null} normalization null: it is inside the file.
 * @property {TensorSpec} output
 * @property {number} boxPadding factor from person box to crop.
 * @property {Codec} codec
 * @property {Skeleton} skeleton
 * @property {Visibility | null} visibility null: the file does not say it.
 * @property {ScoreCalibration | null} scoreCalibration null: scores are what they are.
 *
 * @typedef {object} DetectorContract
 * @property {"detection"} task
 * @property {string} model
 * @property {string} quantization
 * @property {Size} inputHw
 * @property {TensorSpec} input
 * @property {Normalization | null} normalization
 * @property {{stride: number, scores: TensorSpec, distances: TensorSpec}[]} levels
 * @property {string[]} classNames
 * @property {BoxSettings} settings
 *
 * @typedef {object} PeopleCodec which people are kept.
 * @property {number} scoreThreshold only people with a higher score are looked at.
 * @property {number} iouThreshold people whose box overlaps a better one by more than this go.
 * @property {number} maxPeople people kept at the end.
 *
 * @typedef {object} OneStageContract
 * @property {"one_stage"} task
 * @property {string} model
 * @property {string} quantization
 * @property {Size} inputHw
 * @property {TensorSpec} input
 * @property {Normalization | null} normalization
 * @property {TensorSpec} scores
 * @property {TensorSpec} boxes
 * @property {TensorSpec} keypoints
 * @property {TensorSpec} visibility
 * @property {PeopleCodec} codec
 * @property {Skeleton} skeleton
 *
 * @typedef {object} BottomUpContract
 * @property {"bottom_up"} task
 * @property {string} model
 * @property {string} quantization
 * @property {Size} inputHw
 * @property {TensorSpec} input
 * @property {Normalization | null} normalization
 * @property {TensorSpec} heatmaps one for each keypoint, and the background.
 * @property {TensorSpec} fields x and y of each limb.
 * @property {PartAffinityCodec} codec
 * @property {Skeleton} skeleton its limbs are those of the fields.
 *
 * @typedef {PoseContract | DetectorContract | OneStageContract | BottomUpContract} Contract
 */

import { KINDS } from "./certainty.js";
import { outputShape, readCodec } from "./codecs.js";
import { DamagedError, findText, withoutText } from "./embedded.js";
import { readPartAffinity } from "./part_affinity.js";
import { sha256 } from "./sha256.js";

/** The version of contracts that is read here. */
export const SCHEMA_VERSION = 1;

/** What is said of a file that cannot be used; to be shown as it is. */
export class ContractError extends Error {}

/**
 * Reads a file's contract, and holds the file against it. What stands beside the file is
 * preferred to what stands inside.
 *
 * @param {any} json content of the `pose_model.json` beside the file; null without one.
 * @param {string} fileName key of its "models".
 * @param {Uint8Array} [bytes] the file's; without them its hash is not checked.
 * @returns {Promise<Contract>}
 * @throws {ContractError} names what is missing, or does not fit.
 */
export async function readContract(json, fileName, bytes) {
  if (json) checkVersion(json);
  const entry = json?.models?.[fileName];
  if (entry) {
    if (bytes) await checkFile(entry.file, fileName, bytes);
    return fromEntry(entry);
  }
  const embedded = bytes && (await readEmbedded(fileName, bytes));
  if (embedded) return fromEntry(embedded);
  const names = Object.keys(json?.models ?? {}).join(", ");
  const beside = json ? `The contract describes ${names || "nothing"}, but not ${fileName}` : `There is no pose_model.json`;
  throw new ContractError(`${beside}${bytes ? `, and there is no contract inside ${fileName}` : ""}.`);
}

/** @param {any} json */
function checkVersion(json) {
  const version = json?.schema_version ?? "none";
  if (version === SCHEMA_VERSION) return;
  const remedy = version > SCHEMA_VERSION ? " A newer version of keras_pose wrote it: update this app." : "";
  throw new ContractError(`The contract has schema version ${version}; this app reads ${SCHEMA_VERSION}.${remedy}`);
}

/**
 * Reads the contract that a file carries.
 * @param {string} fileName
 * @param {Uint8Array} bytes
 * @returns {Promise<any>} null for a file without one.
 */
async function readEmbedded(fileName, bytes) {
  try {
    const text = findText(bytes);
    if (!text) return null;
    const json = JSON.parse(new TextDecoder().decode(bytes.subarray(text.start, text.start + text.length)));
    checkVersion(json);
    const actual = await sha256(withoutText(bytes, text));
    if (json.embedded?.sha256_with_this_text_as_zeros === actual) return json;
  } catch (error) {
    if (error instanceof DamagedError || error instanceof SyntaxError) {
      throw new ContractError(`${fileName} is damaged: ${error.message}.`);
    }
    throw error;
  }
  throw new ContractError(`${fileName} is not the file that the contract inside was written for. Export it anew.`);
}

/**
 * @param {any} file
 * @param {string} fileName
 * @param {Uint8Array} bytes
 */
async function checkFile(file, fileName, bytes) {
  const actual = await sha256(bytes);
  if (file?.sha256 !== actual) {
    throw new ContractError(
      `${fileName} is not the file its contract describes: its SHA-256 begins ` +
        `${actual.slice(0, 12)}, the contract says ${String(file?.sha256).slice(0, 12)}. Export it anew.`,
    );
  }
}

/**
 * Reads one entry of a contract.
 * @param {any} entry
 * @returns {Contract}
 */
export function fromEntry(entry) {
  const task = entry.task ?? "top_down";
  if (!Object.hasOwn(READERS, task)) {
    throw new ContractError(`This app runs pose models and detectors, not models for ${task}.`);
  }
  try {
    return READERS[task](entry);
  } catch (error) {
    if (error instanceof ContractError) throw error;
    throw new ContractError(`The contract of ${entry.model} cannot be read: ${/** @type {Error} */ (error).message}`);
  }
}

/** @type {Record<string, (entry: any) => Contract>} */
const READERS = {
  top_down: poseContract,
  detection: detectorContract,
  one_stage: oneStageContract,
  bottom_up: bottomUpContract,
};

/**
 * @param {any} entry
 * @returns {Skeleton}
 */
function skeletonOf({ skeleton }) {
  return {
    name: skeleton.name,
    names: [...skeleton.names],
    limbPairs: [...skeleton.limb_pairs],
    mirrorPairs: [...skeleton.mirror_pairs],
    oksSigmas: [...skeleton.oks_sigmas],
  };
}

/**
 * @param {any} entry
 * @returns {OneStageContract}
 */
function oneStageContract(entry) {
  const { codec, model } = entry;
  if (codec.kind !== "people") {
    throw new ContractError(`The contract of ${model} has the codec ${codec.kind}; this app reads people.`);
  }
  const skeleton = skeletonOf(entry);
  const numKeypoints = skeleton.names.length;
  const tensors = {
    scores: tensorSpec(entry.scores),
    boxes: tensorSpec(entry.boxes),
    keypoints: tensorSpec(entry.keypoints),
    visibility: tensorSpec(entry.visibility),
  };
  const [numPeople] = tensors.scores.shape.slice(1);
  mustBe("scores", tensors.scores.shape.slice(1), [numPeople], model);
  mustBe("boxes", tensors.boxes.shape.slice(1), [numPeople, 4], model);
  mustBe("keypoints", tensors.keypoints.shape.slice(1), [numPeople, 2 * numKeypoints], model);
  mustBe("visibility", tensors.visibility.shape.slice(1), [numPeople, numKeypoints], model);
  return {
    task: "one_stage",
    ...common(entry, inputSpec(entry)),
    ...tensors,
    codec: {
      scoreThreshold: number(codec.score_threshold, "codec.score_threshold"),
      iouThreshold: number(codec.iou_threshold, "codec.iou_threshold"),
      maxPeople: number(codec.max_people, "codec.max_people"),
    },
    skeleton,
  };
}

/**
 * @param {any} entry
 * @returns {BottomUpContract}
 */
function bottomUpContract(entry) {
  const { model } = entry;
  const codec = readPartAffinity(entry.codec);
  const skeleton = skeletonOf(entry);
  const [numKeypoints, numLimbs] = [skeleton.names.length, skeleton.limbPairs.length];
  if (!numLimbs) throw new ContractError(`The contract of ${model}: a bottom-up network needs a skeleton with limbs, got ${skeleton.name}.`);
  for (const pair of skeleton.limbPairs) {
    if (pair.length === 2 && pair.every((end) => Number.isInteger(end) && end >= 0 && end < numKeypoints)) continue;
    throw new ContractError(`The contract's skeleton.limb_pairs must be pairs below ${numKeypoints}, got ${pair}.`);
  }
  const [input, heatmaps, fields] = [inputSpec(entry), tensorSpec(entry.heatmaps), tensorSpec(entry.fields)];
  const cells = codec.inputHw.map((size) => size / codec.stride);
  mustBe("heatmaps", heatmaps.shape.slice(1), [...cells, numKeypoints + 1], model);
  mustBe("fields", fields.shape.slice(1), [...cells, 2 * numLimbs], model);
  mustBe("input", input.shape.slice(1), [...codec.inputHw, 3], model);
  return { task: "bottom_up", ...common(entry, input), heatmaps, fields, codec, skeleton };
}

/**
 * @param {any} entry
 * @returns {PoseContract}
 */
function poseContract(entry) {
  const codec = readCodec(entry.codec);
  const input = inputSpec(entry);
  const output = tensorSpec(entry.output);
  const skeleton = skeletonOf(entry);
  mustBe("output", output.shape.slice(1), outputShape(codec, skeleton.names.length), entry.model);
  mustBe("input", input.shape.slice(1), [...codec.inputHw, 3], entry.model);
  return {
    task: "top_down",
    ...common(entry, input),
    output,
    boxPadding: number(entry.crop.box_padding, "crop.box_padding"),
    codec,
    skeleton,
    visibility: visibilityOf(entry, skeleton.names.length),
    scoreCalibration: scoreCalibrationOf(entry),
  };
}

/**
 * @param {any} entry
 * @param {number} numKeypoints
 * @returns {Visibility | null}
 */
function visibilityOf({ visibility, model }, numKeypoints) {
  if (!visibility) return null;
  const { kinds } = visibility;
  if (!Array.isArray(kinds) || kinds.length !== KINDS.length || KINDS.some((kind, i) => kinds[i] !== kind)) {
    throw new ContractError(`The contract's visibility.kinds must be ${KINDS.join(", ")}, got ${kinds}.`);
  }
  const output = tensorSpec(visibility);
  mustBe("visibility", output.shape.slice(1), [numKeypoints, KINDS.length], model);
  return { output, temperature: positive(visibility.temperature, "visibility.temperature") };
}

/**
 * @param {any} entry
 * @returns {ScoreCalibration | null}
 */
function scoreCalibrationOf({ score_calibration: values }) {
  if (!values) return null;
  if (values.kind !== "logistic") {
    throw new ContractError(`The contract's score_calibration.kind must be logistic, got ${values.kind}.`);
  }
  return {
    slope: positive(values.slope, "score_calibration.slope"),
    intercept: number(values.intercept, "score_calibration.intercept"),
  };
}

/**
 * @param {unknown} value
 * @param {string} field
 */
function positive(value, field) {
  if (number(value, field) > 0) return number(value, field);
  throw new ContractError(`The contract's ${field} must be above 0, got ${value}.`);
}

/**
 * @param {any} entry
 * @returns {DetectorContract}
 */
function detectorContract(entry) {
  const input = inputSpec(entry);
  const levels = entry.strides.map((/** @type {number} */ stride, /** @type {number} */ i) => {
    const level = { stride, scores: tensorSpec(entry.scores[i]), distances: tensorSpec(entry.distances[i]) };
    const cells = [input.shape[1] / stride, input.shape[2] / stride].map(Math.floor);
    mustBe("scores", level.scores.shape.slice(1), [...cells, entry.class_names.length], entry.model);
    mustBe("distances", level.distances.shape.slice(1), [...cells, 4], entry.model);
    return level;
  });
  const { settings } = entry;
  return {
    task: "detection",
    ...common(entry, input),
    levels,
    classNames: [...entry.class_names],
    settings: {
      scoreThreshold: number(settings.score_threshold, "settings.score_threshold"),
      iouThreshold: number(settings.iou_threshold, "settings.iou_threshold"),
      maxPerLevel: number(settings.max_per_level, "settings.max_per_level"),
      maxDetections: number(settings.max_detections, "settings.max_detections"),
    },
  };
}

/**
 * @param {any} entry
 * @param {TensorSpec} input
 */
function common(entry, input) {
  const inputHw = /** @type {[number, number]} */ (input.shape.slice(1, 3));
  const given = entry.input.normalization;
  const normalization = given && { mean: given.mean, std: given.std, channelOrder: given.channel_order };
  return { model: entry.model, quantization: entry.quantization, inputHw, input, normalization: normalization ?? null };
}

/**
 * @param {any} entry
 * @returns {TensorSpec}
 */
function inputSpec({ input, model }) {
  if (input.channel_order !== "RGB") {
    throw new ContractError(`${model} wants ${input.channel_order} images; this app gives RGB.`);
  }
  return tensorSpec(input);
}

/**
 * @param {any} values
 * @returns {TensorSpec}
 */
function tensorSpec({ name, shape, dtype, scale, zero_point: zeroPoint }) {
  if (typeof name !== "string" || !Array.isArray(shape) || typeof dtype !== "string") {
    throw new ContractError(`A tensor needs name, shape and dtype, got ${name}, ${shape}, ${dtype}.`);
  }
  return { name, shape, dtype, scale: scale ?? null, zeroPoint: zeroPoint ?? null };
}

/**
 * @param {unknown} value
 * @param {string} field
 */
function number(value, field) {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new ContractError(`The contract's ${field} must be a number, got ${value}.`);
  }
  return value;
}

/**
 * @param {string} what
 * @param {number[]} actual
 * @param {readonly number[]} expected
 * @param {string} model
 */
function mustBe(what, actual, expected, model) {
  if (actual.length !== expected.length || actual.some((size, i) => size !== expected[i])) {
    throw new ContractError(`The contract of ${model} says ${what} ${actual.join("x")}, expected ${expected.join("x")}.`);
  }
}
