/** Smoothed heatmaps near their peaks, and the logarithm of them; SPEC.md, section 6. */
package keraspose

/** One channel of heatmaps (height, width, channels). */
class HeatmapView(
    private val maps: FloatArray, val height: Int, val width: Int, private val channels: Int, private val channel: Int
) {
    fun at(y: Int, x: Int) = maps[(y * width + x) * channels + channel]
}

private fun weights(vararg values: Double) = values.sum().let { sum -> DoubleArray(values.size) { values[it] / sum } }

private val SMALL_KERNELS = mapOf(
    1 to weights(1.0),
    3 to weights(1.0, 2.0, 1.0),
    5 to weights(1.0, 4.0, 6.0, 4.0, 1.0),
    7 to weights(2.0, 7.0, 14.0, 18.0, 14.0, 7.0, 2.0),
    9 to weights(4.0, 13.0, 30.0, 51.0, 60.0, 51.0, 30.0, 13.0, 4.0)
)

/** The smoothing kernel of a size: OpenCV's where no sigma is given. */
fun gaussianKernel(size: Int): DoubleArray {
    SMALL_KERNELS[size]?.let { return it }
    val sigma = 0.3 * ((size - 1) / 2.0 - 1) + 0.8
    val middle = (size - 1) / 2.0
    return weights(*DoubleArray(size) { Math.exp(-(it - middle) * (it - middle) / (2 * sigma * sigma)) })
}

/**
 * The smoothed map at (2 reach + 1)^2 places around a position, rows first.
 *
 * Beyond its border the map is 0, or where [isMirrored] mirrored there: d c b | a b c d | c b a.
 */
fun blurAround(
    view: HeatmapView, x: Int, y: Int, kernel: DoubleArray, reach: Int, isMirrored: Boolean
): DoubleArray {
    val side = 2 * reach + 1
    val radius = reach + (kernel.size - 1) / 2
    val near = DoubleArray(side * side)
    for (j in -radius..radius) {
        val row = extended(y + j, view.height, isMirrored)
        if (row < 0) continue
        for (i in 0 until side) {
            var sum = 0.0
            for (t in kernel.indices) {
                val column = extended(x - radius + i + t, view.width, isMirrored)
                if (column >= 0) sum += kernel[t] * view.at(row, column)
            }
            // This row counts for those places whose kernel covers it.
            for (place in 0 until side) {
                val t = j + radius - place
                if (t in kernel.indices) near[place * side + i] += kernel[t] * sum
            }
        }
    }
    return near
}

/** Which pixel stands at an index of the extended map; -1 where it is 0. */
private fun extended(index: Int, size: Int, isMirrored: Boolean): Int {
    if (index in 0 until size) return index
    if (!isMirrored) return -1
    val mirrored = if (index < 0) -index else 2 * (size - 1) - index
    return Math.min(size - 1, Math.max(0, mirrored))
}

private fun highestBlurred(view: HeatmapView, kernel: DoubleArray): Double {
    var highest = Double.NEGATIVE_INFINITY
    for (y in 0 until view.height) for (x in 0 until view.width) {
        highest = Math.max(highest, blurAround(view, x, y, kernel, 0, false)[0])
    }
    return highest
}

/**
 * The logarithm of the smoothed map around its peak, up to a constant.
 *
 * The smoothed map is scaled back to its old maximum, [peak], and clipped. Differences of logarithms do not see
 * the scale; so it is only worked out where clipping could show it.
 */
fun logAround(
    view: HeatmapView, x: Int, y: Int, peak: Float, kernel: DoubleArray, reach: Int, low: Double, high: Double
): DoubleArray {
    val near = blurAround(view, x, y, kernel, reach, false)
    var scale = 1.0
    if (peak > high || near.any { it <= low }) {
        val highest = highestBlurred(view, kernel)
        scale = peak / (if (highest > 0) highest else 1.0)
    }
    return DoubleArray(near.size) { Math.log(Math.min(high, Math.max(low, near[it] * scale))) }
}
