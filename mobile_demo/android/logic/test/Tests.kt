/** Tests of all that is not Android: `java -cp ... keraspose.phone.TestsKt [BUNDLE]`. */
package keraspose.phone

import keraspose.Box
import keraspose.ContractError
import keraspose.Person
import keraspose.Picture
import keraspose.Size
import keraspose.Skeleton
import keraspose.TensorSpec
import keraspose.contractOf
import keraspose.DetectorContract
import keraspose.DetectorNetwork
import keraspose.PeopleContract
import keraspose.PoseContract
import java.io.File
import kotlin.concurrent.thread
import kotlin.system.exitProcess

internal fun assertRefused(words: String, work: () -> Any?) {
    val message = try {
        work()
        "nothing was refused"
    } catch (error: ContractError) {
        error.message!!
    } catch (error: ModelError) {
        error.message!!
    }
    check(words in message) { "expected a refusal that says '$words', got: $message" }
}

internal fun assertEqual(actual: Any?, expected: Any?) = check(actual == expected) { "got $actual, expected $expected" }

// --- frames

/** A frame whose brightness counts the pixels, row by row; colours are grey. Rows are padded. */
private fun countedFrame(size: Size, u: Int = 128, v: Int = 128): YuvFrame {
    val stride = size.width + 3
    val light = ByteArray(stride * size.height) { (it / stride * size.width + it % stride).toByte() }
    // As most phones give them: U and V in turns, one byte apart.
    val chroma = ByteArray(size.width * size.height) { if (it % 2 == 0) u.toByte() else v.toByte() }
    val shifted = ByteArray(chroma.size) { if (it % 2 == 0) v.toByte() else u.toByte() }
    return YuvFrame(size, Plane(light, stride, 1), Plane(chroma, size.width, 2), Plane(shifted, size.width, 2))
}

private fun reds(picture: Picture) = (0 until picture.size.height).map { row ->
    (0 until picture.size.width).map { picture.at(row, it, 0) }
}

private fun framesTurnClockwise() {
    val frame = countedFrame(Size(2, 4)) // 0 1 2 3 / 4 5 6 7
    assertEqual(reds(uprightPicture(frame, 0)), listOf(listOf(0, 1, 2, 3), listOf(4, 5, 6, 7)))
    assertEqual(reds(uprightPicture(frame, 90)), listOf(listOf(4, 0), listOf(5, 1), listOf(6, 2), listOf(7, 3)))
    assertEqual(reds(uprightPicture(frame, 180)), listOf(listOf(7, 6, 5, 4), listOf(3, 2, 1, 0)))
    assertEqual(reds(uprightPicture(frame, 270)), listOf(listOf(3, 7), listOf(2, 6), listOf(1, 5), listOf(0, 4)))
}

private fun coloursAreThoseOfBt601() {
    // y, u, v and the colour by the formula in doubles, to the nearest whole number.
    for ((y, u, v) in listOf(Triple(0, 128, 128), Triple(255, 128, 128), Triple(76, 85, 255), Triple(150, 44, 21), Triple(29, 255, 107), Triple(128, 0, 255))) {
        val frame = YuvFrame(
            Size(2, 2), Plane(ByteArray(4) { y.toByte() }, 2, 1), Plane(byteArrayOf(u.toByte()), 1, 1), Plane(byteArrayOf(v.toByte()), 1, 1)
        )
        val expected = listOf(
            y + 1.402 * (v - 128), y - 0.344136 * (u - 128) - 0.714136 * (v - 128), y + 1.772 * (u - 128)
        ).map { Math.min(255.0, Math.max(0.0, it)) }
        val picture = uprightPicture(frame, 0)
        for (k in 0 until 3) {
            val difference = Math.abs(picture.at(1, 1, k) - expected[k])
            check(difference <= 0.51) { "channel $k of $y, $u, $v is ${picture.at(1, 1, k)}, expected ${expected[k]}" }
        }
    }
}

private fun interleavedPlanesAreRead() {
    val frame = countedFrame(Size(2, 4), u = 90, v = 200)
    val picture = uprightPicture(frame, 0)
    assertEqual(picture.at(1, 3, 0), Math.round(7 + 1.402f * 72))
    assertEqual(picture.at(1, 3, 2), 0) // 7 + 1.772 * (90 - 128) is below 0
}

