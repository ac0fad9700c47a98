/**
 * Pixels to what a file takes, and what it gives to real numbers; SPEC.md, section 4.
 *
 * @typedef {object} TensorSpec
 * @property {string} name in the file's signature.
 * @property {number[]} shape with batch; NHWC.
 * @property {string} dtype "float32", "uint8", "int8", ...
 * @property {number | null} scale real value of one integer step; null: not quantized.
 * @property {number | null} zeroPoint the integer that stands for 0.
 *
 * @typedef {object} Normalization network input = image / 255 - mean, over std.
 * @property {number[]} mean one number per network channel.
 * @property {number[]} std likewise.
 * @property {"rgb" | "bgr"} channelOrder of the network.
 */

/** @type {Record<string, [number, number]>} */
const LIMITS = { uint8: [0, 255], int8: [-128, 127] };

/**
 * Turns RGB pixels into what the file's input takes.
 *
 * @param {Uint8Array} pixels
 * @param {TensorSpec} spec
 * @param {Normalization | null} [normalization] null: it is inside the file.
 * @returns {Uint8Array | Int8Array | Float32Array}
 */
export function toInput(pixels, spec, normalization = null) {
  const values = normalization ? normalized(pixels, normalization) : pixels;
  if (spec.dtype === "float32") return Float32Array.from(values);
  if (spec.dtype !== "uint8" && spec.dtype !== "int8") {
    throw new Error(`Images go in as uint8, int8 or float32, not ${spec.dtype}.`);
  }
  return quantized(values, spec);
}

/**
 * @param {Uint8Array} pixels
 * @param {Normalization} normalization
 */
function normalized(pixels, { mean, std, channelOrder }) {
  const factors = std.map((value) => Math.fround(1 / Math.fround(255 * Math.fround(value))));
  const offsets = mean.map((value, k) => Math.fround(Math.fround(value) / Math.fround(std[k])));
  const values = new Float32Array(pixels.length);
  for (let i = 0; i < values.length; i++) {
    const k = i % 3;
    const source = channelOrder === "bgr" ? i - k + 2 - k : i;
    values[i] = Math.fround(pixels[source] * factors[k]) - offsets[k];
  }
  return values;
}

/**
 * @param {Uint8Array | Float32Array} values
 * @param {TensorSpec} spec
 */
function quantized(values, spec) {
  const [scale, zeroPoint] = [spec.scale ?? 1, spec.zeroPoint ?? 0];
  if (spec.dtype === "uint8" && scale === 1 && zeroPoint === 0) return Uint8Array.from(values);
  const [low, high] = LIMITS[spec.dtype];
  const integers = new (spec.dtype === "int8" ? Int8Array : Uint8Array)(values.length);
  for (let i = 0; i < integers.length; i++) {
    integers[i] = Math.min(high, Math.max(low, Math.round(values[i] / scale) + zeroPoint));
  }
  return integers;
}

/**
 * Turns what a file gives into real numbers: (value - zero point) * scale, in float32.
 *
 * @param {ArrayLike<number>} values
 * @param {TensorSpec} spec
 * @returns {Float32Array}
 */
export function toReal(values, spec) {
  if (spec.scale === null) {
    return values instanceof Float32Array ? values : Float32Array.from(values);
  }
  const scale = Math.fround(spec.scale);
  const zeroPoint = spec.zeroPoint ?? 0;
  const real = new Float32Array(values.length);
  for (let i = 0; i < real.length; i++) real[i] = (values[i] - zeroPoint) * scale;
  return real;
}
