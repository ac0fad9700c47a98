/** Networks and all that is computed, on a thread of their own; the screen stays responsive. */
package keraspose.app

import android.content.ContentResolver
import android.content.Context
import android.graphics.Bitmap
import android.net.Uri
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import keraspose.Contract
import keraspose.ContractError
import keraspose.DetectorContract
import keraspose.DetectorNetwork
import keraspose.PeopleContract
import keraspose.Person
import keraspose.Picture
import keraspose.Skeleton
import keraspose.phone.Analysis
import keraspose.phone.Bundle
import keraspose.phone.Cautious
import keraspose.phone.Chosen
import keraspose.phone.DETECTOR_TASK
import keraspose.phone.Folder
import keraspose.phone.ModelEntry
import keraspose.phone.ModelError
import keraspose.phone.NewestFrame
import keraspose.phone.OpenModel
import keraspose.phone.POSE_TASKS
import keraspose.phone.PoseNetwork
import keraspose.phone.Session
import keraspose.phone.Settings
import keraspose.phone.Wish
import keraspose.phone.checkAgainstPython
import keraspose.phone.describe
import keraspose.phone.modelsIn
import keraspose.phone.openBundle
import keraspose.phone.openFastest
import keraspose.phone.readModel
import keraspose.phone.recordedRunsOf
import keraspose.phone.runtimeOf
import keraspose.phone.sha256
import keraspose.phone.toArgb
import keraspose.phone.uprightPicture
import java.io.File
import java.io.IOException

private const val MAX_THREADS = 4

// Without models there is still a picture to see.
private val NO_SKELETON = Skeleton("none", listOf(), listOf(), listOf(), listOf())
private val NOBODY = Analysis(listOf(), mapOf(), false)

/** What the user has chosen. @property detector null: the whole picture is one person, or [pose] finds everybody in it. */
class Choice(val pose: ModelEntry, val detector: ModelEntry?, val wish: Wish, val settings: Settings)

/** A picture and its people, to be drawn together. @property seconds null: a single picture. */
class Shot(
    val bitmap: Bitmap,
    val people: List<Person>,
    val skeleton: Skeleton,
    val isMirrored: Boolean,
    val stages: Map<String, Double>,
    val seconds: Double?
)

/** What the engine tells the screen, on the main thread. */
interface EngineListener {
    fun onModels(bundle: Bundle)

    /** @param notes for each model what it runs on, and why not on what else there is. */
    fun onOpened(notes: List<String>)

    fun onShot(shot: Shot)

    /** @param words what came of the parity packs. */
    fun onChecked(words: String)

    /** What was asked for cannot be shown. */
    fun onFailure(message: String)
}

/** @param own the app's models and parity packs. */
class Engine(private val context: Context, private val own: Folder, private val listener: EngineListener) {
    private val thread = HandlerThread("networks").apply { start() }
    private val handler = Handler(thread.looper)
    private val main = Handler(Looper.getMainLooper())
    private val frames = NewestFrame<CameraFrame> {}
    private val running = HashMap<String, Running>()
    private var accelerators: LiteRtAccelerators? = null
    private var session: Session? = null
    private var pixels: ByteArray? = null
    private var argb: IntArray? = null
    // Two in turns: one is on the screen while the next is made.
    private val bitmaps = arrayOfNulls<Bitmap>(2)
    private var turn = 0

    /** Looks for models, the app's own and those that were pushed, and holds the app's against their manifest. */
    fun findModels(pushed: Folder?) = attempt {
        val bundle = openBundle(own)
        val others = if (pushed == null) listOf() else modelsIn(pushed)
        main.post { listener.onModels(Bundle(bundle.entries + others, bundle.boxThreshold)) }
    }

    /** A model that is open, by what was asked for. */
    private class Running(val hash: String, val wish: Wish, val contract: Contract, val chosen: Chosen)

    /** Opens models, in place of those that are open; what is open already stays. */
    fun open(choice: Choice) = attempt {
        session = null
        if (choice.detector == null) close("detector")
        val notes = ArrayList<String>()
        val pose = openNetwork(choice.pose, "pose", POSE_TASKS, choice.wish, notes)
        val detector = choice.detector?.let { openNetwork(it, "detector", listOf(DETECTOR_TASK), choice.wish, notes) }
        session = Session(
            PoseNetwork(pose.contract as PeopleContract, pose.chosen.network::run),
            detector?.let { DetectorNetwork(it.contract as DetectorContract, it.chosen.network::run) },
            choice.settings
        )
        main.post { listener.onOpened(notes) }
    }