private fun arraysAreReusedWhereTheyFit() {
    val first = uprightPicture(countedFrame(Size(2, 4)), 0)
    check(uprightPicture(countedFrame(Size(2, 4)), 90, first.data).data === first.data)
    check(uprightPicture(countedFrame(Size(2, 2)), 0, first.data).data !== first.data)
    val pixels = toArgb(first)
    check(toArgb(first, pixels) === pixels)
}

private fun devicesTurn() {
    // A phone's back camera is mounted at 90 degrees, its front camera at 270.
    assertEqual(listOf(0, 90, 180, 270).map { uprightDegrees(90, it, isFront = false) }, listOf(90, 0, 270, 180))
    assertEqual(listOf(0, 90, 180, 270).map { uprightDegrees(270, it, isFront = true) }, listOf(270, 0, 90, 180))
}

private fun sizesAreChosen() {
    val sizes = listOf(Size(1080, 1920), Size(480, 640), Size(480, 720), Size(240, 320))
    assertEqual(nearestSize(sizes, Size(480, 640)), Size(480, 640))
    assertEqual(nearestSize(sizes, Size(500, 660)), Size(480, 640))
    assertEqual(nearestSize(listOf(), Size(480, 640)), null)
    assertEqual(listOf(Size(4000, 3000), Size(2047, 100), Size(10, 20)).map { shrinking(it, 1024) }, listOf(2, 1, 1))
}

private fun androidsPixelsComeBack() {
    val picture = Picture(Size(2, 3), 3, ByteArray(18) { (it * 14).toByte() })
    val back = fromArgb(toArgb(picture), picture.size, 0, false)
    check(back.data.contentEquals(picture.data))
    assertEqual(fromArgb(intArrayOf(0x00ffffff), Size(1, 1), 0, false).at(0, 0, 1), 0) // transparent is black
}

private fun photosAreTurnedAsExifSays() {
    val pixels = intArrayOf(1, 2, 3, 4, 5, 6).map { it or (0xff shl 24) }.toIntArray() // 1 2 3 / 4 5 6
    val expected = mapOf(
        1 to listOf(listOf(1, 2, 3), listOf(4, 5, 6)), 2 to listOf(listOf(3, 2, 1), listOf(6, 5, 4)),
        3 to listOf(listOf(6, 5, 4), listOf(3, 2, 1)), 4 to listOf(listOf(4, 5, 6), listOf(1, 2, 3)),
        5 to listOf(listOf(1, 4), listOf(2, 5), listOf(3, 6)), 6 to listOf(listOf(4, 1), listOf(5, 2), listOf(6, 3)),
        7 to listOf(listOf(6, 3), listOf(5, 2), listOf(4, 1)), 8 to listOf(listOf(3, 6), listOf(2, 5), listOf(1, 4))
    )
    for ((value, rows) in expected) for (isLittle in listOf(true, false)) {
        val orientation = orientationOf(jpegWith(value, isLittle))
        val picture = fromArgb(pixels, Size(2, 3), orientation.clockwiseDegrees, orientation.isMirrored)
        val blues = (0 until picture.size.height).map { row -> (0 until picture.size.width).map { picture.at(row, it, 2) } }
        check(blues == rows) { "orientation $value: got $blues, expected $rows" }
    }
    for (file in listOf(byteArrayOf(), "not a photo".toByteArray(), jpegWith(6, true).copyOf(24), jpegWith(99, true))) {
        assertEqual(orientationOf(file), Orientation(0, false))
    }
}

/** The beginning of a JPEG file: an APP0 segment, then Exif with two entries, then the scan. */
private fun jpegWith(orientation: Int, isLittle: Boolean): ByteArray {
    fun short(value: Int) = if (isLittle) listOf(value and 255, value shr 8) else listOf(value shr 8, value and 255)
    fun int(value: Int) = if (isLittle) short(value) + short(0) else short(0) + short(value)
    val order = if (isLittle) listOf('I', 'I') else listOf('M', 'M')
    val entries = short(2) + short(256) + short(3) + int(1) + short(640) + short(0) +
        short(274) + short(3) + int(1) + short(orientation) + short(0) + int(0)
    val exif = "Exif\u0000\u0000".toByteArray().map { it.toInt() } + order.map { it - '\u0000' } + short(42) + int(8) + entries
    val length = exif.size + 2
    val bytes = listOf(0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xe1, length shr 8, length and 255) + exif + listOf(0xff, 0xda)
    return bytes.map { it.toByte() }.toByteArray()
}

