/**
 * A network's outputs to keypoints of the crop; SPEC.md, section 6.
 *
 * @import { Size } from "./types.js"
 * @import { HeatmapView } from "./blur.js"
 *
 * @typedef {object} Codec as it stands in contracts.
 * @property {string} kind
 * @property {Size} inputHw
 * @property {number} stride input pixels per heatmap pixel; 1 where there are no maps.
 * @property {number} blurKernel side of the smoothing kernel; 0 where nothing is smoothed.
 * @property {number} offsetBlurKernel likewise, of offsets.
 * @property {number} radius of the discs, heatmap pixels; 0 where there are none.
 * @property {number} splitRatio bins per input pixel, of SimCC.
 * @property {boolean} isUnbiased whether crops are cut as UDP does.
 *
 * @typedef {object} CropKeypoints
 * @property {Float32Array} keypointsXy (K * 2) input pixels.
 * @property {Float32Array} scores (K)
 */

import { blurAround, gaussianKernel, logAround } from "./blur.js";

const FLOAT32_EPSILON = 2 ** -23;
const UDP_LIMITS = /** @type {const} */ ([1e-3, 50]);
const DARK_LIMITS = /** @type {const} */ ([1e-10, Infinity]);

/** @type {Record<string, (codec: Codec, outputs: Float32Array, k: number) => CropKeypoints>} */
const DECODERS = {
  gaussian: (codec, maps, k) => decodeHeatmaps(codec, maps, k, quarterPixel),
  dark: (codec, maps, k) => decodeHeatmaps(codec, maps, k, darkStep),
  udp: (codec, maps, k) => decodeHeatmaps(codec, maps, k, udpStep),
  udp_offset: decodeUdpOffset,
  simcc: decodeSimcc,
  regression: decodeRegression,
  decoded: takeDecoded,
};

/** Kinds of codec that can be decoded here. */
export const CODEC_KINDS = Object.keys(DECODERS);

/**
 * Reads the entry "codec" of a contract.
 * @param {Record<string, any>} values
 * @returns {Codec}
 */
export function readCodec(values) {
  const { kind } = values;
  if (!CODEC_KINDS.includes(kind)) {
    throw new Error(`These apps decode the codecs ${CODEC_KINDS.join(", ")}, not ${kind}.`);
  }
  if (values.stretches) throw new Error("These apps do not stretch smoothed maps (codec udp).");
  const usual = kind === "dark" ? 2 * Math.trunc(3 * values.sigma) - 1 : 0;
  return {
    kind,
    inputHw: [values.input_hw[0], values.input_hw[1]],
    stride: values.stride ?? 1,
    blurKernel: values.blur_kernel ?? usual,
    offsetBlurKernel: values.offset_blur_kernel ?? 0,
    radius: values.radius ?? 0,
    splitRatio: values.split_ratio ?? 1,
    isUnbiased: values.is_unbiased ?? kind.startsWith("udp"),
  };
}

/**
 * Returns what a file's output must look like, without batch.
 * @param {Codec} codec
 * @param {number} numKeypoints
 * @returns {number[]}
 */
export function outputShape({ kind, inputHw: [height, width], stride, splitRatio }, numKeypoints) {
  if (kind === "regression") return [numKeypoints, 2];
  if (kind === "decoded") return [numKeypoints, 3];
  if (kind === "simcc") return [numKeypoints, numBins(width, splitRatio) + numBins(height, splitRatio)];
  const channels = kind === "udp_offset" ? 3 * numKeypoints : numKeypoints;
  return [height / stride, width / stride, channels];
}

/**
 * Finds the keypoints of one crop.
 * @param {Codec} codec
 * @param {Float32Array} outputs real numbers, of `outputShape`.
 * @param {number} numKeypoints
 * @returns {CropKeypoints}
 */
export function decode(codec, outputs, numKeypoints) {
  const shape = outputShape(codec, numKeypoints);
  if (outputs.length !== shape.reduce((product, size) => product * size, 1)) {
    throw new Error(`The codec ${codec.kind} takes ${shape.join("x")} values, got ${outputs.length}.`);
  }
  return DECODERS[codec.kind](codec, outputs, numKeypoints);
}

/**
 * @param {Codec} codec
 * @param {Float32Array} maps (H, W, K)
 * @param {number} numKeypoints
 * @param {(codec: Codec, view: HeatmapView, x: number, y: number, peak: number) => [number, number]} refine
 * @returns {CropKeypoints}
 */
