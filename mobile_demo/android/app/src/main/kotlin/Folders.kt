/** Where models are: in the app, and in a folder that `adb push` fills. */
package keraspose.app

import android.content.Context
import android.content.res.AssetManager
import keraspose.phone.Folder
import java.io.File
import java.io.FileNotFoundException

/** The folder that export/bundle_mobile.py fills. */
class AssetFolder(private val assets: AssetManager) : Folder {
    override val title = ""

    override fun list() = assets.list("models")?.toList() ?: listOf()

    override fun read(path: String): ByteArray? = try {
        assets.open("models/$path").use { it.readBytes() }
    } catch (error: FileNotFoundException) {
        null
    }
}

/** A user's own models: files with their contracts inside, or in a `pose_model.json` beside them. */
class PushedFolder(private val root: File) : Folder {
    override val title = " (pushed)"

    override fun list() = root.list()?.sorted() ?: listOf()

    override fun read(path: String): ByteArray? = File(root, path).let { if (it.isFile) it.readBytes() else null }
}

/** `Android/data/keraspose.app/files/models` of the device's storage; null where there is no storage. */
fun pushedFolder(context: Context): PushedFolder? = context.getExternalFilesDir("models")?.let { PushedFolder(it) }