// --- drawing

private fun picturesFitIntoViews() {
    val wide = Shown(Size(100, 200), Size(300, 400), false) // twice as large, 50 pixels above and below
    assertEqual(listOf(wide.x(0f), wide.y(0f), wide.x(199f), wide.y(99f)), listOf(1f, 51f, 399f, 249f))
    val mirror = Shown(Size(100, 200), Size(300, 400), true)
    assertEqual(listOf(mirror.x(0f), mirror.x(199f), mirror.y(0f)), listOf(399f, 1f, 51f))
    // The picture's corners and its keypoints go the same way.
    for (shown in listOf(wide, mirror)) {
        val (a, b, tx) = shown.matrix().toList()
        assertEqual(a * 10.5f + b * 7.5f + tx, shown.x(10f))
    }
}

private val ARMS = Skeleton(
    "arms", listOf("nose", "left_wrist", "right_wrist"), listOf(Pair(0, 1), Pair(1, 2), Pair(0, 0)), listOf(Pair(1, 2)), listOf()
)

private fun sidesHaveColours() {
    assertEqual(keypointColors(ARMS), listOf(CENTER_COLOR, LEFT_COLOR, RIGHT_COLOR))
    assertEqual(limbColors(ARMS), listOf(LEFT_COLOR, CENTER_COLOR, CENTER_COLOR))
}

private fun unsureKeypointsAreNotShown() {
    val xy = floatArrayOf(0f, 0f, 70f, 10f, Float.NaN, 5f)
    val figure = Figure(Person(Box(0.0, 0.0, 70.0, 70.0), xy, floatArrayOf(0.21f, 0.7f, 0.9f), 1f), Shown(Size(100, 100), Size(100, 100), false))
    assertEqual(figure.isShown.toList(), listOf(true, true, false))
    assertEqual(figure.size, 70f)
    assertEqual(figure.opacity[1], 1f)
    assertEqual(figure.labelAt(), Pair(35.5f, 0.5f))
    val nobody = Figure(Person(Box(0.0, 0.0, 1.0, 1.0), xy, floatArrayOf(0.2f, 0f, 1f), 1f), Shown(Size(9, 9), Size(9, 9), false))
    assertEqual(nobody.labelAt(), null)
}

// --- time

private fun theNewestFrameIsTaken() {
    val dropped = ArrayList<Int>()
    val frames = NewestFrame<Int> { dropped.add(it) }
    assertEqual((1..5).map { frames.offer(it) }, listOf(true, false, false, false, false)) // woken once
    assertEqual(frames.take(), 5)
    assertEqual(dropped.toList(), listOf(1, 2, 3, 4))
    assertEqual(frames.offer(6), false) // 5 is not drawn yet
    assertEqual(frames.done(), true)
    assertEqual(frames.take(), 6)
    assertEqual(frames.done(), false)
    assertEqual(frames.offer(7), true)
    frames.clear()
    assertEqual(Pair(dropped.last(), frames.take()), Pair(7, null))
    assertEqual(frames.offer(8), true)
}

/** A camera four times as fast as who looks: frames rise, few are seen, the last one among them. */
private fun fastCamerasDoNotQueue() {
    val frames = NewestFrame<Int> {}
    val seen = ArrayList<Int>()
    val wake = java.util.concurrent.Semaphore(0)
    val looks = thread {
        while (seen.lastOrNull() != 200) {
            wake.acquire()
            frames.take()?.let { seen.add(it) }
            Thread.sleep(4)
            if (frames.done()) wake.release()
        }
    }
    for (i in 1..200) {
        if (frames.offer(i)) wake.release()
        Thread.sleep(1)
    }
    looks.join()
    assertEqual(seen.sorted(), seen.toList())
    assertEqual(seen.size + frames.numDropped, 200)
    check(seen.size < 150) { "of 200 frames ${seen.size} were looked at" }
}

private fun ratesAndStagesAreMeans() {
    val rate = RateMeter(window = 2.0)
    assertEqual(rate.add(10.0), 0.0)
    for (i in 1..39) rate.add(10 + i / 20.0)
    assertEqual(Math.round(rate.add(12.0) * 1000), 20000L)
    for (i in 1..20) rate.add(12 + i / 10.0)
    assertEqual(Math.round(rate.add(14.1) * 10), 100L) // what was faster is longer ago than two seconds
    val stages = StageMeter(count = 2)
    for (frame in listOf(mapOf("pose" to 100.0), mapOf("pose" to 4.0), mapOf("pose" to 2.0, "detector" to 6.0))) stages.add(frame)
    assertEqual(stages.means(), mapOf("pose" to 3.0, "detector" to 3.0))
}

