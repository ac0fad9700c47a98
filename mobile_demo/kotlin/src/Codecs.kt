/** A network's outputs to keypoints of the crop; SPEC.md, section 6. */
package keraspose

private val KINDS = listOf("gaussian", "dark", "udp", "udp_offset", "simcc", "regression", "decoded")
private const val FLOAT32_EPSILON = 1.1920928955078125e-7

/** Keypoints in input pixels, x, y, x, y, ..., and their scores. */
class CropKeypoints(val keypointsXy: FloatArray, val scores: FloatArray)

/**
 * How outputs become keypoints, as it stands in contracts.
 *
 * @property stride input pixels per heatmap pixel; 1 where there are no maps.
 * @property blurKernel side of the smoothing kernel; 0 where nothing is smoothed.
 * @property radius of the discs of udp_offset, heatmap pixels.
 * @property splitRatio bins per input pixel, of simcc.
 * @property isUnbiased whether crops are cut as UDP does.
 */
class Codec(
    val kind: String,
    val input: Size,
    private val stride: Int,
    private val blurKernel: Int,
    private val offsetBlurKernel: Int,
    private val radius: Double,
    private val splitRatio: Double,
    val isUnbiased: Boolean
) {
    private val mapWidth = input.width / stride
    private val mapHeight = input.height / stride
    private val binsX = Math.round(input.width * splitRatio).toInt()
    private val binsY = Math.round(input.height * splitRatio).toInt()

    /** What a file's output must look like, without batch. */
    fun outputShape(numKeypoints: Int): List<Int> = when (kind) {
        "regression" -> listOf(numKeypoints, 2)
        "decoded" -> listOf(numKeypoints, 3)
        "simcc" -> listOf(numKeypoints, binsX + binsY)
        "udp_offset" -> listOf(mapHeight, mapWidth, 3 * numKeypoints)
        else -> listOf(mapHeight, mapWidth, numKeypoints)
    }

    /**
     * Finds the keypoints of one crop.
     *
     * @param outputs real numbers, of [outputShape].
     */
    fun decode(outputs: FloatArray, numKeypoints: Int): CropKeypoints {
        val shape = outputShape(numKeypoints)
        require(outputs.size == shape.fold(1) { product, size -> product * size }) {
            "The codec $kind takes ${shape.joinToString("x")} values, got ${outputs.size}."
        }
        val xy = FloatArray(2 * numKeypoints)
        val scores = FloatArray(numKeypoints)
        for (k in 0 until numKeypoints) {
            val (x, y, score) = when (kind) {
                "regression" -> Triple(
                    (outputs[2 * k] * input.width).toDouble(), (outputs[2 * k + 1] * input.height).toDouble(), 1f
                )
                "decoded" -> Triple(outputs[3 * k].toDouble(), outputs[3 * k + 1].toDouble(), outputs[3 * k + 2])
                "simcc" -> decodeBins(outputs, k)
                "udp_offset" -> decodeDisc(outputs, numKeypoints, k)
                else -> decodeMap(HeatmapView(outputs, mapHeight, mapWidth, numKeypoints, k))
            }
            xy[2 * k] = x.toFloat()
            xy[2 * k + 1] = y.toFloat()
            scores[k] = score
        }
        return CropKeypoints(xy, scores)
    }

    private fun pixelX() = if (isUnbiased) (input.width - 1.0) / (mapWidth - 1) else stride.toDouble()

    private fun pixelY() = if (isUnbiased) (input.height - 1.0) / (mapHeight - 1) else stride.toDouble()

    private fun decodeMap(view: HeatmapView): Triple<Double, Double, Float> {
        val (x, y) = firstMaximum { row, column -> view.at(row, column) }
        val peak = view.at(y, x)
        if (!(peak > 0)) return Triple(0.0, 0.0, peak)
        val (stepX, stepY) = when (kind) {
            "gaussian" -> quarterPixel(view, x, y)
            "dark" -> darkStep(view, x, y, peak)
            else -> udpStep(view, x, y, peak)
        }
        return Triple((x + stepX) * pixelX(), (y + stepY) * pixelY(), peak)
    }

    /** The first place of the highest value, row by row. */
    private fun firstMaximum(value: (Int, Int) -> Float): Pair<Int, Int> {
        var best = Pair(0, 0)
        var highest = value(0, 0)
        for (y in 0 until mapHeight) for (x in 0 until mapWidth) {
            if (value(y, x) > highest) {
                highest = value(y, x)
                best = Pair(x, y)
            }
        }
        return best
    }

    /** A quarter pixel towards the higher neighbour, within the outer two pixels. */
    private fun quarterPixel(view: HeatmapView, x: Int, y: Int): Pair<Double, Double> {
        if (!(x > 1 && x < view.width - 1 && y > 1 && y < view.height - 1)) return Pair(0.0, 0.0)
        val slopeX = view.at(y, x + 1) - view.at(y, x - 1)
        val slopeY = view.at(y + 1, x) - view.at(y - 1, x)
        return Pair(0.25 * Math.signum(slopeX), 0.25 * Math.signum(slopeY))
    }

    /** DARK's step to the top of a parabola; derivatives over two pixels each way. */
    private fun darkStep(view: HeatmapView, x: Int, y: Int, peak: Float): Pair<Double, Double> {
        if (!(x > 1 && x < view.width - 2 && y > 1 && y < view.height - 2)) return Pair(0.0, 0.0)
        val logs = logAround(view, x, y, peak, gaussianKernel(blurKernel), 2, 1e-10, Double.POSITIVE_INFINITY)
        fun at(dy: Int, dx: Int) = logs[(dy + 2) * 5 + dx + 2]
        val top = at(0, 0)
        return newtonStep(
            (at(0, 1) - at(0, -1)) / 2,
            (at(1, 0) - at(-1, 0)) / 2,
            (at(0, 2) - 2 * top + at(0, -2)) / 4,
            (at(2, 0) - 2 * top + at(-2, 0)) / 4,
            (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
        )
    }

    /** UDP's step: derivatives over one pixel, also at the border, whose pixels repeat. */
    private fun udpStep(view: HeatmapView, x: Int, y: Int, peak: Float): Pair<Double, Double> {
        val logs = logAround(view, x, y, peak, gaussianKernel(blurKernel), 1, 1e-3, 50.0)
        fun inside(value: Int, size: Int) = Math.min(size - 1, Math.max(0, value))
        fun at(dy: Int, dx: Int) = logs[(inside(y + dy, view.height) - y + 1) * 3 + inside(x + dx, view.width) - x + 1]
        val top = at(0, 0)
        val around = at(0, 1) + at(1, 0) + at(0, -1) + at(-1, 0)
        return newtonStep(
            (at(0, 1) - at(0, -1)) / 2,
            (at(1, 0) - at(-1, 0)) / 2,
            at(0, 1) - 2 * top + at(0, -1) + FLOAT32_EPSILON,
            at(1, 0) - 2 * top + at(-1, 0) + FLOAT32_EPSILON,
            (at(1, 1) + at(-1, -1) + 2 * top - around) / 2
        )
    }

    /** -H^-1 g, for the slopes g and the bends H; no step where H is singular. */
    private fun newtonStep(
        slopeX: Double, slopeY: Double, bendXx: Double, bendYy: Double, bendXy: Double
    ): Pair<Double, Double> {
        val determinant = bendXx * bendYy - bendXy * bendXy
        if (determinant == 0.0) return Pair(0.0, 0.0)
        return Pair(
            (bendXy * slopeY - bendYy * slopeX) / determinant,
            (bendXy * slopeX - bendXx * slopeY) / determinant
        )
    }

    /** The arg-max of the smoothed disc, and from there the way that the smoothed offsets say. */
    private fun decodeDisc(maps: FloatArray, numKeypoints: Int, k: Int): Triple<Double, Double, Float> {
        fun view(part: Int) = HeatmapView(maps, mapHeight, mapWidth, 3 * numKeypoints, 3 * k + part)
        val kernel = gaussianKernel(blurKernel)
        val disc = FloatArray(mapHeight * mapWidth) {
            blurAround(view(0), it % mapWidth, it / mapWidth, kernel, 0, true)[0].toFloat()
        }
        val (x, y) = firstMaximum { row, column -> disc[row * mapWidth + column] }
        val score = disc[y * mapWidth + x]
        if (!(score > 0)) return Triple(0.0, 0.0, score)
        val offsetKernel = gaussianKernel(offsetBlurKernel)
        fun offset(part: Int) = radius * blurAround(view(part), x, y, offsetKernel, 0, true)[0]
        return Triple((x + offset(1)) * pixelX(), (y + offset(2)) * pixelY(), score)
    }

    /** The highest bins along x and along y; the score is the lower of the two maxima. */
    private fun decodeBins(outputs: FloatArray, k: Int): Triple<Double, Double, Float> {
        val start = k * (binsX + binsY)
        fun highest(from: Int, until: Int): Int {
            var best = from
            for (i in from until until) if (outputs[i] > outputs[best]) best = i
            return best
        }
        val x = highest(start, start + binsX)
        val y = highest(start + binsX, start + binsX + binsY)
        val score = Math.min(outputs[x], outputs[y])
        if (!(score > 0)) return Triple(-1 / splitRatio, -1 / splitRatio, score)
        return Triple((x - start) / splitRatio, (y - start - binsX) / splitRatio, score)
    }

    companion object {
        /** Reads the entry "codec" of a contract; refuses what cannot be decoded here. */
        fun read(values: Json): Codec {
            val kind = values["codec kind", "kind"].text()
            if (kind !in KINDS) {
                throw ContractError("These apps decode the codecs ${KINDS.joinToString()}, not $kind.")
            }
            if (values.find("stretches")?.flag() == true) {
                throw ContractError("These apps do not stretch smoothed maps (codec udp).")
            }
            val sigma = values.find("sigma")?.number() ?: 0.0
            val usual = if (kind == "dark") 2 * (3 * sigma).toInt() - 1 else 0
            return Codec(
                kind,
                values["codec.input_hw", "input_hw"].integers().let { Size(it[0], it[1]) },
                values.find("stride")?.integer() ?: 1,
                values.find("blur_kernel")?.integer() ?: usual,
                values.find("offset_blur_kernel")?.integer() ?: 0,
                values.find("radius")?.number() ?: 0.0,
                values.find("split_ratio")?.number() ?: 1.0,
                values.find("is_unbiased")?.flag() ?: kind.startsWith("udp")
            )
        }
    }
}
