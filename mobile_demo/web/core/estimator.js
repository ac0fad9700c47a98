/**
 * Person boxes -> crops -> network -> keypoints of the image; SPEC.md, section 1.
 *
 * The networks come from outside: whoever runs files hands in two functions.
 *
 * @import { Box, Detection, Person, Picture } from "./types.js"
 * @import { DetectorContract, PoseContract } from "./contract.js"
 *
 * @typedef {Uint8Array | Int8Array | Float32Array} Values
 *
 * @typedef {(input: Values) => Promise<Record<string, ArrayLike<number>>>} Run
 * Runs a network on one image; returns its raw outputs by name.
 *
 * @typedef {object} Stopwatch
 * @property {(stage: string, milliseconds: number) => void} add
 */

import { calibrated, probabilities } from "./certainty.js";
import { decode } from "./codecs.js";
import { PERSON, decodeBoxes } from "./detector.js";
import { cropMatrix, invertMatrix, isUsable, transformPoints, warpImage, wholeImageBox } from "./geometry.js";
import { letterbox } from "./letterbox.js";
import { oksNms } from "./oks.js";
import { toInput, toReal } from "./tensors.js";
import { NO_TRACK, sigmasOf } from "./types.js";

/** Estimates the pose of every person in an image. */
export class PoseEstimator {
  /**
   * @param {PoseContract} contract
   * @param {Run} run
   * @param {{contract: DetectorContract, run: Run} | null} detector null: the whole image
   * is one person.
   * @param {object} [options]
   * @param {number} [options.boxThreshold] people whose box has no higher score are left out.
   * @param {number} [options.nmsThreshold] OKS above which two poses are of one person.
   * @param {Stopwatch} [options.stopwatch] gets the time of stages.
   */
  constructor(contract, run, detector, options = {}) {
    const { boxThreshold = 0.3, nmsThreshold = 0.4, stopwatch = { add() {} } } = options;
    this.contract = contract;
    this.detector = detector;
    this.run = run;
    this.boxThreshold = Math.fround(boxThreshold);
    this.nmsThreshold = nmsThreshold;
    this.stopwatch = stopwatch;
  }

  /**
   * Finds people by the detector.
   * @param {Picture} image
   * @returns {Promise<Detection[]>} by falling score.
   */
  async findPeople(image) {
    if (!this.detector) return [{ box: wholeImageBox(image), score: 1, label: PERSON }];
    const { contract, run } = this.detector;
    const fitted = this.timed("letterbox", () => letterbox(image, contract.inputHw));
    const input = toInput(fitted.pixels, contract.input, contract.normalization);
    const raw = await this.timedRun("detect", run, input);
    return this.timed("boxes", () => {
      const levels = contract.levels.map(({ stride, scores, distances }) => ({
        stride,
        width: scores.shape[2],
        numClasses: scores.shape[3],
        scores: toReal(raw[scores.name], scores),
        distances: toReal(raw[distances.name], distances),
      }));
      const imageHw = /** @type {const} */ ([image.height, image.width]);
      return decodeBoxes(levels, contract.inputHw, fitted, imageHw, contract.settings).filter(
        ({ box, label, score }) => label === PERSON && score > this.boxThreshold && isUsable(box, imageHw),
      );
    });
  }

  /**
   * Estimates the poses in boxes that are known to be usable.
   * @param {Picture} image
   * @param {readonly {box: Box, score: number}[]} people
   * @returns {Promise<Person[]>} in the order of their boxes.
   */
  async estimate(image, people) {
    /** @type {Person[]} */
    const found = [];
    for (const { box, score } of people) found.push(await this.estimateOne(image, box, score));
    return found;
  }

  /**
   * @param {Picture} image
   * @param {Box} box
   * @param {number} boxScore
   * @returns {Promise<Person>}
   */
  async estimateOne(image, box, boxScore) {
    const { inputHw, boxPadding, codec, input, normalization, output, skeleton } = this.contract;
    const { visibility, scoreCalibration } = this.contract;
    const matrix = cropMatrix(box, inputHw, boxPadding, codec.isUnbiased);
    const crop = this.timed("crop", () => toInput(warpImage(image, matrix, inputHw), input, normalization));
    const raw = await this.timedRun("pose", this.run, crop);
    return this.timed("decode", () => {
      const outputs = toReal(raw[output.name], output);
      const { keypointsXy, scores } = decode(codec, outputs, skeleton.names.length);
      return {
        box: /** @type {Box} */ (box.map(Math.fround)),
        keypointsXy: Float32Array.from(transformPoints(invertMatrix(matrix), keypointsXy)),
        keypointScores: scoreCalibration ? calibrated(scores, scoreCalibration) : scores,
        score: Math.fround(personScore(boxScore, scores)),
        trackId: NO_TRACK,
        visibility: visibility
          ? probabilities(toReal(raw[visibility.output.name], visibility.output), visibility.temperature)
          : null,
      };
    });
  }

  /**
   * Returns indices of people who are not there twice, in their order; SPEC.md, section 8.
   * @param {readonly Person[]} people
   */
  different(people) {
    const poses = people.map(({ box: [x1, y1, x2, y2], keypointsXy, score }) => ({
      keypointsXy: keypointsXy.map((value) => (Number.isFinite(value) ? value : 0)),
      area: Math.fround(Math.fround(x2 - x1) * Math.fround(y2 - y1)),
      score,
    }));
    return oksNms(poses, sigmasOf(this.contract.skeleton), this.nmsThreshold).sort((i, j) => i - j);
  }

  /**
   * @template T
   * @param {string} stage
   * @param {() => T} work
   * @returns {T}
   */
  timed(stage, work) {
    const started = performance.now();
    const result = work();
    this.stopwatch.add(stage, performance.now() - started);
    return result;
  }

  /**
   * @param {string} stage
   * @param {Run} run
   * @param {Values} input
   */
  async timedRun(stage, run, input) {
    const started = performance.now();
    const outputs = await run(input);
    this.stopwatch.add(stage, performance.now() - started);
    return outputs;
  }
}

/**
 * Rates a person: box score times the mean of the keypoint scores that count.
 * @param {number} boxScore
 * @param {Float32Array} keypointScores
 * @param {number} threshold keypoints at or below it do not count.
 */
export function personScore(boxScore, keypointScores, threshold = 0.2) {
  const counting = keypointScores.filter((score) => score > Math.fround(threshold));
  const total = counting.reduce((sum, score) => sum + score, 0);
  return (boxScore * total) / Math.max(1, counting.length);
}
