/**
 * Boxes, crops and affine maps; SPEC.md, sections 2 and 3.
 *
 * A pixel's centre has whole coordinates: column 0, row 0 is (0, 0).
 *
 * @import { Affine, Box, Picture, Size } from "./types.js"
 */

const fround = Math.fround;

/** Boxes outside these sides, in pixels, are mistakes. */
const MIN_SIDE = 1e-2;
const MAX_SIDE = 1e6;

/**
 * Builds the map from image pixels to the pixels of a person's crop.
 *
 * @param {Box} box the person's.
 * @param {Size} inputHw of the crop.
 * @param {number} padding factor from box to crop.
 * @param {boolean} isUnbiased cut as UDP does.
 * @returns {Affine}
 */
export function cropMatrix(box, inputHw, padding, isUnbiased = false) {
  const [x1, y1, x2, y2] = box;
  const [height, width] = inputHw;
  const aspect = width / height;
  const centerX = x1 + (x2 - x1) / 2;
  const centerY = y1 + (y2 - y1) / 2;
  const cropWidth = Math.max(x2 - x1, (y2 - y1) * aspect) * padding;
  const lost = isUnbiased ? 1 : 0;
  const zoomX = (((width - lost) / width) * width) / cropWidth;
  const zoomY = (((height - lost) / height) * width) / cropWidth;
  return [
    zoomX, 0, (width - lost) / 2 - zoomX * centerX,
    0, zoomY, (height - lost) / 2 - zoomY * centerY,
  ]; // prettier-ignore
}

/**
 * @param {Affine} matrix
 * @returns {Affine}
 */
export function invertMatrix([a, b, tx, c, d, ty]) {
  const share = 1 / (a * d - b * c);
  const [ia, ib, ic, id] = [d, -b, -c, a].map((value) => value * share);
  return [ia, ib, -(ia * tx + ib * ty), ic, id, -(ic * tx + id * ty)];
}

/**
 * Applies a map to points x, y, x, y, ...
 * @param {Affine} matrix
 * @param {ArrayLike<number>} points
 * @returns {Float64Array}
 */
export function transformPoints([a, b, tx, c, d, ty], points) {
  const moved = new Float64Array(points.length);
  for (let i = 0; i < points.length; i += 2) {
    moved[i] = a * points[i] + b * points[i + 1] + tx;
    moved[i + 1] = c * points[i] + d * points[i + 1] + ty;
  }
  return moved;
}

/**
 * Cuts a crop out of an image: bilinear, black outside.
 *
 * @param {Picture} image
 * @param {Affine} matrix image -> crop pixels.
 * @param {Size} outputHw
 * @returns {Uint8Array} (height * width * 3) RGB.
 */
export function warpImage(image, matrix, outputHw) {
  const [height, width] = outputHw;
  const [a, b, tx, c, d, ty] = invertMatrix(matrix).map(fround);
  // Clamped arrays round halves to the even number, which is what is asked for.
  const crop = new Uint8ClampedArray(height * width * 3);
  for (let row = 0, at = 0; row < height; row++) {
    const startX = fround(fround(b * row) + tx);
    const startY = fround(fround(d * row) + ty);
    for (let column = 0; column < width; column++, at += 3) {
      sampleInto(crop, at, image, fround(a * column + startX), fround(c * column + startY));
    }
  }
  return new Uint8Array(crop.buffer);
}

/**
 * Writes the colour at a point between pixels. Products and sums in double precision,
 * rounded once, are what OpenCV's fused operations give.
 * @param {Uint8ClampedArray} output
 * @param {number} at
 * @param {Picture} image
 * @param {number} x
 * @param {number} y
 */
function sampleInto(output, at, image, x, y) {
  const { data, width, height, channels } = image;
  const left = Math.floor(x);
  const top = Math.floor(y);
  if (left < -1 || top < -1 || left >= width || top >= height) return; // stays black
  const shareX = fround(x - left);
  const shareY = fround(y - top);
  const hasLeft = left >= 0;
  const hasRight = left + 1 < width;
  const upper = (top * width + left) * channels;
  const lower = upper + width * channels;
  const hasUpper = top >= 0;
  const hasLower = top + 1 < height;
  for (let k = 0; k < 3; k++) {
    const p00 = hasUpper && hasLeft ? data[upper + k] : 0;
    const p01 = hasUpper && hasRight ? data[upper + channels + k] : 0;
    const p10 = hasLower && hasLeft ? data[lower + k] : 0;
    const p11 = hasLower && hasRight ? data[lower + channels + k] : 0;
    const above = fround(p00 + shareX * (p01 - p00));
    const below = fround(p10 + shareX * (p11 - p10));
    output[at + k] = fround(above + shareY * fround(below - above));
  }
}

/**
 * Returns the box from the first pixel's centre to the last one's: the whole image is
 * one person.
 * @param {Picture} image
 * @returns {Box}
 */
export function wholeImageBox({ width, height }) {
  return [0, 0, Math.max(1, width - 1), Math.max(1, height - 1)];
}

/**
 * Tells whether a person can be cut out by a box: finite, of a sane size, not outside.
 * @param {Box} box
 * @param {Size} imageHw
 */
export function isUsable(box, imageHw) {
  const [x1, y1, x2, y2] = box;
  const isSane = [x2 - x1, y2 - y1].every((side) => side >= MIN_SIDE && side <= MAX_SIDE);
  const meets = x1 < imageHw[1] && y1 < imageHw[0] && x2 > 0 && y2 > 0;
  return box.every(Number.isFinite) && isSane && meets;
}
