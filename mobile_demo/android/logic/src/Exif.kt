/** How a photo must be turned: the orientation that JPEG files carry (Exif 2.3, tag 274). */
package keraspose.phone

/** @property isMirrored left and right change places, before the picture is turned. */
data class Orientation(val clockwiseDegrees: Int, val isMirrored: Boolean)

private val UPRIGHT = Orientation(0, false)

/** By the tag's value, 1 to 8. */
private val ORIENTATIONS = listOf(
    UPRIGHT, Orientation(0, true), Orientation(180, false), Orientation(180, true),
    Orientation(270, true), Orientation(90, false), Orientation(90, true), Orientation(270, false)
)

private const val ORIENTATION_TAG = 274
private const val APP1 = 0xe1
private const val START_OF_SCAN = 0xda

/** Reads a file's orientation; upright where it says none, or is no JPEG. */
fun orientationOf(file: ByteArray): Orientation = try {
    readOrientation(Bytes(file))
} catch (error: IndexOutOfBoundsException) {
    UPRIGHT // the file ends early: other readers say so
}

private class Bytes(private val data: ByteArray) {
    fun byte(at: Int) = data[at].toInt() and 0xff

    fun short(at: Int, isLittle: Boolean = false) =
        if (isLittle) byte(at) or (byte(at + 1) shl 8) else (byte(at) shl 8) or byte(at + 1)

    fun int(at: Int, isLittle: Boolean) =
        if (isLittle) short(at, true) or (short(at + 2, true) shl 16) else (short(at) shl 16) or short(at + 2)

    fun says(text: String, at: Int) = text.toByteArray().withIndex().all { (i, wanted) -> data[at + i] == wanted }
}

private fun readOrientation(file: Bytes): Orientation {
    if (file.short(0) != 0xffd8) return UPRIGHT
    var at = 2
    while (file.byte(at) == 0xff && file.byte(at + 1) != START_OF_SCAN) {
        if (file.byte(at + 1) == APP1 && file.says("Exif\u0000\u0000", at + 4)) return readTiff(file, at + 10)
        at += 2 + file.short(at + 2)
    }
    return UPRIGHT
}

private fun readTiff(file: Bytes, start: Int): Orientation {
    val isLittle = file.says("II", start)
    val directory = start + file.int(start + 4, isLittle)
    for (i in 0 until file.short(directory, isLittle)) {
        val entry = directory + 2 + 12 * i
        if (file.short(entry, isLittle) == ORIENTATION_TAG) {
            return ORIENTATIONS.getOrElse(file.short(entry + 8, isLittle) - 1) { UPRIGHT }
        }
    }
    return UPRIGHT
}
