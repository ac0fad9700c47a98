/**
 * Who is who in a video: people of one frame are matched with the tracks of the last
 * ones, by OKS; SPEC.md, section 10.
 *
 * @import { Person, Skeleton } from "./types.js"
 *
 * @typedef {object} Track a person as last seen.
 * @property {number} trackId
 * @property {Float64Array} keypointsXy (K * 2)
 * @property {boolean[]} isSure (K)
 * @property {number} area of their box, pixels^2.
 * @property {[number, number]} velocity pixels per frame.
 * @property {number} age frames since they were seen; 1 when they were in the last one.
 */

import { oks } from "./oks.js";
import { NO_TRACK, sigmasOf } from "./types.js";

/**
 * Takes the most similar pair, then the most similar of those left, and so on.
 * @param {number[][]} similarity (T, N)
 * @param {number} threshold pairs below are never taken.
 * @returns {[number, number][]} pairs (track, person).
 */
export function matchGreedy(similarity, threshold) {
  const left = similarity.map((row) => [...row]);
  /** @type {[number, number][]} */
  const pairs = [];
  for (;;) {
    const [track, person] = highest(left);
    if (track < 0 || !(left[track][person] >= threshold)) return pairs;
    pairs.push([track, person]);
    left[track].fill(-Infinity);
    for (const row of left) row[person] = -Infinity;
  }
}

/**
 * Returns the first place of the highest value, row by row; (-1, -1) of nothing.
 * @param {number[][]} values
 * @returns {[number, number]}
 */
function highest(values) {
  /** @type {[number, number]} */
  let best = [-1, -1];
  values.forEach((row, i) =>
    row.forEach((value, j) => {
      if (best[0] < 0 || value > values[best[0]][best[1]]) best = [i, j];
    }),
  );
  return best;
}

/** Gives the people of a video numbers that stay; numbers begin at 0. */
export class OksTracker {
  /**
   * @param {Skeleton} skeleton
   * @param {object} [options]
   * @param {number} [options.oksThreshold] people less like a track are not its person.
   * @param {number} [options.patience] frames for which a track waits for its person.
   * @param {number} [options.keypointThreshold] of the keypoints that are compared.
   * @param {number} [options.minKeypoints] people with fewer cannot be told from others.
   */
  constructor(skeleton, options = {}) {
    const { oksThreshold = 0.3, patience = 12, keypointThreshold = 0.2, minKeypoints = 3 } = options;
    this.sigmas = sigmasOf(skeleton);
    this.oksThreshold = oksThreshold;
    this.patience = patience;
    this.keypointThreshold = Math.fround(keypointThreshold);
    this.minKeypoints = minKeypoints;
    /** @type {Track[]} */
    this.tracks = [];
    this.nextId = 0;
  }

  /**
   * Takes the people of the next frame.
   * @param {Person[]} people there may be none.
   * @returns {Person[]} the same, with track ids.
   */
  update(people) {
    const seen = people.map((person) => this.firstSeen(person));
    const trackable = [...seen.keys()].filter(
      (i) => seen[i].isSure.filter(Boolean).length >= this.minKeypoints,
    );
    const isContinued = this.tracks.map(() => false);
    for (const [track, place] of this.pairs(trackable.map((i) => seen[i]))) {
      const i = trackable[place];
      seen[i] = continued(this.tracks[track], seen[i]);
      isContinued[track] = true;
    }
    for (const i of trackable) {
      if (seen[i].trackId === NO_TRACK) seen[i].trackId = this.nextId++;
    }
    const waiting = this.tracks
      .filter((track, i) => !isContinued[i] && track.age <= this.patience)
      .map((track) => ({ ...track, age: track.age + 1 }));
    this.tracks = [...trackable.map((i) => seen[i]), ...waiting];
    return people.map((person, i) => ({ ...person, trackId: seen[i].trackId }));
  }

  /**
   * @param {Track[]} seen
   * @returns {[number, number][]}
   */
  pairs(seen) {
    const similarity = this.tracks.map((track) => {
      const expected = track.keypointsXy.map((value, i) => value + track.age * track.velocity[i % 2]);
      return seen.map((person) =>
        oks(expected, person.keypointsXy, (track.area + person.area) / 2, this.sigmas,
          (k) => track.isSure[k] && person.isSure[k]),
      ); // prettier-ignore
    });
    return matchGreedy(similarity, this.oksThreshold);
  }

  /**
   * @param {Person} person
   * @returns {Track}
   */
  firstSeen({ box: [x1, y1, x2, y2], keypointsXy, keypointScores }) {
    return {
      trackId: NO_TRACK,
      // Points that are not sure do not count, but must be numbers.
      keypointsXy: Float64Array.from(keypointsXy, (value) => (Number.isFinite(value) ? value : 0)),
      isSure: Array.from(
        keypointScores,
        (score, k) =>
          score > this.keypointThreshold &&
          Number.isFinite(keypointsXy[2 * k]) &&
          Number.isFinite(keypointsXy[2 * k + 1]),
      ),
      area: Math.max(0, x2 - x1) * Math.max(0, y2 - y1),
      velocity: [0, 0],
      age: 1,
    };
  }
}

/**
 * Moves a track to where its person is seen now.
 * @param {Track} track
 * @param {Track} seen
 * @returns {Track}
 */
function continued(track, seen) {
  const both = [...seen.isSure.keys()].filter((k) => track.isSure[k] && seen.isSure[k]);
  const velocity = [0, 1].map((axis) => {
    // The median: single keypoints jump.
    const steps = both.map((k) => seen.keypointsXy[2 * k + axis] - track.keypointsXy[2 * k + axis]);
    return (track.velocity[axis] + median(steps) / track.age) / 2;
  });
  return { ...seen, trackId: track.trackId, velocity: [velocity[0], velocity[1]] };
}

/** @param {number[]} values at least one. */
function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
