/**
 * Bottom-up networks: whole picture -> network -> maps -> people; SPEC.md, section 6.
 *
 * @import { Box, Person, Picture } from "./types.js"
 * @import { BottomUpContract } from "./contract.js"
 * @import { Run, Stopwatch } from "./estimator.js"
 * @import { Scale } from "./crowd.js"
 * @import { FoundPerson } from "./part_affinity.js"
 *
 * @typedef {object} CrowdMaps real outputs for one image.
 * @property {Float32Array} heatmaps (h * w * (K + 1)), the background last.
 * @property {Float32Array} fields (h * w * 2 L) x and y of each limb.
 */

import { findEverybody } from "./crowd.js";
import { assemblePeople } from "./part_affinity.js";
import { NO_TRACK } from "./types.js";

const { fround } = Math;

/** Finds everybody in a picture, without a detector. */
export class BottomUpEstimator {
  /**
   * @param {BottomUpContract} contract
   * @param {Run} run
   * @param {object} [options]
   * @param {number} [options.boxThreshold] people with no higher score are left out.
   * @param {Stopwatch} [options.stopwatch] gets the time of stages.
   */
  constructor(contract, run, options = {}) {
    const { boxThreshold = 0.1, stopwatch = { add() {} } } = options;
    this.contract = contract;
    this.run = run;
    this.boxThreshold = fround(boxThreshold);
    this.stopwatch = stopwatch;
  }

  /**
   * @param {Picture} image
   * @returns {Promise<Person[]>} by falling score.
   */
  estimate(image) {
    const { contract } = this;
    return findEverybody(this, image, (real, scale) => {
      const maps = { heatmaps: real(contract.heatmaps), fields: real(contract.fields) };
      return decodeCrowd(maps, contract, scale);
    });
  }
}

/**
 * Finds people in a network's maps, and takes them back to the image.
 * @param {CrowdMaps} maps
 * @param {BottomUpContract} contract
 * @param {Scale} scale
 * @returns {Person[]} by falling score. Keypoints that were not found are at (0, 0) with a
 * score of 0; boxes are around the others.
 */
export function decodeCrowd(maps, contract, scale) {
  const { codec, skeleton } = contract;
  for (const field of /** @type {const} */ (["heatmaps", "fields"])) {
    const [, ...shape] = contract[field].shape;
    if (maps[field].length !== shape.reduce((product, size) => product * size, 1)) {
      throw new Error(`The contract says ${shape.join("x")} for the ${field}, the file gave ${maps[field].length} values.`);
    }
  }
  const [, height, width] = contract.heatmaps.shape;
  const { limbPairs, names } = skeleton;
  const found = assemblePeople({ ...maps, height, width, limbPairs, numKeypoints: names.length }, codec);
  return found.map((person) => inImage(person, codec.stride, scale));
}

/**
 * @param {FoundPerson} person
 * @param {number} stride
 * @param {Scale} scale
 * @returns {Person}
 */
function inImage({ xy, scores, score }, stride, { scaleX, scaleY }) {
  const keypointsXy = xy.map((cell, i) => {
    if (!(scores[i >> 1] > 0)) return 0;
    const input = fround(fround(fround(cell + 0.5) * stride) - 0.5);
    // Pictures are resized by the corners of pixels.
    return (input + 0.5) / (i % 2 ? scaleY : scaleX) - 0.5;
  });
  const box = /** @type {Box} */ ([Infinity, Infinity, -Infinity, -Infinity]);
  for (const [k, height] of scores.entries()) {
    if (!(height > 0)) continue;
    for (const side of [0, 1]) {
      box[side] = Math.min(box[side], keypointsXy[2 * k + side]);
      box[2 + side] = Math.max(box[2 + side], keypointsXy[2 * k + side]);
    }
  }
  return { box, keypointsXy, keypointScores: scores, score, trackId: NO_TRACK, visibility: null };
}
