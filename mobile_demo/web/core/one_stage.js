/**
 * One-stage networks: whole picture -> network -> people; SPEC.md, section 6.
 *
 * @import { Box, Person, Picture } from "./types.js"
 * @import { OneStageContract, PeopleCodec } from "./contract.js"
 * @import { Run, Stopwatch } from "./estimator.js"
 *
 * @typedef {object} PeopleOutputs real outputs for one image, N people by falling score.
 * @property {Float32Array} scores (N)
 * @property {Float32Array} boxes (N * 4) x1, y1, x2, y2; input pixels.
 * @property {Float32Array} keypoints (N * 2 K) x, y, x, y, ...; input pixels.
 * @property {Float32Array} visibility (N * K)
 */

import { PERSON, suppress } from "./detector.js";
import { letterbox } from "./letterbox.js";
import { toInput, toReal } from "./tensors.js";
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
  async estimate(image) {
    const { contract, stopwatch } = this;
    const started = performance.now();
    const fitted = letterbox(image, contract.inputHw);
    const input = toInput(fitted.pixels, contract.input, contract.normalization);
    const fittedAt = performance.now();
    const raw = await this.run(input);
    const ranAt = performance.now();
    const real = (/** @type {"scores" | "boxes" | "keypoints" | "visibility"} */ field) =>
      toReal(raw[contract[field].name], contract[field]);
    const outputs = {
      scores: real("scores"),
      boxes: real("boxes"),
      keypoints: real("keypoints"),
      visibility: real("visibility"),
    };
    const people = decodePeople(outputs, contract.codec, fitted).filter(({ score }) => score > this.boxThreshold);
    stopwatch.add("letterbox", fittedAt - started);
    stopwatch.add("pose", ranAt - fittedAt);
    stopwatch.add("decode", performance.now() - ranAt);
    return people;
  }
}

/**
 * Picks people out of a network's outputs, and takes them back to the image.
 * @param {PeopleOutputs} outputs
 * @param {PeopleCodec} codec
 * @param {{scaleX: number, scaleY: number}} scale input pixels per image pixel.
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
 * @param {{scaleX: number, scaleY: number}} scale
 */
function toImage(points, { scaleX, scaleY }) {
  return points.map((value, i) => (value + 0.5) / (i % 2 ? scaleY : scaleX) - 0.5);
}