    private fun openNetwork(entry: ModelEntry, name: String, tasks: List<String>, wish: Wish, notes: MutableList<String>): Running {
        val model = readModel(entry, tasks)
        val hash = sha256(model.bytes)
        val old = running[name]
        val now = if (old != null && old.hash == hash && old.wish == wish) old else {
            close(name)
            val cautious = Cautious(ready(), File(context.cacheDir, "tried"), wish.accelerator != null)
            Running(hash, wish, model.contract, openFastest(entry.fileName, model, wish, cautious, recordedRunsOf(own, hash)))
        }
        running[name] = now
        notes.add(now.chosen.words(entry.fileName))
        return now
    }

    private fun ready(): LiteRtAccelerators = accelerators ?: runtimeOf {
        LiteRtAccelerators(context, Math.min(MAX_THREADS, Runtime.getRuntime().availableProcessors()))
    }.also { accelerators = it }

    /** Replays the app's parity packs with the models that are open, on what they run on. */
    fun check() = attempt {
        val words = try {
            describe(checkAgainstPython(own, running.mapValues { OpenModel(it.value.hash, it.value.chosen.network::run) }))
        } catch (error: ContractError) {
            error.message!! // it is no reason to stop
        }
        main.post { listener.onChecked(words) }
    }

    /** From any thread: the camera's newest frame. */
    fun offer(frame: CameraFrame) {
        if (frames.offer(frame)) handler.post { lookAtFrame() }
    }

    /** The last shot is on the screen: now the newest frame may be looked at. */
    fun drawn() {
        if (frames.done()) handler.post { lookAtFrame() }
    }

    /** Another camera, or none any more: frames that wait are of no use. */
    fun forgetFrames() = frames.clear()

    private fun lookAtFrame() = attempt {
        val frame = frames.take()
        if (frame == null) {
            drawn() // nothing to draw
        } else {
            val started = System.nanoTime()
            val picture = uprightPicture(frame.yuv, frame.clockwiseDegrees, pixels)
            pixels = picture.data
            val bitmap = bitmapOf(picture)
            val stages = linkedMapOf("frame" to (System.nanoTime() - started) / 1e6)
            val found = session?.frame(picture, frame.seconds) ?: NOBODY
            show(bitmap, found, stages, frame.isFront, frame.seconds)
        }
    }

    /** A picture from the gallery, on its own. */
    fun look(resolver: ContentResolver, uri: Uri, unreadable: (String) -> String) = attempt {
        try {
            val picture = readPhoto(resolver, uri)
            show(bitmapOf(picture), session?.picture(picture) ?: NOBODY, mapOf(), false, null)
        } catch (error: IOException) {
            tell(unreadable(error.message ?: ""))
        } catch (error: SecurityException) {
            tell(unreadable(error.message ?: ""))
        }
    }

    private fun show(bitmap: Bitmap, found: Analysis, stages: Map<String, Double>, isFront: Boolean, seconds: Double?) {
        val skeleton = session?.skeleton ?: NO_SKELETON
        main.post { listener.onShot(Shot(bitmap, found.people, skeleton, isFront, stages + found.stages, seconds)) }
    }

    private fun bitmapOf(picture: Picture): Bitmap {
        val (height, width) = picture.size
        turn = 1 - turn
        val old = bitmaps[turn]
        val bitmap = if (old != null && old.width == width && old.height == height) old
        else Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        bitmaps[turn] = bitmap
        val colors = toArgb(picture, argb)
        argb = colors
        bitmap.setPixels(colors, 0, width, 0, 0, width, height)
        return bitmap
    }

    /** Frees everything; nothing is heard of it afterwards. */
    fun close() {
        handler.removeCallbacksAndMessages(null)
        handler.post {
            closeNetworks()
            accelerators?.close()
            accelerators = null
            thread.quitSafely()
        }
    }

    private fun closeNetworks() {
        session = null
        for (name in running.keys.toList()) close(name)
    }

    private fun close(name: String) {
        running.remove(name)?.chosen?.network?.close()
    }

    /** Does it on the networks' thread; what goes wrong is said on the screen. */
    private fun attempt(work: () -> Unit) {
        if (Looper.myLooper() !== thread.looper) {
            handler.post { attempt(work) }
            return
        }
        try {
            work()
        } catch (error: ContractError) {
            fail(error.message!!)
        } catch (error: ModelError) {
            fail(error.message!!)
        } catch (error: OutOfMemoryError) {
            fail("The device has not enough memory for this.")
        } catch (error: Exception) {
            fail("The models cannot be run: $error") // from LiteRT, whose words they are, and whose exceptions are checked ones
        }
    }

    private fun fail(message: String) {
        closeNetworks()
        frames.clear() // the frame on which it failed is not drawn any more
        tell(message)
    }

    private fun tell(message: String) {
        main.post { listener.onFailure(message) }
    }
}
