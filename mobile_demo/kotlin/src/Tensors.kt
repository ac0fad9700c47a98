/** Pixels to what a file takes, and what it gives to real numbers; SPEC.md, section 4. */
package keraspose

/**
 * One input or output of a model file.
 *
 * @property name in the file's signature; tensors are found by it.
 * @property shape with batch; NHWC.
 * @property scale real value of one integer step; null: not quantized.
 * @property zeroPoint the integer that stands for 0.
 */
class TensorSpec(val name: String, val shape: List<Int>, val dtype: String, val scale: Double?, val zeroPoint: Int?)

/** Network input = image / 255 - mean, over std; one number per network channel. */
class Normalization(val mean: List<Double>, val std: List<Double>, val isBgr: Boolean)

/**
 * Turns RGB pixels into what the file's input takes: numbers of its type, to be written into its buffer.
 *
 * @param normalization null: it is inside the file.
 */
fun toInput(pixels: ByteArray, spec: TensorSpec, normalization: Normalization?): FloatArray {
    val values = if (normalization != null) normalized(pixels, normalization) else
        FloatArray(pixels.size) { (pixels[it].toInt() and 0xff).toFloat() }
    val limits = when (spec.dtype) {
        "float32" -> return values
        "uint8" -> Pair(0L, 255L)
        "int8" -> Pair(-128L, 127L)
        else -> throw IllegalArgumentException("Images go in as uint8, int8 or float32, not ${spec.dtype}.")
    }
    val scale = spec.scale ?: 1.0
    for (i in values.indices) {
        val value = Math.round(values[i] / scale) + (spec.zeroPoint ?: 0)
        values[i] = Math.min(limits.second, Math.max(limits.first, value)).toFloat()
    }
    return values
}

private fun normalized(pixels: ByteArray, normalization: Normalization): FloatArray {
    val factors = normalization.std.map { 1 / (255 * it.toFloat()) }
    val offsets = normalization.mean.mapIndexed { k, mean -> mean.toFloat() / normalization.std[k].toFloat() }
    return FloatArray(pixels.size) { i ->
        val k = i % 3
        val source = if (normalization.isBgr) i - k + 2 - k else i
        (pixels[source].toInt() and 0xff) * factors[k] - offsets[k]
    }
}

/** Turns what a file gives into real numbers: (value - zero point) * scale. */
fun toReal(values: FloatArray, spec: TensorSpec): FloatArray {
    val scale = (spec.scale ?: return values).toFloat()
    val zeroPoint = spec.zeroPoint ?: 0
    return FloatArray(values.size) { (values[it] - zeroPoint) * scale }
}
