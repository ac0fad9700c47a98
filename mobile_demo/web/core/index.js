/** The core of the pose apps: no DOM, no dependencies. Written down in mobile_demo/SPEC.md. */

/**
 * @typedef {import("./types.js").Box} Box
 * @typedef {import("./types.js").Detection} Detection
 * @typedef {import("./types.js").Person} Person
 * @typedef {import("./types.js").Picture} Picture
 * @typedef {import("./types.js").Size} Size
 * @typedef {import("./types.js").Skeleton} Skeleton
 * @typedef {import("./contract.js").BottomUpContract} BottomUpContract
 * @typedef {import("./contract.js").Contract} Contract
 * @typedef {import("./contract.js").DetectorContract} DetectorContract
 * @typedef {import("./contract.js").OneStageContract} OneStageContract
 * @typedef {import("./contract.js").PoseContract} PoseContract
 * @typedef {import("./estimator.js").Run} Run
 * @typedef {import("./estimator.js").Stopwatch} Stopwatch
 * @typedef {import("./estimator.js").Values} Values
 * @typedef {import("./tensors.js").Normalization} Normalization
 * @typedef {import("./tensors.js").TensorSpec} TensorSpec
 */

export { BottomUpEstimator, decodeCrowd } from "./bottom_up.js";
export { BUNDLE_VERSION, BundleError, checkBundled, checkTask, readManifest } from "./bundle.js";
export { KINDS, OUTSIDE_THRESHOLD, calibrated, isOutside, probabilities } from "./certainty.js";
export { CODEC_KINDS, decode, outputShape, readCodec } from "./codecs.js";
export { ContractError, SCHEMA_VERSION, fromEntry, readContract } from "./contract.js";
export { PERSON, boxIou, decodeBoxes, propose, suppress } from "./detector.js";
export { PoseEstimator, personScore } from "./estimator.js";
export { cropMatrix, invertMatrix, isUsable, transformPoints, warpImage, wholeImageBox } from "./geometry.js";
export { letterbox, letterboxHw } from "./letterbox.js";
export { oks, oksNms } from "./oks.js";
export { OneStageEstimator, decodePeople } from "./one_stage.js";
export { assemblePeople, findCandidates, readPartAffinity } from "./part_affinity.js";
export { RegionFollower, nextBox } from "./regions.js";
export { digest, sha256 } from "./sha256.js";
export { OneEuroSmoother, smoothingFactor } from "./smoothing.js";
export { toInput, toReal } from "./tensors.js";
export { OksTracker, matchGreedy } from "./tracking.js";
export { NO_TRACK, sigmasOf } from "./types.js";