function decodeHeatmaps(codec, maps, numKeypoints, refine) {
  const [height, width] = outputShape(codec, numKeypoints);
  const [pixelX, pixelY] = pixelXy(codec);
  const keypointsXy = new Float32Array(numKeypoints * 2);
  const scores = new Float32Array(numKeypoints);
  for (let k = 0; k < numKeypoints; k++) {
    const view = { maps, height, width, channels: numKeypoints, channel: k };
    const index = firstMaximum(maps, k, numKeypoints, maps.length);
    scores[k] = maps[index];
    if (!(scores[k] > 0)) continue; // stays at (0, 0)
    const cell = (index - k) / numKeypoints;
    const [x, y] = [cell % width, Math.floor(cell / width)];
    const [stepX, stepY] = refine(codec, view, x, y, scores[k]);
    keypointsXy[2 * k] = (x + stepX) * pixelX;
    keypointsXy[2 * k + 1] = (y + stepY) * pixelY;
  }
  return { keypointsXy, scores };
}

/**
 * Returns the (x, y) size of a heatmap pixel, input pixels.
 * @param {Codec} codec
 * @returns {[number, number]}
 */
function pixelXy({ inputHw: [height, width], stride, isUnbiased }) {
  if (!isUnbiased) return [stride, stride];
  return [(width - 1) / (width / stride - 1), (height - 1) / (height / stride - 1)];
}

/**
 * Discs, and in them the way to the keypoint; all three channels are smoothed.
 * @param {Codec} codec
 * @param {Float32Array} maps (H, W, 3 K): disc, x, y, disc, x, y, ...
 * @param {number} numKeypoints
 * @returns {CropKeypoints}
 */
function decodeUdpOffset(codec, maps, numKeypoints) {
  const [height, width, channels] = outputShape(codec, numKeypoints);
  const pixel = pixelXy(codec);
  const discKernel = gaussianKernel(codec.blurKernel);
  const offsetKernel = gaussianKernel(codec.offsetBlurKernel);
  const keypointsXy = new Float32Array(numKeypoints * 2);
  const scores = new Float32Array(numKeypoints);
  for (let k = 0; k < numKeypoints; k++) {
    const view = (/** @type {number} */ channel) => ({ maps, height, width, channels, channel });
    const disc = new Float32Array(height * width);
    for (let i = 0; i < disc.length; i++) {
      const [x, y] = [i % width, Math.floor(i / width)];
      disc[i] = blurAround(view(3 * k), x, y, discKernel, 0, "mirror")[0];
    }
    const best = firstMaximum(disc, 0, 1, disc.length);
    scores[k] = disc[best];
    if (!(scores[k] > 0)) continue; // stays at (0, 0)
    const place = [best % width, Math.floor(best / width)];
    for (const axis of [0, 1]) {
      const [offset] = blurAround(view(3 * k + 1 + axis), place[0], place[1], offsetKernel, 0, "mirror");
      keypointsXy[2 * k + axis] = (place[axis] + codec.radius * offset) * pixel[axis];
    }
  }
  return { keypointsXy, scores };
}

/**
 * Returns the index of the first of the highest values start, start + step, ...
 * @param {ArrayLike<number>} values
 * @param {number} start
 * @param {number} step
 * @param {number} end
 */
