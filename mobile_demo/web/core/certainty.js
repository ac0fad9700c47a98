/**
 * What a network does not know: visibility of keypoints, calibrated scores; SPEC.md, section 6.
 *
 * @import { TensorSpec } from "./tensors.js"
 * @import { Person } from "./types.js"
 *
 * @typedef {object} Visibility
 * @property {TensorSpec} output (1, K, 3) logits: visible, hidden, outside.
 * @property {number} temperature divisor of the logits.
 *
 * @typedef {object} ScoreCalibration
 * @property {number} slope factor on the score.
 * @property {number} intercept log-odds of a score of 0.
 */

/** Kinds of keypoints, in the order of a head's logits. */
export const KINDS = /** @type {const} */ (["visible", "hidden", "outside"]);

/** Probability of "outside" above which a keypoint is not drawn. */
export const OUTSIDE_THRESHOLD = 0.5;

/**
 * Returns whether a keypoint is more likely outside the picture than in it.
 * @param {Person} person
 * @param {number} keypoint
 */
export function isOutside({ visibility }, keypoint) {
  return visibility ? visibility[KINDS.length * keypoint + 2] > OUTSIDE_THRESHOLD : false;
}

/**
 * Turns logits into probabilities, three a keypoint.
 * @param {Float32Array} logits (K * 3) real values.
 * @param {number} temperature
 */
export function probabilities(logits, temperature) {
  const shares = new Float32Array(logits.length);
  for (let i = 0; i < logits.length; i += KINDS.length) {
    const scaled = Array.from(logits.subarray(i, i + KINDS.length), (logit) => logit / temperature);
    const highest = Math.max(...scaled);
    const powers = scaled.map((value) => Math.exp(value - highest));
    const sum = powers.reduce((total, power) => total + power, 0);
    powers.forEach((power, k) => (shares[i + k] = power / sum));
  }
  return shares;
}

/**
 * Turns scores into the shares of keypoints with such a score that are right.
 * @param {Float32Array} scores
 * @param {ScoreCalibration} calibration
 */
export function calibrated(scores, { slope, intercept }) {
  return scores.map((score) => 1 / (1 + Math.exp(-Math.min(60, Math.max(-60, slope * score + intercept)))));
}