// --- models

private fun tensorsKeepNumbers() {
    for ((dtype, values) in listOf("uint8" to listOf(0f, 127f, 255f), "int8" to listOf(-128f, 0f, 127f))) {
        assertEqual(fromBytes(toBytes(values.toFloatArray()), dtype).toList(), values)
    }
    checkType(TensorSpec("image", listOf(1, 3), "uint8", null, null), INPUT_TYPES)
    for ((dtype, words) in listOf(
        "int16" to "int16 tensors (maps), which LiteRT 2.3 does not read in Kotlin. Export it as --int8 or --float16. A pose network without a head for visibility runs with --int16x8 and --with-decode",
        "int64" to "int64 tensors (maps). Export it as --int8 or --float16."
    )) {
        assertRefused(words) { checkType(TensorSpec("maps", listOf(1, 3), dtype, null, null), OUTPUT_TYPES) }
    }
}

private class FileFolder(private val root: File, private val changed: Map<String, ByteArray?> = mapOf()) : Folder {
    override val title = ""

    override fun list() = (root.list()?.toList() ?: listOf()).filter { it !in changed || changed[it] != null }

    override fun read(path: String): ByteArray? {
        if (path in changed) return changed[path]
        return File(root, path).let { if (it.isFile) it.readBytes() else null }
    }
}

/** @param root what export/bundle_mobile.py wrote. */
private fun bundlesAreChecked(root: File) {
    val bundle = openBundle(FileFolder(root))
    assertEqual(bundle.entries.map { it.task }.toSet(), setOf("top_down", "detection"))
    for (entry in bundle.entries) readModel(entry, listOf(entry.task))
    assertRefused("is a model for detection, not for top_down") { readModel(bundle.entries.first { it.task == "detection" }, listOf("top_down")) }
    val manifest = String(File(root, MANIFEST_NAME).readBytes())
    fun refused(words: String, path: String, content: ByteArray?) =
        assertRefused(words) { openBundle(FileFolder(root, mapOf(path to content))) }
    refused("no models: manifest.json is missing", MANIFEST_NAME, null)
    refused("version 2.0; this app reads 1", MANIFEST_NAME, manifest.replace(Regex("\"format_version\": *\"1\\.\\d+\""), "\"format_version\": \"2.0\"").toByteArray())
    refused("not that of a bundle", MANIFEST_NAME, "{}".toByteArray())
    refused("pose.tflite of the app's models is missing", "pose.tflite", null)
    refused("pose.tflite is not the file", "pose.tflite", byteArrayOf(1, 2, 3))
    refused("pose_model.json is not the file", "pose_model.json", "{}".toByteArray())
    val other = FileFolder(root, mapOf("detector.tflite" to File(root, "pose.tflite").readBytes()))
    assertRefused("not the file its contract describes") { readModel(modelsIn(other).first { it.fileName == "detector.tflite" }, listOf("detection")) }
    // Files that were pushed without pose_model.json carry their contracts inside.
    val alone = modelsIn(FileFolder(root, mapOf(CONTRACT_NAME to null)))
    assertEqual(alone.map { it.task }.toSet(), setOf(POSE_TASK, DETECTOR_TASK))
    for (entry in alone) readModel(entry, listOf(entry.task))
    assertEqual(alone.map { it.title }.toSet(), bundle.entries.map { it.title }.toSet())
    val damaged = FileFolder(root, mapOf(CONTRACT_NAME to null, "pose.tflite" to byteArrayOf(1, 2, 3)))
    assertEqual(modelsIn(damaged).map { it.fileName }, listOf("detector.tflite"))
    // One whose contract does not fit is listed, and refused when it is chosen.
    val newer = String(File(root, "pose.tflite").readBytes(), Charsets.ISO_8859_1).replace("\"schema_version\":1", "\"schema_version\":2")
    val listed = modelsIn(FileFolder(root, mapOf(CONTRACT_NAME to null, "pose.tflite" to newer.toByteArray(Charsets.ISO_8859_1))))
    assertRefused("A newer version of keras_pose wrote it: update this app.") { readModel(listed.first { it.fileName == "pose.tflite" }, POSE_TASKS) }
}

