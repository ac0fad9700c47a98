/**
 * The shapes that the parts of the core hand to each other; see mobile_demo/SPEC.md.
 *
 * @typedef {object} Picture
 * @property {number} width pixels.
 * @property {number} height pixels.
 * @property {3 | 4} channels RGB, or RGBA as canvases give it; alpha is not looked at.
 * @property {ArrayLike<number>} data height * width * channels values, 0 to 255.
 *
 * @typedef {readonly [number, number]} Size (height, width), pixels.
 *
 * @typedef {[number, number, number, number]} Box (x1, y1, x2, y2), image pixels.
 *
 * @typedef {[number, number, number, number, number, number]} Affine
 * Rows of a 2x3 matrix: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5].
 *
 * @typedef {object} Detection
 * @property {Box} box
 * @property {number} score in [0, 1].
 * @property {number} label number of the class.
 *
 * @typedef {object} Person
 * @property {Box} box where the person was looked for; float32 numbers.
 * @property {Float32Array} keypointsXy (K * 2) x, y, x, y, ...; image pixels.
 * @property {Float32Array} keypointScores (K)
 * @property {number} score confidence in the person as a whole.
 * @property {number} trackId NO_TRACK for people who are not followed.
 * @property {Float32Array | null} [visibility] (K * 3) probabilities that a keypoint is
 * visible, hidden or outside the picture; null for files that do not say.
 *
 * @typedef {object} Skeleton
 * @property {string} name
 * @property {string[]} names of the K keypoints.
 * @property {[number, number][]} limbPairs indices of keypoints to draw a line between.
 * @property {[number, number][]} mirrorPairs indices that change places in a mirror.
 * @property {number[]} oksSigmas K of them, or none.
 */

/** The track of people who have none. */
export const NO_TRACK = -1;

/** What OKS needs of skeletons that have no sigmas of their own. */
export const USUAL_SIGMA = 0.07;

/**
 * Returns one OKS sigma per keypoint.
 * @param {Skeleton} skeleton
 * @returns {number[]}
 */
export function sigmasOf(skeleton) {
  return skeleton.oksSigmas.length ? skeleton.oksSigmas : skeleton.names.map(() => USUAL_SIGMA);
}
