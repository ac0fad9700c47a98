/** Fitting whole images into a detector's input; SPEC.md, section 5. */
package keraspose

/** Grey that fills what the image leaves free. */
private const val PAD_VALUE = 114

/** Shares of a pixel are counted in these: 11 bits. */
private const val UNITS = 2048

/** An image in a detector's input: RGB [pixels], and input pixels per image pixel. */
class Letterboxed(val pixels: ByteArray, val content: Size, val scaleX: Double, val scaleY: Double)

/** The size to which an image shrinks or grows to fit into the input. */
fun letterboxSize(image: Size, input: Size): Size {
    val scale = Math.min(input.height.toDouble() / image.height, input.width.toDouble() / image.width)
    fun fit(size: Int) = Math.max(1, Math.floor(size * scale + 0.5).toInt())
    return Size(fit(image.height), fit(image.width))
}

/** Fits an image into the top left of the input, with grey beside it. */
fun letterbox(image: Picture, input: Size): Letterboxed {
    val content = letterboxSize(image.size, input)
    val pixels = ByteArray(input.height * input.width * 3) { PAD_VALUE.toByte() }
    val columns = Taps(image.size.width, content.width, true)
    val rows = Taps(image.size.height, content.height, false)
    var upper = IntArray(0)
    var lower = IntArray(0)
    var resized = Pair(-1, -1)
    for (row in 0 until content.height) {
        val needed = Pair(rows.first[row], rows.second[row])
        if (needed != resized) {
            // The lower row is often the next one's upper.
            upper = if (needed.first == resized.second) lower else resizeRow(image, needed.first, columns)
            lower = if (needed.second == needed.first) upper else resizeRow(image, needed.second, columns)
            resized = needed
        }
        val start = row * input.width * 3
        for (i in upper.indices) {
            val sum = (rows.firstShare[row] * (upper[i] shr 4) shr 16) + (rows.secondShare[row] * (lower[i] shr 4) shr 16)
            pixels[start + i] = (sum + 2 shr 2).toByte()
        }
    }
    val scaleX = content.width.toDouble() / image.size.width
    return Letterboxed(pixels, content, scaleX, content.height.toDouble() / image.size.height)
}

private fun resizeRow(image: Picture, row: Int, columns: Taps) = IntArray(columns.first.size * 3) { i ->
    val column = i / 3
    image.at(row, columns.first[column], i % 3) * columns.firstShare[column] +
        image.at(row, columns.second[column], i % 3) * columns.secondShare[column]
}

/**
 * Which two source pixels each pixel is mixed from, and their shares.
 *
 * @param isWholeAtEdges whether pixels beyond the edge's centre are the edge's alone. (Along y they are mixed of it
 * twice, which rounds differently.)
 */
private class Taps(sourceSize: Int, size: Int, isWholeAtEdges: Boolean) {
    val first = IntArray(size)
    val second = IntArray(size)
    val firstShare = IntArray(size)
    val secondShare = IntArray(size)

    init {
        for (i in 0 until size) {
            // Here, and only here, pixels are counted by their edges: half a pixel each way.
            val position = ((i + 0.5) * (1 / (size.toDouble() / sourceSize)) - 0.5).toFloat()
            val index = Math.floor(position.toDouble()).toInt()
            val isBeyond = index < 0 || index >= sourceSize - 1
            val share = if (isBeyond && isWholeAtEdges) 0f else position - index
            first[i] = Math.min(Math.max(0, index), sourceSize - 1)
            second[i] = if (isBeyond) first[i] else index + 1
            firstShare[i] = Math.rint((1 - share).toDouble() * UNITS).toInt()
            secondShare[i] = Math.rint(share.toDouble() * UNITS).toInt()
        }
    }
}
