/** Boxes, crops and affine maps; SPEC.md, sections 1 to 3. A pixel's centre has whole coordinates. */
package keraspose

private const val MIN_SIDE = 1e-2
private const val MAX_SIDE = 1e6

/** x' = a x + b y + tx, y' = c x + d y + ty. */
class Affine(
    val a: Double, val b: Double, val tx: Double,
    val c: Double, val d: Double, val ty: Double
) {
    fun x(x: Double, y: Double) = a * x + b * y + tx

    fun y(x: Double, y: Double) = c * x + d * y + ty

    fun inverse(): Affine {
        val share = 1 / (a * d - b * c)
        val (ia, ib) = Pair(d * share, -b * share)
        val (ic, id) = Pair(-c * share, a * share)
        return Affine(ia, ib, -(ia * tx + ib * ty), ic, id, -(ic * tx + id * ty))
    }

    /** Moves points x, y, x, y, ... */
    fun move(points: FloatArray) = DoubleArray(points.size) { i ->
        val x = points[i - i % 2].toDouble()
        val y = points[i - i % 2 + 1].toDouble()
        if (i % 2 == 0) x(x, y) else y(x, y)
    }

    fun toArray() = doubleArrayOf(a, b, tx, c, d, ty)
}

/**
 * Builds the map from image pixels to the pixels of a person's crop.
 *
 * @param padding factor from box to crop.
 * @param isUnbiased cut as UDP does.
 */
fun cropMatrix(box: Box, input: Size, padding: Double, isUnbiased: Boolean): Affine {
    val width = input.width.toDouble()
    val height = input.height.toDouble()
    val centerX = box.x1 + box.width / 2
    val centerY = box.y1 + box.height / 2
    val cropWidth = Math.max(box.width, box.height * (width / height)) * padding
    val lost = if (isUnbiased) 1 else 0
    val zoomX = (width - lost) / width * width / cropWidth
    val zoomY = (height - lost) / height * width / cropWidth
    return Affine(
        zoomX, 0.0, (width - lost) / 2 - zoomX * centerX,
        0.0, zoomY, (height - lost) / 2 - zoomY * centerY
    )
}

/** Cuts a crop out of an image: bilinear, black outside; height * width * 3 bytes. */
fun warpImage(image: Picture, matrix: Affine, output: Size): ByteArray {
    val back = matrix.inverse().toArray().map { it.toFloat() }
    val crop = ByteArray(output.height * output.width * 3)
    for (row in 0 until output.height) {
        val startX = back[1] * row + back[2]
        val startY = back[4] * row + back[5]
        for (column in 0 until output.width) {
            val x = fused(column.toFloat(), back[0], startX)
            val y = fused(column.toFloat(), back[3], startY)
            sampleInto(crop, (row * output.width + column) * 3, image, x, y)
        }
    }
    return crop
}

private fun sampleInto(output: ByteArray, at: Int, image: Picture, x: Float, y: Float) {
    val left = Math.floor(x.toDouble()).toFloat()
    val top = Math.floor(y.toDouble()).toFloat()
    // Far outside, whole numbers of pixels would overflow.
    if (left < -1 || top < -1 || left >= image.size.width || top >= image.size.height) return
    val row = top.toInt()
    val column = left.toInt()
    for (k in 0 until 3) {
        val above = mix(image.at(row, column, k), image.at(row, column + 1, k), x - left)
        val below = mix(image.at(row + 1, column, k), image.at(row + 1, column + 1, k), x - left)
        // To the nearest, halves to the even number.
        output[at + k] = Math.rint(fused(y - top, below - above, above).toDouble()).toInt().toByte()
    }
}

private fun mix(first: Int, second: Int, share: Float) = fused(share, (second - first).toFloat(), first.toFloat())

/** a * b + c, rounded once, as OpenCV's fused operations do. */
private fun fused(a: Float, b: Float, c: Float) = (a.toDouble() * b + c).toFloat()

/** The box from the first pixel's centre to the last one's: the whole image is one person. */
fun wholeImageBox(image: Size) =
    Box(0.0, 0.0, Math.max(1, image.width - 1).toDouble(), Math.max(1, image.height - 1).toDouble())

/** Whether a person can be cut out by a box: finite, of a sane size, not outside the image. */
fun isUsable(box: Box, image: Size): Boolean {
    val isFinite = listOf(box.x1, box.y1, box.x2, box.y2).all { it.isFinite() }
    val isSane = listOf(box.width, box.height).all { it >= MIN_SIDE && it <= MAX_SIDE }
    val meets = box.x1 < image.width && box.y1 < image.height && box.x2 > 0 && box.y2 > 0
    return isFinite && isSane && meets
}
