/** Pictures that the user chooses: decoded, turned as the camera says that took them, of a sane size. */
package keraspose.app

import android.content.ContentResolver
import android.graphics.BitmapFactory
import android.net.Uri
import keraspose.Picture
import keraspose.Size
import keraspose.phone.fromArgb
import keraspose.phone.orientationOf
import keraspose.phone.shrinking
import java.io.IOException

/** Longer sides become less than twice this, pixels. */
private const val LONGEST_SIDE = 1024

/** @throws IOException where it cannot be read, or is no picture. */
fun readPhoto(resolver: ContentResolver, uri: Uri): Picture {
    val stream = resolver.openInputStream(uri) ?: throw IOException("it is gone")
    val file = stream.use { it.readBytes() }
    val options = BitmapFactory.Options()
    options.inJustDecodeBounds = true
    BitmapFactory.decodeByteArray(file, 0, file.size, options)
    if (options.outWidth <= 0) throw IOException("it is no picture")
    options.inSampleSize = shrinking(Size(options.outHeight, options.outWidth), LONGEST_SIDE)
    options.inJustDecodeBounds = false
    val bitmap = BitmapFactory.decodeByteArray(file, 0, file.size, options) ?: throw IOException("it is no picture")
    val pixels = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    val orientation = orientationOf(file)
    return fromArgb(pixels, Size(bitmap.height, bitmap.width), orientation.clockwiseDegrees, orientation.isMirrored)
}
