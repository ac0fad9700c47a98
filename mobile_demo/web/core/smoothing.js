/**
 * The one-euro filter: keypoints of a video with less jitter and little lag; SPEC.md,
 * section 11.
 *
 * @import { Person } from "./types.js"
 *
 * @typedef {object} Memory of one track.
 * @property {number} seconds when it was last seen.
 * @property {Float64Array} xy (K * 2) smoothed.
 * @property {Float64Array} speed (K * 2) smoothed, pixels / second.
 */

import { NO_TRACK } from "./types.js";

/** Smooths the keypoints of tracked people, each x and y by a filter of its own. */
export class OneEuroSmoother {
  /**
   * @param {object} [options]
   * @param {number} [options.minCutoff] cutoff frequency of what rests, Hz.
   * @param {number} [options.beta] how it rises, Hz per (person size / second).
   * @param {number} [options.speedCutoff] cutoff frequency of the speed itself, Hz.
   * @param {number} [options.forgetAfter] seconds after which a track begins anew.
   */
  constructor(options = {}) {
    const { minCutoff = 1, beta = 4, speedCutoff = 1, forgetAfter = 2 } = options;
    this.minCutoff = minCutoff;
    this.beta = beta;
    this.speedCutoff = speedCutoff;
    this.forgetAfter = forgetAfter;
    /** @type {Map<number, Memory>} */
    this.memories = new Map();
  }

  /**
   * Smooths the people of the next frame.
   * @param {Person[]} people from a tracker; people without a track stay as they are.
   * @param {number} seconds time of the frame, later than the one before.
   * @returns {Person[]}
   */
  next(people, seconds) {
    for (const memory of this.memories.values()) {
      if (seconds <= memory.seconds) {
        throw new Error(`Frames must come in order: ${seconds} s is not after ${memory.seconds} s.`);
      }
    }
    const smoothed = people.map((person) =>
      person.trackId === NO_TRACK ? person : this.smooth(person, seconds),
    );
    for (const [trackId, memory] of this.memories) {
      if (seconds - memory.seconds > this.forgetAfter) this.memories.delete(trackId);
    }
    return smoothed;
  }

  /**
   * @param {Person} person
   * @param {number} seconds
   * @returns {Person}
   */
  smooth(person, seconds) {
    const last = this.memories.get(person.trackId);
    const elapsed = last ? seconds - last.seconds : 1;
    const [x1, y1, x2, y2] = person.box.map(Math.fround);
    const size = Math.max(1, Math.fround(x2 - x1), Math.fround(y2 - y1));
    const xy = Float64Array.from(person.keypointsXy);
    const speed = new Float64Array(xy.length);
    for (let i = 0; i < xy.length; i++) {
      if (person.keypointScores[i >> 1] === 0) {
        xy[i] = NaN; // not found: it has no place, and begins anew when it has one
        continue;
      }
      if (!last || !Number.isFinite(last.xy[i])) continue; // begins unsmoothed, at rest
      const newSpeed = (xy[i] - last.xy[i]) / elapsed;
      speed[i] = mix(newSpeed, last.speed[i], smoothingFactor(this.speedCutoff, elapsed));
      const cutoff = this.minCutoff + (this.beta * Math.abs(speed[i])) / size;
      xy[i] = mix(xy[i], last.xy[i], smoothingFactor(cutoff, elapsed));
    }
    this.memories.set(person.trackId, { seconds, xy, speed });
    const places = xy.map((value, i) => (person.keypointScores[i >> 1] === 0 ? person.keypointsXy[i] : value));
    return { ...person, keypointsXy: Float32Array.from(places) };
  }
}

/**
 * Returns the weight of the newest value in an exponential low-pass filter.
 * @param {number} cutoff Hz.
 * @param {number} elapsed seconds since the value before.
 */
export function smoothingFactor(cutoff, elapsed) {
  const turn = 2 * Math.PI * cutoff * elapsed;
  return turn / (turn + 1);
}

/**
 * @param {number} value
 * @param {number} last
 * @param {number} alpha
 */
function mix(value, last, alpha) {
  return alpha * value + (1 - alpha) * last;
}
