/**
 * Following regions: where a person's keypoints were, there the person is looked for;
 * SPEC.md, section 9. The detector need not see every frame.
 *
 * @import { Box, Person, Picture, Size } from "./types.js"
 * @import { PoseEstimator } from "./estimator.js"
 *
 * @typedef {object} Region where someone is looked for in the next frame.
 * @property {Box} box
 * @property {number} score of the detector.
 * @property {number} firstScore of the person, when they were detected.
 */

import { isUsable } from "./geometry.js";

/** How far a box reaches beyond keypoints (left, top, right, bottom), of the longer side. */
const MARGINS = [0.065, 0.11, 0.065, 0.09];
/** A region shrinks by this much per frame at most. */
const MAX_SHRINKAGE = 0.9;

/**
 * Returns where a person is looked for in the next frame; NaN without a sure keypoint.
 * @param {Person} person
 * @param {number} threshold of keypoint scores.
 * @returns {Box}
 */
export function nextBox({ box, keypointsXy, keypointScores }, threshold) {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  keypointScores.forEach((score, k) => {
    const point = keypointsXy.subarray(2 * k, 2 * k + 2);
    if (!(score > Math.fround(threshold)) || !point.every(Number.isFinite)) return;
    point.forEach((value, axis) => {
      low[axis] = Math.min(low[axis], value);
      high[axis] = Math.max(high[axis], value);
    });
  });
  if (low[0] === Infinity) return [NaN, NaN, NaN, NaN];
  const span = Math.max(high[0] - low[0], high[1] - low[1]);
  const sides = [0, 1].map((axis) => {
    const from = low[axis] - span * MARGINS[axis];
    const to = high[axis] + span * MARGINS[axis + 2];
    const shortest = MAX_SHRINKAGE * (box[axis + 2] - box[axis]);
    const missing = Math.max(0, shortest - (to - from)) / 2;
    return [from - missing, to + missing];
  });
  return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]];
}

/** An estimator for the frames of one video, in order. */
export class RegionFollower {
  /**
   * @param {PoseEstimator} estimator without a detector, the whole image is one person.
   * @param {object} [options]
   * @param {number} [options.detectEvery] the detector sees at least every N-th frame.
   * @param {number} [options.keypointThreshold] of the keypoints that make a region.
   * @param {number} [options.leastShare] of a first score, below which to detect anew.
   */
  constructor(estimator, options = {}) {
    const { detectEvery = 10, keypointThreshold = 0.2, leastShare = 0.5 } = options;
    this.estimator = estimator;
    this.detectEvery = estimator.detector ? detectEvery : 1;
    this.keypointThreshold = keypointThreshold;
    this.leastShare = leastShare;
    /** @type {Region[]} */
    this.regions = [];
    this.age = 0; // frames since the detector was asked
    this.isDoubtful = true;
    /** @type {Size} */
    this.imageHw = [0, 0];
    this.numDetected = 0;
    this.numFollowed = 0;
  }

  /**
   * Estimates the people of the next frame.
   * @param {Picture} image
   * @returns {Promise<Person[]>}
   */
  async next(image) {
    const [height, width] = this.imageHw;
    // Regions of one picture say nothing of one with another size.
    const hasChanged = image.height !== height || image.width !== width;
    this.imageHw = [image.height, image.width];
    const mustDetect = this.isDoubtful || hasChanged || this.age >= this.detectEvery;
    return mustDetect ? this.detect(image) : this.follow(image);
  }

  /** @param {Picture} image */
  async detect(image) {
    this.numDetected++;
    const found = await this.estimator.findPeople(image);
    const all = await this.estimator.estimate(image, found);
    const kept = this.estimator.different(all);
    const people = kept.map((i) => all[i]);
    this.age = 0;
    const boxScores = kept.map((i) => found[i].score);
    const firstScores = people.map(({ score }) => score);
    this.lookAhead(people, boxScores, firstScores);
    return people;
  }

  /** @param {Picture} image */
  async follow(image) {
    this.numFollowed++;
    const all = await this.estimator.estimate(image, this.regions);
    const kept = this.estimator.different(all);
    const people = kept.map((i) => all[i]);
    const boxScores = kept.map((i) => this.regions[i].score);
    const firstScores = kept.map((i) => this.regions[i].firstScore);
    this.lookAhead(people, boxScores, firstScores);
    return people;
  }

  /**
   * Decides where to look next, and whether the detector must be asked.
   * @param {Person[]} people
   * @param {number[]} boxScores
   * @param {number[]} firstScores
   */
  lookAhead(people, boxScores, firstScores) {
    const regions = people.map((person, i) => ({
      box: nextBox(person, this.keypointThreshold),
      score: boxScores[i],
      firstScore: firstScores[i],
      hasFallen: person.score < Math.fround(this.leastShare * firstScores[i]),
    }));
    const left = regions.filter(({ box }) => isUsable(box, this.imageHw));
    this.regions = left;
    this.age++;
    // Whoever left the picture, or was never more than a box, is no reason to ask.
    this.isDoubtful = !left.length || left.some(({ hasFallen }) => hasFallen);
  }
}
