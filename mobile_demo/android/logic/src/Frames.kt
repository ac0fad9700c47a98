/** Camera frames to upright pictures; SPEC.md, section 13. Nothing here is mirrored: what is computed never is. */
package keraspose.phone

import keraspose.Picture
import keraspose.Size

/**
 * One plane of a YUV image.
 *
 * @property rowStride bytes from one row to the next; rows may be padded.
 * @property pixelStride bytes from one sample to the next; 2 where U and V are interleaved.
 */
class Plane(val bytes: ByteArray, val rowStride: Int, val pixelStride: Int)

/** Brightness for each pixel, colour for two by two of them: `YUV_420_888`, BT.601, full range. */
class YuvFrame(val size: Size, val y: Plane, val u: Plane, val v: Plane)

/**
 * How far a camera's frame must be turned clockwise to stand upright on the screen.
 *
 * @param sensorDegrees clockwise, from the sensor's image to the device's natural position (`SENSOR_ORIENTATION`).
 * @param displayDegrees how far the screen is turned from it, counterclockwise (`Display.getRotation` times 90).
 */
fun uprightDegrees(sensorDegrees: Int, displayDegrees: Int, isFront: Boolean): Int {
    // A front camera looks the other way: turning the device turns its picture against the screen.
    val turned = if (isFront) sensorDegrees + displayDegrees else sensorDegrees - displayDegrees
    return (turned % 360 + 360) % 360
}

/** Turns [size] by a multiple of 90 degrees. */
fun turnedSize(size: Size, degrees: Int) = if (degrees % 180 == 0) size else Size(size.width, size.height)

/**
 * Where the pixels of a turned picture come from: column = startX + stepX * c + rowX * r, likewise the row.
 *
 * @property stepX how far a step to the right moves in the source, along x; [rowX] a step down.
 */
class Turn(source: Size, clockwiseDegrees: Int) {
    val startX: Int
    val startY: Int
    val stepX: Int
    val stepY: Int
    val rowX: Int
    val rowY: Int

    init {
        require(clockwiseDegrees in listOf(0, 90, 180, 270)) { "Pictures turn by 0, 90, 180 or 270 degrees, not $clockwiseDegrees." }
        val isReversedX = clockwiseDegrees == 180 || clockwiseDegrees == 270
        val isReversedY = clockwiseDegrees == 90 || clockwiseDegrees == 180
        val isCrossed = clockwiseDegrees % 180 != 0
        startX = if (isReversedX) source.width - 1 else 0
        startY = if (isReversedY) source.height - 1 else 0
        val alongX = if (isReversedX) -1 else 1
        val alongY = if (isReversedY) -1 else 1
        stepX = if (isCrossed) 0 else alongX
        stepY = if (isCrossed) alongY else 0
        rowX = if (isCrossed) alongX else 0
        rowY = if (isCrossed) 0 else alongY
    }
}

/** Fixed point: 16 bits after the point. */
private const val ONE = 1 shl 16
private const val RED_OF_V = (1.402 * ONE).toInt()
private const val GREEN_OF_U = (0.344136 * ONE).toInt()
private const val GREEN_OF_V = (0.714136 * ONE).toInt()
private const val BLUE_OF_U = (1.772 * ONE).toInt()

/**
 * Turns a camera's frame into an upright RGB picture.
 *
 * @param reused takes the pixels where it has their size, else a new array does.
 */
fun uprightPicture(frame: YuvFrame, clockwiseDegrees: Int, reused: ByteArray? = null): Picture {
    val size = turnedSize(frame.size, clockwiseDegrees)
    val count = size.height * size.width * 3
    val data = if (reused != null && reused.size == count) reused else ByteArray(count)
    val turn = Turn(frame.size, clockwiseDegrees)
    var at = 0
    for (row in 0 until size.height) {
        var x = turn.startX + row * turn.rowX
        var y = turn.startY + row * turn.rowY
        for (column in 0 until size.width) {
            writeRgb(frame, x, y, data, at)
            at += 3
            x += turn.stepX
            y += turn.stepY
        }
    }
    return Picture(size, 3, data)
}

private fun writeRgb(frame: YuvFrame, x: Int, y: Int, data: ByteArray, at: Int) {
    // Rounded by the half that is added before the shift.
    val light = (sample(frame.y, x, y) shl 16) + ONE / 2
    val u = sample(frame.u, x shr 1, y shr 1) - 128
    val v = sample(frame.v, x shr 1, y shr 1) - 128
    data[at] = level(light + RED_OF_V * v)
    data[at + 1] = level(light - GREEN_OF_U * u - GREEN_OF_V * v)
    data[at + 2] = level(light + BLUE_OF_U * u)
}

private fun sample(plane: Plane, x: Int, y: Int) = plane.bytes[y * plane.rowStride + x * plane.pixelStride].toInt() and 0xff

private fun level(value: Int): Byte {
    val level = value shr 16
    return (if (level < 0) 0 else if (level > 255) 255 else level).toByte()
}

/**
 * Android's pixels (alpha, red, green, blue in an Int) of a picture, all opaque.
 *
 * @param reused takes them where it has their size, else a new array does.
 */
fun toArgb(picture: Picture, reused: IntArray? = null): IntArray {
    val data = picture.data
    val count = picture.size.height * picture.size.width
    val pixels = if (reused != null && reused.size == count) reused else IntArray(count)
    for (i in 0 until count) {
        val at = i * picture.channels
        val red = data[at].toInt() and 0xff
        val green = data[at + 1].toInt() and 0xff
        pixels[i] = (0xff shl 24) or (red shl 16) or (green shl 8) or (data[at + 2].toInt() and 0xff)
    }
    return pixels
}

/** The picture of Android's pixels, upright; what is transparent is black. */
fun fromArgb(pixels: IntArray, size: Size, clockwiseDegrees: Int, isMirrored: Boolean): Picture {
    val upright = turnedSize(size, clockwiseDegrees)
    val turn = Turn(size, clockwiseDegrees)
    val data = ByteArray(upright.height * upright.width * 3)
    for (row in 0 until upright.height) for (column in 0 until upright.width) {
        val turned = turn.startX + row * turn.rowX + column * turn.stepX
        val x = if (isMirrored) size.width - 1 - turned else turned
        val y = turn.startY + row * turn.rowY + column * turn.stepY
        val pixel = pixels[y * size.width + x]
        val opacity = pixel ushr 24
        val at = (row * upright.width + column) * 3
        for (k in 0 until 3) data[at + k] = ((pixel shr (16 - 8 * k) and 0xff) * opacity / 255).toByte()
    }
    return Picture(upright, 3, data)
}

/** The size closest to a wish, of those that a camera has; of equally near ones the smaller. */
fun nearestSize(sizes: List<Size>, wish: Size): Size? =
    sizes.sortedBy { it.height.toLong() * it.width }
        .sortedBy { Math.abs(it.height - wish.height) + Math.abs(it.width - wish.width) }
        .firstOrNull()

/** By how much pictures are made smaller when they are read, so that the longer side stays at or above a limit. */
fun shrinking(size: Size, longestSide: Int): Int {
    var factor = 1
    while (Math.max(size.height, size.width) / (2 * factor) >= longestSide) factor *= 2
    return factor
}