/** Accelerators are held against what Python found. */
private fun packsMeasureTheirFiles(root: File) {
    val folder = FileFolder(root)
    for (entry in modelsIn(folder)) {
        val model = readModel(entry, listOf(entry.task))
        val runs = recordedRunsOf(folder, sha256(model.bytes))
        check(runs.isNotEmpty()) { "${entry.fileName} has no runs in the pack" }
        for (run in runs) {
            assertEqual(run.input.size, model.contract.input.shape.fold(1) { product, size -> product * size })
            assertEqual(difference(outputsOf(model.contract), run.outputs, run.outputs), null)
        }
    }
    assertEqual(recordedRunsOf(folder, "another").size, 0)
    assertEqual(recordedRunsOf(FileFolder(File("/nowhere")), "another").size, 0)
}

/** Without LiteRT the networks answer what the pack says; cases that are about the files themselves are left out. */
private fun devicesAreChecked(root: File) {
    val results = checkAgainstPython(FileFolder(root), mapOf())
    check(results.none { it.hasFailed } && results.count { it.isLeftOut } in 2..4 && results.size > 70) { describe(results) }
    // A file that answers something else is found out.
    val hash = sha256(File(root, "pose.tflite").readBytes())
    val wrong = OpenModel(hash) { mapOf("heatmaps" to FloatArray(48 * 32 * 17)) }
    check(" 0 differ" !in describe(checkAgainstPython(FileFolder(root), mapOf("pose" to wrong))))
    // Another model than the pack's is not asked.
    val other = OpenModel("another", { throw IllegalStateException("was asked") })
    check(" 0 differ" in describe(checkAgainstPython(FileFolder(root), mapOf("pose" to other))))
    assertRefused("has no parity packs") { checkAgainstPython(FileFolder(File("/nowhere")), mapOf()) }
}

// --- all of it

private const val TENSOR = "\"scale\": null, \"zero_point\": null"
internal val POSE = """{"task": "top_down", "model": "m", "quantization": "float32", "crop": {"box_padding": 1.25},
    "input": {"name": "image", "shape": [1, 32, 24, 3], "dtype": "uint8", $TENSOR, "channel_order": "RGB", "normalization": null},
    "output": {"name": "xy", "shape": [1, 3, 3], "dtype": "float32", $TENSOR}, "codec": {"kind": "decoded", "input_hw": [32, 24], "is_unbiased": false},
    "skeleton": {"name": "arms", "names": ["nose", "left_wrist", "right_wrist"], "limb_pairs": [], "mirror_pairs": [], "oks_sigmas": []}}"""
private val DETECTOR = """{"task": "detection", "model": "d", "quantization": "float32", "class_names": ["person"], "strides": [32],
    "input": {"name": "image", "shape": [1, 64, 64, 3], "dtype": "uint8", $TENSOR, "channel_order": "RGB", "normalization": null},
    "scores": [{"name": "s", "shape": [1, 2, 2, 1], "dtype": "float32", $TENSOR}],
    "distances": [{"name": "d", "shape": [1, 2, 2, 4], "dtype": "float32", $TENSOR}],
    "settings": {"score_threshold": 0.1, "iou_threshold": 0.6, "max_per_level": 10, "max_detections": 10}}"""

internal fun parse(text: String) = contractOf(keraspose.Json.parse(text))

/** A detector that always sees one person in the middle, a pose network that sees them in the middle of each crop. */
private fun session(settings: Settings): Session {
    val pose = PoseNetwork(parse(POSE) as PoseContract) { mapOf("xy" to floatArrayOf(12f, 10f, 0.9f, 6f, 16f, 0.9f, 18f, 22f, 0.9f)) }
    val detector = DetectorNetwork(parse(DETECTOR) as DetectorContract) {
        mapOf("s" to floatArrayOf(-9f, -9f, -9f, 3f), "d" to FloatArray(16) { 16f })
    }
    return Session(pose, detector, settings)
}

