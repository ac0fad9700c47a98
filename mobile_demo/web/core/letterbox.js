/**
 * Fitting whole images into a detector's input; SPEC.md, section 5.
 *
 * @import { Picture, Size } from "./types.js"
 */

/** Grey that fills what the image leaves free. */
const PAD_VALUE = 114;
/** Shares of a pixel are counted in these: 11 bits. */
const UNITS = 2048;

/**
 * Returns the size to which an image shrinks or grows to fit into the input.
 * @param {Size} imageHw
 * @param {Size} inputHw
 * @returns {[number, number]} (height, width)
 */
export function letterboxHw([imageHeight, imageWidth], [inputHeight, inputWidth]) {
  const scale = Math.min(inputHeight / imageHeight, inputWidth / imageWidth);
  const fit = (/** @type {number} */ size) => Math.max(1, Math.floor(size * scale + 0.5));
  return [fit(imageHeight), fit(imageWidth)];
}

/**
 * Fits an image into the top left of the input, with grey beside it.
 *
 * @param {Picture} image
 * @param {Size} inputHw
 * @returns {{pixels: Uint8Array, scaleX: number, scaleY: number}} RGB of inputHw, and
 * input pixels per image pixel; the two may differ by the rounding of sizes.
 */
export function letterbox(image, inputHw) {
  const [height, width] = letterboxHw([image.height, image.width], inputHw);
  const pixels = new Uint8Array(inputHw[0] * inputHw[1] * 3).fill(PAD_VALUE);
  resizeInto(pixels, inputHw[1], image, height, width);
  return { pixels, scaleX: width / image.width, scaleY: height / image.height };
}

/**
 * Resizes bilinearly in whole numbers, as OpenCV does: first along x, then along y.
 * @param {Uint8Array} output RGB, written from its top left on.
 * @param {number} outputWidth pixels of its rows.
 * @param {Picture} image
 * @param {number} height
 * @param {number} width
 */
function resizeInto(output, outputWidth, image, height, width) {
  const columns = taps(image.width, width, true);
  const rows = taps(image.height, height, false);
  const cache = new RowCache(image, columns, width);
  for (let row = 0; row < height; row++) {
    const upper = cache.row(rows.first[row]);
    const lower = cache.row(rows.second[row]);
    const [upperShare, lowerShare] = [rows.firstShare[row], rows.secondShare[row]];
    const start = row * outputWidth * 3;
    for (let i = 0; i < width * 3; i++) {
      const sum = ((upperShare * (upper[i] >> 4)) >> 16) + ((lowerShare * (lower[i] >> 4)) >> 16);
      output[start + i] = (sum + 2) >> 2;
    }
  }
}

/** Rows of an image, resized along x; the last two are kept, since they are needed again. */
class RowCache {
  /**
   * @param {Picture} image
   * @param {ReturnType<typeof taps>} columns
   * @param {number} width
   */
  constructor(image, columns, width) {
    this.image = image;
    this.columns = columns;
    this.indices = [-1, -1];
    this.rows = [new Int32Array(width * 3), new Int32Array(width * 3)];
  }

  /** @param {number} index */
  row(index) {
    const slot = index % 2; // neighbours do not drive each other out
    if (this.indices[slot] !== index) {
      this.fill(this.rows[slot], index);
      this.indices[slot] = index;
    }
    return this.rows[slot];
  }

  /**
   * @param {Int32Array} row
   * @param {number} index
   */
  fill(row, index) {
    const { data, width, channels } = this.image;
    const { first, second, firstShare, secondShare } = this.columns;
    const start = index * width * channels;
    for (let column = 0, at = 0; column < first.length; column++) {
      const left = start + first[column] * channels;
      const right = start + second[column] * channels;
      for (let k = 0; k < 3; k++, at++) {
        row[at] = data[left + k] * firstShare[column] + data[right + k] * secondShare[column];
      }
    }
  }
}

/**
 * Returns which two source pixels each pixel is mixed from, and their shares.
 * @param {number} sourceSize
 * @param {number} size
 * @param {boolean} isWholeAtEdges whether pixels beyond the edge's centre are the edge's
 * alone. (Along y they are mixed of it twice, which rounds differently.)
 */
function taps(sourceSize, size, isWholeAtEdges) {
  const table = {
    first: new Int32Array(size),
    second: new Int32Array(size),
    firstShare: new Int32Array(size),
    secondShare: new Int32Array(size),
  };
  for (let i = 0; i < size; i++) {
    // Here, and only here, pixels are counted by their edges: half a pixel each way.
    const position = Math.fround((i + 0.5) * (1 / (size / sourceSize)) - 0.5);
    const index = Math.floor(position);
    const isBeyond = index < 0 || index >= sourceSize - 1;
    const share = isBeyond && isWholeAtEdges ? 0 : Math.fround(position - index);
    table.first[i] = Math.min(Math.max(0, index), sourceSize - 1);
    table.second[i] = isBeyond ? table.first[i] : index + 1;
    table.firstShare[i] = roundHalfEven(Math.fround(1 - share) * UNITS);
    table.secondShare[i] = roundHalfEven(share * UNITS);
  }
  return table;
}

/** @param {number} value 0 or more. */
function roundHalfEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.floor(value + 0.5);
  return floor + (floor % 2);
}
