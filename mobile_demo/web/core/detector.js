/**
 * A detector's outputs to boxes; SPEC.md, section 7. In float32 throughout, as there.
 *
 * @import { Box, Detection, Picture, Size } from "./types.js"
 *
 * @typedef {object} BoxSettings which boxes are kept.
 * @property {number} scoreThreshold only boxes with a higher score are looked at.
 * @property {number} iouThreshold boxes that overlap a better one by more than this go.
 * @property {number} maxPerLevel boxes that each output map may propose.
 * @property {number} maxDetections boxes kept at the end.
 *
 * @typedef {object} Level one output map.
 * @property {number} stride input pixels per cell.
 * @property {number} width cells.
 * @property {number} numClasses
 * @property {Float32Array} scores (H * W * classes) logits.
 * @property {Float32Array} distances (H * W * 4) left, top, right, bottom; input pixels.
 */

const fround = Math.fround;

/** The label of people. */
export const PERSON = 0;

/**
 * Turns the outputs for one image into its boxes.
 *
 * @param {Level[]} levels
 * @param {Size} inputHw
 * @param {{scaleX: number, scaleY: number}} scale input pixels per image pixel.
 * @param {Size} imageHw
 * @param {BoxSettings} settings
 * @returns {Detection[]} within the image, by falling score.
 */
export function decodeBoxes(levels, inputHw, scale, imageHw, settings) {
  const [backX, backY] = [fround(1 / scale.scaleX), fround(1 / scale.scaleY)];
  const inImage = propose(levels, inputHw, settings)
    .map(({ box: [x1, y1, x2, y2], ...rest }) => ({
      ...rest,
      box: float32Box(x1 * backX, y1 * backY, x2 * backX, y2 * backY),
    }))
    .filter(({ box }) => hasArea(box));
  return suppress(inImage, settings)
    .map(({ box, ...rest }) => ({ ...rest, box: clip(box, imageHw) }))
    .filter(({ box }) => hasArea(box));
}

/**
 * Collects what the levels propose, clipped to the input; NMS is not done here.
 * @param {Level[]} levels
 * @param {Size} inputHw
 * @param {BoxSettings} settings
 * @returns {Detection[]} of each level by falling score, level after level.
 */
export function propose(levels, inputHw, settings) {
  return levels
    .flatMap((level) => proposeLevel(level, settings))
    .map(({ box, ...rest }) => ({ ...rest, box: clip(box, inputHw) }));
}

/**
 * Returns the boxes of one level above the threshold, by falling score.
 * @param {Level} level
 * @param {BoxSettings} settings
 * @returns {Detection[]}
 */
function proposeLevel({ stride, width, numClasses, scores, distances }, settings) {
  const threshold = fround(settings.scoreThreshold);
  /** @type {{index: number, score: number}[]} */
  const found = [];
  for (let index = 0; index < scores.length; index++) {
    const score = sigmoid(scores[index]);
    if (score > threshold) found.push({ index, score });
  }
  // Sorting is stable: of equal scores, the first in the map stays first.
  found.sort((one, other) => other.score - one.score);
  return found.slice(0, settings.maxPerLevel).map(({ index, score }) => {
    const cell = Math.floor(index / numClasses);
    const [x, y] = [(cell % width) * stride, Math.floor(cell / width) * stride];
    const [left, top, right, bottom] = distances.subarray(4 * cell, 4 * cell + 4);
    return { box: float32Box(x - left, y - top, x + right, y + bottom), score, label: index % numClasses };
  });
}

/**
 * Returns 1 / (1 + exp(-logit)), without overflow.
 * @param {number} logit
 */
export function sigmoid(logit) {
  const small = fround(Math.exp(-Math.abs(logit)));
  return fround((logit >= 0 ? 1 : small) / fround(1 + small));
}

/**
 * Keeps of boxes that overlap, and are of one class, the best.
 * @param {Detection[]} detections
 * @param {BoxSettings} settings
 * @returns {Detection[]} by falling score.
 */
export function suppress(detections, settings) {
  const threshold = fround(settings.iouThreshold);
  let waiting = [...detections].sort((one, other) => other.score - one.score);
  /** @type {Detection[]} */
  const kept = [];
  // Far apart, boxes of different classes do not meet.
  const reach = fround(waiting.reduce((most, { box }) => Math.max(most, ...box), 0) + 1);
  while (waiting.length && kept.length < settings.maxDetections) {
    const [best, ...others] = waiting;
    kept.push(best);
    const bestBox = apart(best, reach);
    waiting = others.filter((other) => boxIou(bestBox, apart(other, reach)) <= threshold);
  }
  return kept;
}

/**
 * @param {Detection} detection
 * @param {number} reach
 */
function apart({ box, label }, reach) {
  const [x1, y1, x2, y2] = box;
  const shift = fround(label * reach);
  return float32Box(x1 + shift, y1 + shift, x2 + shift, y2 + shift);
}

/**
 * Returns intersection over union; 0 where both boxes are without area.
 * @param {Box} one
 * @param {Box} other
 */
export function boxIou(one, other) {
  const width = fround(Math.min(one[2], other[2]) - Math.max(one[0], other[0]));
  const height = fround(Math.min(one[3], other[3]) - Math.max(one[1], other[1]));
  const shared = fround(Math.max(0, width) * Math.max(0, height));
  const union = fround(fround(area(one) + area(other)) - shared);
  return union > 0 ? fround(shared / union) : 0;
}

/** @param {Box} box */
function area([x1, y1, x2, y2]) {
  return fround(Math.max(0, fround(x2 - x1)) * Math.max(0, fround(y2 - y1)));
}

/**
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 * @returns {Box}
 */
function float32Box(x1, y1, x2, y2) {
  return [fround(x1), fround(y1), fround(x2), fround(y2)];
}

/**
 * @param {Box} box
 * @param {Size} limitHw
 * @returns {Box}
 */
function clip([x1, y1, x2, y2], [height, width]) {
  const within = (/** @type {number} */ value, /** @type {number} */ limit) =>
    Math.min(limit, Math.max(0, value));
  return [within(x1, width), within(y1, height), within(x2, width), within(y2, height)];
}

/** @param {Box} box */
function hasArea([x1, y1, x2, y2]) {
  return x2 - x1 > 0 && y2 - y1 > 0;
}