private fun sessionsFollowPeople() {
    val session = session(Settings(detectEvery = 3))
    val image = Picture(Size(64, 64), 3, ByteArray(64 * 64 * 3))
    val frames = (0 until 4).map { session.frame(image, it / 10.0) }
    assertEqual(frames.map { it.isDetected }, listOf(true, false, false, true))
    assertEqual(frames.map { it.people.map { person -> person.trackId } }, List(4) { listOf(0) })
    assertEqual(frames[0].stages.keys, setOf("detector", "boxes", "crop", "pose", "decode"))
    assertEqual(frames[1].stages.keys, setOf("crop", "pose", "decode"))
    val (x1, y1, x2, y2) = frames[0].people[0].box
    assertEqual(listOf(x1, y1, x2, y2), listOf(16.0, 16.0, 48.0, 48.0))
    // A clock that goes back is another video: it begins with the detector.
    check(session.frame(image, 0.05).isDetected)
    assertEqual(session.picture(image).people.map { it.trackId }, listOf(keraspose.NO_TRACK))
    val sure = session(Settings(boxThreshold = 0.99f))
    assertEqual(sure.picture(image).people.size, 0)
}

private const val ONE_STAGE = """{"task": "one_stage", "model": "rtmo_t", "quantization": "float32",
    "input": {"name": "image", "shape": [1, 64, 64, 3], "dtype": "uint8", $TENSOR, "channel_order": "RGB", "normalization": null},
    "scores": {"name": "s", "shape": [1, 2], "dtype": "float32", $TENSOR}, "boxes": {"name": "b", "shape": [1, 2, 4], "dtype": "float32", $TENSOR},
    "keypoints": {"name": "k", "shape": [1, 2, 6], "dtype": "float32", $TENSOR}, "visibility": {"name": "v", "shape": [1, 2, 3], "dtype": "float32", $TENSOR},
    "codec": {"kind": "people", "score_threshold": 0.1, "iou_threshold": 0.6, "max_people": 10},
    "skeleton": {"name": "face", "names": ["nose", "left_eye", "right_eye"], "limb_pairs": [], "mirror_pairs": [], "oks_sigmas": []}}"""

/** A network that sees somebody who moves, and somebody whom one-stage networks are not believed. */
private fun sessionsFindEverybodyInEveryFrame() {
    var x = 20f
    val network = PoseNetwork(parse(ONE_STAGE) as PeopleContract) {
        mapOf(
            "s" to floatArrayOf(0.9f, 0.25f), "b" to floatArrayOf(x, 10f, x + 20, 50f, 0f, 0f, 9f, 9f),
            "k" to floatArrayOf(x + 10, 15f, x + 5, 12f, x + 15, 12f, 4f, 4f, 3f, 3f, 5f, 3f), "v" to FloatArray(6) { 0.9f }
        )
    }
    // What suits a detector's boxes says nothing of another network, and there is no detector to be asked.
    val session = Session(network, null, Settings(detectEvery = 10, boxThreshold = 0.95f))
    val image = Picture(Size(64, 64), 3, ByteArray(64 * 64 * 3))
    val first = session.frame(image, 1.0)
    x = 22f
    val second = session.frame(image, 1.04)
    for (frame in listOf(first, second)) {
        assertEqual(frame.people.map { it.trackId }, listOf(0))
        assertEqual(frame.isDetected, true)
        assertEqual(frame.stages.keys, setOf("letterbox", "pose", "decode"))
    }
    val nose = second.people[0].keypointsXy[0]
    check(nose > 30 && nose < 32) { "not smoothed: $nose" }
    val raw = Session(network, null, Settings(isSmoothed = false)).frame(image, 1.0)
    assertEqual(raw.people[0].keypointsXy[0], 32f)
    assertEqual(session.picture(image).people.map { it.trackId }, listOf(keraspose.NO_TRACK))
    session.restart()
    assertEqual(session.frame(image, 0.5).people.map { it.trackId }, listOf(0))
    val detector = DetectorNetwork(parse(DETECTOR) as DetectorContract) { mapOf() }
    assertRefused("rtmo_t finds the people itself: leave the detector out") { Session(network, detector, Settings()) }
}

