/**
 * Smoothed heatmaps near their peaks, and the logarithm of them; SPEC.md, section 6.3.
 *
 * Beyond its border a map is 0, or mirrored there: d c b | a b c d | c b a.
 *
 * @typedef {object} HeatmapView one channel of heatmaps (height, width, channels).
 * @property {ArrayLike<number>} maps
 * @property {number} height
 * @property {number} width
 * @property {number} channels
 * @property {number} channel
 */

/** @type {Record<number, number[]>} */
const SMALL_KERNELS = {
  1: [1],
  3: [1 / 4, 2 / 4, 1 / 4],
  5: [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16],
  7: [1, 3.5, 7, 9, 7, 3.5, 1].map((value) => value / 32),
  9: [4, 13, 30, 51, 60, 51, 30, 13, 4].map((value) => value / 256),
};

/**
 * Returns the smoothing kernel of a size: OpenCV's where no sigma is given.
 * @param {number} size odd.
 * @returns {number[]} size values whose sum is 1.
 */
export function gaussianKernel(size) {
  if (SMALL_KERNELS[size]) return SMALL_KERNELS[size];
  const sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8;
  const middle = (size - 1) / 2;
  const bell = Array.from({ length: size }, (_, i) => Math.exp(-((i - middle) ** 2) / (2 * sigma ** 2)));
  const sum = bell.reduce((total, value) => total + value, 0);
  return bell.map((value) => value / sum);
}

/**
 * Returns the smoothed map at (2 reach + 1)^2 places around a position, rows first.
 *
 * @param {HeatmapView} view
 * @param {number} x
 * @param {number} y
 * @param {number[]} kernel
 * @param {number} reach
 * @param {"zero" | "mirror"} border
 * @returns {Float64Array}
 */
export function blurAround(view, x, y, kernel, reach, border = "zero") {
  const { maps, height, width, channels, channel } = view;
  const side = 2 * reach + 1;
  const radius = reach + (kernel.length - 1) / 2;
  const near = new Float64Array(side * side);
  for (let j = -radius; j <= radius; j++) {
    const row = extended(y + j, height, border);
    if (row < 0) continue;
    for (let i = 0; i < side; i++) {
      // Along x: the kernel's first value stands on this column.
      const start = x - radius + i;
      let sum = 0;
      for (let t = 0; t < kernel.length; t++) {
        const column = extended(start + t, width, border);
        if (column >= 0) sum += kernel[t] * maps[(row * width + column) * channels + channel];
      }
      // Along y: this row counts for those places whose kernel covers it.
      for (let place = 0; place < side; place++) {
        const t = j + radius - place;
        if (t >= 0 && t < kernel.length) near[place * side + i] += kernel[t] * sum;
      }
    }
  }
  return near;
}

/**
 * Returns which pixel stands at an index of the extended map; -1 where it is 0.
 * @param {number} index
 * @param {number} size
 * @param {"zero" | "mirror"} border
 */
function extended(index, size, border) {
  if (index >= 0 && index < size) return index;
  if (border === "zero") return -1;
  const mirrored = index < 0 ? -index : 2 * (size - 1) - index;
  return Math.min(size - 1, Math.max(0, mirrored));
}

/**
 * Returns the highest value of the smoothed map.
 * @param {HeatmapView} view
 * @param {number[]} kernel
 */
function highestBlurred(view, kernel) {
  let highest = -Infinity;
  for (let y = 0; y < view.height; y++) {
    for (let x = 0; x < view.width; x++) {
      highest = Math.max(highest, blurAround(view, x, y, kernel, 0)[0]);
    }
  }
  return highest;
}

/**
 * Returns the logarithm of the smoothed map around its peak, up to a constant.
 *
 * The smoothed map is scaled back to its old maximum and clipped. Differences of
 * logarithms do not see the scale; so it is only worked out where clipping could show it.
 *
 * @param {HeatmapView} view
 * @param {number} x of the maximum.
 * @param {number} y
 * @param {number} peak the maximum, which is positive.
 * @param {number[]} kernel
 * @param {number} reach
 * @param {readonly [number, number]} limits of what the logarithm is taken of.
 * @returns {Float64Array}
 */
export function logAround(view, x, y, peak, kernel, reach, [low, high]) {
  const near = blurAround(view, x, y, kernel, reach);
  let scale = 1;
  if (peak > high || near.some((value) => value <= low)) {
    const highest = highestBlurred(view, kernel);
    scale = peak / (highest > 0 ? highest : 1);
  }
  return near.map((value) => Math.log(Math.min(high, Math.max(low, value * scale))));
}