function firstMaximum(values, start, step, end) {
  let best = start;
  for (let i = start; i < end; i += step) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * A quarter pixel towards the higher neighbour, within the outer two pixels.
 * @param {Codec} codec
 * @param {HeatmapView} view
 * @param {number} x
 * @param {number} y
 * @returns {[number, number]}
 */
function quarterPixel(codec, { maps, height, width, channels, channel }, x, y) {
  if (!(x > 1 && x < width - 1 && y > 1 && y < height - 1)) return [0, 0];
  const index = (y * width + x) * channels + channel;
  const row = width * channels;
  return [
    Math.sign(maps[index + channels] - maps[index - channels]) / 4,
    Math.sign(maps[index + row] - maps[index - row]) / 4,
  ];
}

/**
 * DARK's step to the top of a parabola; derivatives over two pixels each way.
 * @param {Codec} codec
 * @param {HeatmapView} view
 * @param {number} x
 * @param {number} y
 * @param {number} peak
 * @returns {[number, number]}
 */
function darkStep(codec, view, x, y, peak) {
  if (!(x > 1 && x < view.width - 2 && y > 1 && y < view.height - 2)) return [0, 0];
  const logs = logAround(view, x, y, peak, gaussianKernel(codec.blurKernel), 2, DARK_LIMITS);
  const at = (/** @type {number} */ dy, /** @type {number} */ dx) => logs[(dy + 2) * 5 + dx + 2];
  const top = at(0, 0);
  const slopeX = (at(0, 1) - at(0, -1)) / 2;
  const slopeY = (at(1, 0) - at(-1, 0)) / 2;
  const bendXx = (at(0, 2) - 2 * top + at(0, -2)) / 4;
  const bendYy = (at(2, 0) - 2 * top + at(-2, 0)) / 4;
  const bendXy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4;
  return newtonStep(slopeX, slopeY, bendXx, bendYy, bendXy);
}

/**
 * UDP's step: derivatives over one pixel, also at the border, whose pixels repeat.
 * @param {Codec} codec
 * @param {HeatmapView} view
 * @param {number} x
 * @param {number} y
 * @param {number} peak
 * @returns {[number, number]}
 */
function udpStep(codec, view, x, y, peak) {
  const logs = logAround(view, x, y, peak, gaussianKernel(codec.blurKernel), 1, UDP_LIMITS);
  const inside = (/** @type {number} */ value, /** @type {number} */ size) =>
    Math.min(size - 1, Math.max(0, value));
  const at = (/** @type {number} */ dy, /** @type {number} */ dx) =>
    logs[(inside(y + dy, view.height) - y + 1) * 3 + inside(x + dx, view.width) - x + 1];
  const top = at(0, 0);
  const [right, left, below, above] = [at(0, 1), at(0, -1), at(1, 0), at(-1, 0)];
  const bendXx = right - 2 * top + left + FLOAT32_EPSILON;
  const bendYy = below - 2 * top + above + FLOAT32_EPSILON;
  const bendXy = (at(1, 1) + at(-1, -1) + 2 * top - (right + below + left + above)) / 2;
  return newtonStep((right - left) / 2, (below - above) / 2, bendXx, bendYy, bendXy);
}

/**
 * Returns -H^-1 g, for the slopes g and the bends H; no step where H is singular.
 * @param {number} slopeX
 * @param {number} slopeY
 * @param {number} bendXx
 * @param {number} bendYy
 * @param {number} bendXy
 * @returns {[number, number]}
 */
function newtonStep(slopeX, slopeY, bendXx, bendYy, bendXy) {
  const determinant = bendXx * bendYy - bendXy ** 2;
  if (determinant === 0) return [0, 0];
  return [
    (bendXy * slopeY - bendYy * slopeX) / determinant,
    (bendXy * slopeX - bendXx * slopeY) / determinant,
  ];
}

/**
 * The highest bins along x and along y; the score is the lower of the two maxima.
 * @param {Codec} codec
 * @param {Float32Array} outputs (K, bins along x, then along y)
 * @param {number} numKeypoints
 * @returns {CropKeypoints}
 */
function decodeSimcc({ inputHw: [height, width], splitRatio }, outputs, numKeypoints) {
  const [numX, numY] = [numBins(width, splitRatio), numBins(height, splitRatio)];
  const keypointsXy = new Float32Array(numKeypoints * 2);
  const scores = new Float32Array(numKeypoints);
  for (let k = 0; k < numKeypoints; k++) {
    const start = k * (numX + numY);
    const x = firstMaximum(outputs, start, 1, start + numX);
    const y = firstMaximum(outputs, start + numX, 1, start + numX + numY);
    scores[k] = Math.min(outputs[x], outputs[y]);
    const isSeen = scores[k] > 0;
    keypointsXy[2 * k] = (isSeen ? x - start : -1) / splitRatio;
    keypointsXy[2 * k + 1] = (isSeen ? y - start - numX : -1) / splitRatio;
  }
  return { keypointsXy, scores };
}

/**
 * @param {number} size pixels.
 * @param {number} splitRatio
 */
function numBins(size, splitRatio) {
  return Math.round(size * splitRatio);
}

/**
 * Shares of the input's size; every score is 1.
 * @param {Codec} codec
 * @param {Float32Array} outputs (K, 2)
 * @param {number} numKeypoints
 * @returns {CropKeypoints}
 */
function decodeRegression({ inputHw: [height, width] }, outputs, numKeypoints) {
  const keypointsXy = outputs.map((share, i) => share * (i % 2 ? height : width));
  return { keypointsXy, scores: new Float32Array(numKeypoints).fill(1) };
}

/**
 * Takes apart what the file has decoded itself: x, y, score.
 * @param {Codec} codec
 * @param {Float32Array} outputs (K, 3)
 * @returns {CropKeypoints}
 */
function takeDecoded(codec, outputs) {
  return {
    keypointsXy: outputs.filter((_, i) => i % 3 < 2),
    scores: outputs.filter((_, i) => i % 3 === 2),
  };
}