/** @param root what export/bundle_mobile.py wrote of a network that finds [numPeople] in its parity pack's picture. */
private fun crowdBundlesAreOpened(root: File, task: String, numPeople: Int) {
    val folder = FileFolder(root)
    val entry = openBundle(folder).entries.single()
    assertEqual(Pair(entry.task, entry.findsEverybody), Pair(task, true))
    assertEqual(modelsIn(FileFolder(root, mapOf(CONTRACT_NAME to null))).map { it.task }, listOf(task))
    assertRefused("is a model for $task, not for detection") { readModel(entry, listOf(DETECTOR_TASK)) }
    val manifest = String(File(root, MANIFEST_NAME).readBytes())
    val other = manifest.replace("\"task\": \"$task\"", "\"task\": \"top_down\"").toByteArray()
    assertRefused("manifest.json is of a model for top_down, and pose.tflite is one for $task") {
        openBundle(FileFolder(root, mapOf(MANIFEST_NAME to other)))
    }
    // The estimator is the one that the file asks for; the network answers what the pack says.
    val model = readModel(entry, POSE_TASKS)
    val answer = recordedRunsOf(folder, sha256(model.bytes)).single().outputs
    val network = PoseNetwork(model.contract as PeopleContract) { answer }
    val found = Session(network, null, Settings()).frame(Picture(Size(240, 320), 3, ByteArray(240 * 320 * 3)), 0.0)
    assertEqual(found.people.size, numPeople)
    // From the picture to people, as in Python; one case runs the file itself.
    val results = checkAgainstPython(folder, mapOf())
    check(results.none { it.hasFailed } && results.count { it.isLeftOut } == 1) { describe(results) }
    check(results.any { it.name == "crowd/image_0" && !it.isLeftOut }) { results.map { it.name } }
    println("opened a bundle for $task")
}

fun main(arguments: Array<String>) {
    if (arguments.firstOrNull() == "colours") return printColours(arguments.drop(1))
    if (arguments.firstOrNull() == "crowd") return crowdBundlesAreOpened(File(arguments[1]), arguments[2], arguments[3].toInt())
    val tests = mutableMapOf<String, () -> Unit>(
        "framesTurnClockwise" to ::framesTurnClockwise,
        "coloursAreThoseOfBt601" to ::coloursAreThoseOfBt601,
        "interleavedPlanesAreRead" to ::interleavedPlanesAreRead,
        "arraysAreReusedWhereTheyFit" to ::arraysAreReusedWhereTheyFit,
        "devicesTurn" to ::devicesTurn,
        "sizesAreChosen" to ::sizesAreChosen,
        "androidsPixelsComeBack" to ::androidsPixelsComeBack,
        "photosAreTurnedAsExifSays" to ::photosAreTurnedAsExifSays,
        "picturesFitIntoViews" to ::picturesFitIntoViews,
        "sidesHaveColours" to ::sidesHaveColours,
        "unsureKeypointsAreNotShown" to ::unsureKeypointsAreNotShown,
        "theNewestFrameIsTaken" to ::theNewestFrameIsTaken,
        "fastCamerasDoNotQueue" to ::fastCamerasDoNotQueue,
        "ratesAndStagesAreMeans" to ::ratesAndStagesAreMeans,
        "tensorsKeepNumbers" to ::tensorsKeepNumbers,
        "sessionsFollowPeople" to ::sessionsFollowPeople,
        "sessionsFindEverybodyInEveryFrame" to ::sessionsFindEverybodyInEveryFrame
    )
    tests.putAll(CHOOSING_TESTS)
    tests.putAll(STARTING_TESTS)
    if (arguments.isNotEmpty()) {
        tests["bundlesAreChecked"] = { bundlesAreChecked(File(arguments[0])) }
        tests["packsMeasureTheirFiles"] = { packsMeasureTheirFiles(File(arguments[0])) }
        tests["devicesAreChecked"] = { devicesAreChecked(File(arguments[0])) }
    }
    var failed = 0
    for ((name, test) in tests) {
        try {
            test()
        } catch (error: Throwable) {
            failed++
            println("FAILED $name: $error")
        }
    }
    println("${tests.size - failed} passed, $failed failed")
    if (failed > 0) exitProcess(1)
}

/** For a comparison with Python's: colours of tracks, then of the keypoints and limbs of a contract's skeleton. */
private fun printColours(arguments: List<String>) {
    val entry = FileFolder(File(arguments[0])).let { folder -> modelsIn(folder).first { it.task == "top_down" } }
    val skeleton = (readModel(entry, listOf("top_down")).contract as PoseContract).skeleton
    println((0 until 20).joinToString(" ") { "%06x".format(trackColor(it)) })
    println(keypointColors(skeleton).joinToString(" ") { "%06x".format(it) })
    println(limbColors(skeleton).joinToString(" ") { "%06x".format(it) })
}
