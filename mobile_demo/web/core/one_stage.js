/**
 * One-stage networks: whole picture -> network -> people; SPEC.md, section 6.
 *
 * @import { Box, Person, Picture } from "./types.js"
 * @import { OneStageContract, PeopleCodec } from "./contract.js"
 * @import { Scale } from "./crowd.js"
 * @import { Run, Stopwatch } from "./estimator.js"
 *
 * @typedef {object} PeopleOutputs real outputs for one image, N people by falling score.
 * @property {Float32Array} scores (N)
 * @property {Float32Array} boxes (N * 4) x1, y1, x2, y2; input pixels.
 * @property {Float32Array} keypoints (N * 2 K) x, y, x, y, ...; input pixels.
 * @property {Float32Array} visibility (N * K)
 */

import { findEverybody } from "./crowd.js";
import { PERSON, suppress } from "./detector.js";
import { NO_TRACK } from "./types.js";

/** Finds everybody in a picture, without a detector. */
export class OneStageEstimator {
  /**
   * @param {OneStageContract} contract
   * @param {Run} run
   * @param {object} [options]
   * @param {number} [options.boxThreshold] people with no higher score are left out.
   * @param {Stopwatch} [options.stopwatch] gets the time of stages.
   */
  constructor(contract, run, options = {}) {
    const { boxThreshold = 0.3, stopwatch = { add() {} } } = options;
    this.contract = contract;
    this.run = run;
    this.boxThreshold = Math.fround(boxThreshold);
    this.stopwatch = stopwatch;
  }

  /**
   * @param {Picture} image
   * @returns {Promise<Person[]>} by falling score.
   */
  estimate(image) {
    const { scores, boxes, keypoints, visibility, codec } = this.contract;
    return findEverybody(this, image, (real, scale) => {
      const outputs = {
        scores: real(scores),
        boxes: real(boxes),
        keypoints: real(keypoints),
        visibility: real(visibility),
      };
      return decodePeople(outputs, codec, scale);
    });
  }
}

/**
 * Picks people out of a network's outputs, and takes them back to the image.
 * @param {PeopleOutputs} outputs
 * @param {PeopleCodec} codec
 * @param {Scale} scale
 * @returns {Person[]} by falling score; boxes may reach beyond the image.
 */
export function decodePeople({ scores, boxes, keypoints, visibility }, codec, scale) {
  const threshold = Math.fround(codec.scoreThreshold);
  const numKeypoints = scores.length ? visibility.length / scores.length : 0;
  const likely = [...scores.keys()]
    .filter((index) => scores[index] > threshold)
    .map((index) => {
      const [x1, y1, x2, y2] = boxes.subarray(4 * index, 4 * index + 4);
      return { box: /** @type {Box} */ ([x1, y1, x2, y2]), score: scores[index], label: PERSON, index };
    });
  const settings = { ...codec, maxPerLevel: Infinity, maxDetections: codec.maxPeople };
  const kept = /** @type {typeof likely} */ (suppress(likely, settings));
  return kept.map(({ box, score, index }) => ({
    box: /** @type {Box} */ ([...toImage(Float32Array.from(box), scale)]),
    keypointsXy: toImage(keypoints.subarray(2 * numKeypoints * index, 2 * numKeypoints * (index + 1)), scale),
    keypointScores: visibility.slice(numKeypoints * index, numKeypoints * (index + 1)),
    score,
    trackId: NO_TRACK,
    visibility: null,
  }));
}

/**
 * Pictures are resized by the corners of pixels.
 * @param {Float32Array} points x, y, x, y, ...; input pixels.
 * @param {Scale} scale
 */
function toImage(points, { scaleX, scaleY }) {
  return points.map((value, i) => (value + 0.5) / (i % 2 ? scaleY : scaleX) - 0.5);
}
