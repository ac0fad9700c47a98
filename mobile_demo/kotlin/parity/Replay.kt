/**
 * Replays parity packs (docs/parity_pack.md): what Python computed must come out here, too.
 *
 * Where no model file can be run, the networks answer what the pack says that the file answered to the same input
 * ([Recording]): from the picture to keypoints, all is computed but that.
 */
package keraspose

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What became of a case: [words] say what differs, or why it was left out; null: it passed. */
class CaseResult(val name: String, val isLeftOut: Boolean, val words: String?) {
    val hasFailed get() = words != null && !isLeftOut
}

/** An array of the pack; of what is expected, with a tolerance and the entries that are compared. */
private class Tensor(val shape: List<Int>, val data: DoubleArray, val tolerance: Double, val where: Tensor?) {
    fun part(i: Int): Tensor {
        val size = shape.drop(1).fold(1) { product, length -> product * length }
        return Tensor(shape.drop(1), data.copyOfRange(i * size, (i + 1) * size), tolerance, where)
    }

    fun parts() = (0 until shape[0]).map { part(it) }

    fun floats() = FloatArray(data.size) { data[it].toFloat() }

    fun bytes() = ByteArray(data.size) { data[it].toInt().toByte() }

    fun box() = Box(data[0], data[1], data[2], data[3])

    fun picture() = Picture(Size(shape[0], shape[1]), 3, bytes())
}

private class Fields(private val json: Json, private val arrays: ByteBuffer) {
    fun json(key: String) = json[key, key]

    fun tensor(key: String) = tensorOf(json(key))

    fun tensors(key: String) = json(key).items().map { tensorOf(it) }

    fun fields(key: String) = json(key).items().map { Fields(it, arrays) }

    fun has(key: String) = json.find(key) != null

    fun optional(key: String) = json.find(key)?.value

    fun size(key: String) = json(key).integers().let { Size(it[0], it[1]) }

    private fun tensorOf(values: Json): Tensor {
        val shape = values["shape", "shape"].integers()
        val count = shape.fold(1) { product, length -> product * length }
        val listed = values.find("values")
        val data = if (listed != null) {
            DoubleArray(count) { i -> listed.items()[i].value as Double? ?: Double.NaN }
        } else {
            read(values["dtype", "dtype"].text(), values["offset", "offset"].integer(), count)
        }
        val where = values.find("where")?.let { tensorOf(it) }
        return Tensor(shape, data, values.find("tolerance")?.number() ?: 0.0, where)
    }

    private fun read(dtype: String, offset: Int, count: Int) = DoubleArray(count) { i ->
        when (dtype) {
            "uint8" -> (arrays.get(offset + i).toInt() and 0xff).toDouble()
            "int8" -> arrays.get(offset + i).toDouble()
            "int16" -> arrays.getShort(offset + 2 * i).toDouble()
            "int32" -> arrays.getInt(offset + 4 * i).toDouble()
            "float32" -> arrays.getFloat(offset + 4 * i).toDouble()
            else -> arrays.getDouble(offset + 8 * i)
        }
    }
}

private fun check(what: String, actual: List<Double>, expected: Tensor) {
    check(actual.size == expected.data.size) { "$what: ${actual.size} values, expected ${expected.data.size}" }
    val perMark = if (expected.where == null) 1 else expected.data.size / expected.where.data.size
    for (i in actual.indices) {
        if (expected.where != null && expected.where.data[i / perMark] == 0.0) continue
        val isClose = Math.abs(actual[i] - expected.data[i]) <= expected.tolerance
        val areMissing = actual[i].isNaN() && expected.data[i].isNaN()
        check(isClose || areMissing) { "$what[$i] is ${actual[i]}, expected ${expected.data[i]} within ${expected.tolerance}" }
    }
}

private fun numbers(values: FloatArray) = values.map { it.toDouble() }

private fun numbers(values: ByteArray) = values.map { (it.toInt() and 0xff).toDouble() }

private fun numbers(values: List<Int>) = values.map { it.toDouble() }

private fun corners(box: Box?) =
    if (box == null) List(4) { Double.NaN } else listOf(box.x1, box.y1, box.x2, box.y2)

private fun points(people: List<Person>) = people.flatMap { numbers(it.keypointsXy) }

private fun people(given: Fields): List<Person> {
    val keypoints = given.tensor("keypoints_xy").parts()
    return given.tensor("boxes_xyxy").parts().mapIndexed { i, box ->
        val scores = if (given.has("keypoint_scores")) given.tensor("keypoint_scores").part(i).floats() else FloatArray(0)
        val trackId = if (given.has("track_ids")) given.tensor("track_ids").data[i].toInt() else NO_TRACK
        Person(box.box(), keypoints[i].floats(), scores, 1f, trackId)
    }
}

private fun replayCrop(given: Fields, expected: Fields) {
    val (x, y, width, height) = given.tensor("box_xywh").data.toList()
    val size = given.size("input_hw")
    val padding = given.json("box_padding").number()
    val matrix = cropMatrix(Box(x, y, x + width, y + height), size, padding, given.json("is_unbiased").flag())
    check("image_to_crop", matrix.toArray().toList(), expected.tensor("image_to_crop"))
    check("crop_to_image", matrix.inverse().toArray().toList(), expected.tensor("crop_to_image"))
    check("crop", numbers(warpImage(given.tensor("image").picture(), matrix, size)), expected.tensor("crop"))
}

private fun replayInput(given: Fields, expected: Fields) {
    val spec = tensorSpec(given.json("input"))
    // `normalizationOf` looks for "input", which the case has as well.
    val normalization = normalizationOf(Json(mapOf("input" to given.json("input").value)))
    check("input", numbers(toInput(given.tensor("pixels").bytes(), spec, normalization)), expected.tensor("input"))
}

private fun replayDecode(given: Fields, expected: Fields) {
    val real = toReal(given.tensor("raw").floats(), tensorSpec(given.json("output")))
    val found = Codec.read(given.json("codec")).decode(real, given.json("num_keypoints").integer())
    check("crop_xy", numbers(found.keypointsXy), expected.tensor("crop_xy"))
    check("keypoint_scores", numbers(found.scores), expected.tensor("keypoint_scores"))
}

private fun replayPersonScores(given: Fields, expected: Fields) {
    val boxScores = given.tensor("box_scores").floats()
    val threshold = given.json("threshold").number().toFloat()
    val scores = given.tensor("keypoint_scores").parts().mapIndexed { i, scores ->
        personScore(boxScores[i], scores.floats(), threshold)
    }
    check("scores", scores, expected.tensor("scores"))
}

private fun replayCertainty(given: Fields, expected: Fields) {
    // The readers look for the names that the case has as well.
    val scores = given.tensor("keypoint_scores").floats()
    val entry = Json(
        mapOf("visibility" to given.json("visibility").value, "score_calibration" to given.optional("score_calibration"))
    )
    val visibility = Visibility.read(entry, scores.size)!!
    val logits = toReal(given.tensor("raw").floats(), visibility.output)
    check("visibility", numbers(visibility.probabilities(logits)), expected.tensor("visibility"))
    val calibration = ScoreCalibration.read(entry) ?: return
    check("keypoint_scores", numbers(calibration.apply(scores)), expected.tensor("keypoint_scores"))
}

private fun replayLetterbox(given: Fields, expected: Fields) {
    val fitted = letterbox(given.tensor("image").picture(), given.size("input_hw"))
    check("boxed", numbers(fitted.pixels), expected.tensor("boxed"))
    check("content_hw", numbers(listOf(fitted.content.height, fitted.content.width)), expected.tensor("content_hw"))
    check("scale_xy", listOf(fitted.scaleX, fitted.scaleY), expected.tensor("scale_xy"))
}

private fun replayBoxes(given: Fields, expected: Fields) {
    val raw = given.tensors("raw")
    val specs = given.json("outputs").items().map { tensorSpec(it) }
    val real = raw.mapIndexed { i, values -> toReal(values.floats(), specs[i]) }
    val strides = given.json("strides").integers()
    val levels = strides.mapIndexed { i, stride ->
        Level(stride, raw[i].shape[1], raw[i].shape[2], real[i], real[i + strides.size])
    }
    val settings = BoxSettings.read(given.json("settings"))
    val input = given.size("input_hw")
    val (scaleX, scaleY) = given.tensor("scale_xy").data.toList()
    val found = decodeBoxes(levels, input, scaleX, scaleY, given.size("image_hw"), settings)
    for ((prefix, detections) in listOf("proposed_" to propose(levels, input, settings), "" to found)) {
        check("${prefix}boxes", detections.flatMap { corners(it.box) }, expected.tensor("${prefix}boxes_xyxy"))
        check("${prefix}scores", detections.map { it.score.toDouble() }, expected.tensor("${prefix}scores"))
        check("${prefix}labels", numbers(detections.map { it.label }), expected.tensor("${prefix}labels"))
    }
}

private fun replayPeople(given: Fields, expected: Fields) {
    val contract = contractOf(given.json("contract")) as CrowdContract
    val raw = contract.outputs.map { it.name }.zip(given.tensors("raw").map { it.floats() }).toMap()
    val found = crowdEstimator(contract, { raw }, 0f).poses(given.tensor("image").picture())
    check("boxes_xyxy", found.flatMap { corners(it.box) }, expected.tensor("boxes_xyxy"))
    check("keypoints_xy", points(found), expected.tensor("keypoints_xy"))
    check("keypoint_scores", found.flatMap { numbers(it.keypointScores) }, expected.tensor("keypoint_scores"))
    check("scores", found.map { it.score.toDouble() }, expected.tensor("scores"))
}

private fun replayNms(given: Fields, expected: Fields) {
    val scores = given.tensor("scores").floats()
    val labels = given.tensor("labels").data
    val detections = given.tensor("boxes_xyxy").parts().mapIndexed { i, box ->
        Detection(box.box(), scores[i], labels[i].toInt())
    }
    val kept = keptIndices(detections, BoxSettings.read(given.json("settings")))
    check("kept", numbers(kept), expected.tensor("kept"))
}

private fun replayOks(given: Fields, expected: Fields) {
    val sigmas = given.tensor("sigmas").data
    val similarity = given.tensor("poses_xy").parts().mapIndexed { i, pose ->
        given.tensor("others_xy").parts().mapIndexed { j, other ->
            val counts = given.tensor("is_counted").part(i).part(j).data
            oks(pose.data, other.data, given.tensor("areas").part(i).data[j], sigmas) { counts[it] == 1.0 }
        }
    }
    check("similarity", similarity.flatten(), expected.tensor("similarity"))
}

private fun replayOksNms(given: Fields, expected: Fields) {
    val scores = given.tensor("scores").data
    val areas = given.tensor("areas").data
    val poses = given.tensor("keypoints_xy").parts().mapIndexed { i, pose -> RatedPose(pose.data, scores[i], areas[i]) }
    val kept = oksNms(poses, given.tensor("sigmas").data, given.json("threshold").number())
    check("kept", numbers(kept), expected.tensor("kept"))
}

private fun replayRegions(given: Fields, expected: Fields) {
    val next = people(given).map { nextBox(it, given.json("threshold").number().toFloat()) }
    check("next_boxes_xyxy", next.flatMap { corners(it) }, expected.tensor("next_boxes_xyxy"))
    val canFollow = next.map { if (it != null && isUsable(it, given.size("image_hw"))) 1 else 0 }
    check("can_follow", numbers(canFollow), expected.tensor("can_follow"))
}

private fun tracker(settings: Json, sigmas: DoubleArray) = OksTracker(
    sigmas,
    settings["oks_threshold", "oks_threshold"].number(),
    settings["patience", "patience"].integer(),
    settings["keypoint_threshold", "keypoint_threshold"].number().toFloat(),
    settings["min_keypoints", "min_keypoints"].integer()
)

private fun smoother(settings: Json): OneEuroSmoother {
    fun number(key: String) = settings[key, key].number()
    return OneEuroSmoother(number("min_cutoff"), number("beta"), number("speed_cutoff"), number("forget_after"))
}

private fun replayTracks(given: Fields, expected: Fields) {
    val tracker = tracker(given.json("settings"), given.tensor("sigmas").data)
    given.fields("frames").zip(expected.fields("frames")).forEachIndexed { i, (frame, wanted) ->
        check("frame $i: track_ids", numbers(tracker.update(people(frame)).map { it.trackId }), wanted.tensor("track_ids"))
    }
}

private fun replaySmoothing(given: Fields, expected: Fields) {
    val smoother = smoother(given.json("settings"))
    given.fields("frames").zip(expected.fields("frames")).forEachIndexed { i, (frame, wanted) ->
        val smoothed = smoother.next(people(frame), frame.json("seconds").number())
        check("frame $i: smoothed_xy", points(smoothed), wanted.tensor("smoothed_xy"))
    }
}

/** A network of which the pack says what it answers. */
private class PlayedNetwork(private val network: String, private val contract: PoseContract) {
    private var answers = listOf<Tensor>()
    private var call = 0

    fun begin(frame: Fields) {
        call = 0
        if (network == "playback") answers = frame.tensor("raw").parts()
    }

    fun run(crop: FloatArray): Map<String, FloatArray> {
        val values = if (network == "playback") answers[call++].floats() else colours(crop)
        return mapOf(contract.output.name to values)
    }

    private fun colours(crop: FloatArray): FloatArray {
        val width = contract.inputSize.width
        val indices = crop.indices.filter { it / 3 % width % 4 == 0 && it / 3 / width % 4 == 0 }
        return FloatArray(indices.size) { crop[indices[it]] / 255 }
    }
}

private fun replayDefaults(given: Fields, expected: Fields) {
    val contract = contractOf(given.json("contract")) as PoseContract
    val estimator = PoseEstimator(contract, { emptyMap() }, { emptyList() })
    val follower = RegionFollower(estimator)
    val tracker = OksTracker(contract.skeleton.sigmas)
    val smoother = OneEuroSmoother()
    val defaults = mapOf<String, Number>(
        "estimator.box_threshold" to USUAL_BOX_THRESHOLD,
        "estimator.nms_threshold" to estimator.nmsThreshold,
        "follower.detect_every" to follower.detectEvery,
        "follower.keypoint_threshold" to follower.keypointThreshold,
        "follower.least_share" to follower.leastShare,
        "tracker.oks_threshold" to tracker.oksThreshold,
        "tracker.patience" to tracker.patience,
        "tracker.keypoint_threshold" to tracker.keypointThreshold,
        "tracker.min_keypoints" to tracker.minKeypoints,
        "smoother.min_cutoff" to smoother.minCutoff,
        "smoother.beta" to smoother.beta,
        "smoother.speed_cutoff" to smoother.speedCutoff,
        "smoother.forget_after" to smoother.forgetAfter
    )
    check("defaults", given.json("names").texts().map { defaults.getValue(it).toDouble() }, expected.tensor("defaults"))
}

/** @param file runs the model; null: the case says what it answers. */
private fun replayClip(given: Fields, expected: Fields, file: Run?) {
    val contract = contractOf(given.json("contract")) as PoseContract
    val settings = given.json("settings")
    fun number(key: String) = settings[key, key].number()
    val played = PlayedNetwork(given.json("network").text(), contract)
    val run: Run = file ?: { input -> played.run(input) }
    var detections = listOf<Detection>()
    val follower = RegionFollower(
        PoseEstimator(contract, run, { detections }, number("nms_threshold")),
        number("detect_every").toInt(),
        number("keypoint_threshold").toFloat(),
        number("least_share").toFloat()
    )
    val tracker = tracker(settings, contract.skeleton.sigmas)
    val smoother = smoother(settings)
    given.fields("frames").zip(expected.fields("frames")).forEachIndexed { i, (frame, wanted) ->
        played.begin(frame)
        val detected = Fields(frame.json("detected"), ByteBuffer.allocate(0))
        val scores = detected.tensor("scores").floats()
        detections = detected.tensor("boxes_xyxy").parts().mapIndexed { j, box -> Detection(box.box(), scores[j], PERSON) }
        val before = follower.numDetected
        val tracked = tracker.update(follower.next(frame.tensor("image").picture()))
        val smoothed = smoother.next(tracked, frame.json("seconds").number())
        fun check(name: String, actual: List<Double>) = check("frame $i: $name", actual, wanted.tensor(name))
        check("is_detected", listOf((follower.numDetected - before).toDouble()))
        check("track_ids", numbers(tracked.map { it.trackId }))
        check("boxes_xyxy", tracked.flatMap { corners(it.box) })
        check("keypoints_xy", points(tracked))
        check("keypoint_scores", tracked.flatMap { numbers(it.keypointScores) })
        check("scores", tracked.map { it.score.toDouble() })
        check("smoothed_xy", points(smoothed))
    }
}

/** What a model file took, in numbers of its input's type, and what it answered: raw outputs by name. */
class RecordedRun(val input: FloatArray, val outputs: Map<String, FloatArray>)

/** A model file, or what it answered when the pack was written: inputs of its cases "model", and outputs by name. */
private class Recording(private val name: String, val contract: Contract, val file: Run?) {
    val runs = ArrayList<RecordedRun>()

    /** In the order of the pack's `raw`. */
    val outputs = when (contract) {
        is PoseContract -> listOfNotNull(contract.output, contract.visibility?.output)
        is DetectorContract -> contract.levels.map { it.scores } + contract.levels.map { it.distances }
        is CrowdContract -> contract.outputs
    }

    fun add(given: Fields, expected: Fields) {
        val raw = expected.tensors("raw").map { it.floats() }
        runs.add(RecordedRun(given.tensor("input").floats(), outputs.map { it.name }.zip(raw).toMap()))
    }

    /** Runs the file; without one, the input must be one that it was given, number for number. */
    fun run(input: FloatArray): Map<String, FloatArray> {
        if (file != null) return file.invoke(input)
        val found = runs.find { it.input.contentEquals(input) }
        checkNotNull(found) { "the $name's input is none of the ${runs.size} that the file was given" }
        return found.outputs
    }
}

private class Recordings(index: Json, arrays: ByteBuffer, files: Map<String, Run>) {
    private val models = index["models", "models"]
    private val recordings = models.keys().associateWith {
        Recording(it, contractOf(models[it, it]["contract", "contract"]), files[it])
    }

    init {
        for (case in index["cases", "cases"].items()) {
            if (case["kind", "kind"].text() != "model") continue
            val given = Fields(case["given", "given"], arrays)
            of(given.json("model").text()).add(given, Fields(case["expected", "expected"], arrays))
        }
    }

    fun of(name: String) = recordings.getValue(name)
}

private fun replayModel(recording: Recording, given: Fields, expected: Fields) {
    val found = recording.run(given.tensor("input").floats())
    expected.tensors("raw").zip(recording.outputs).forEach { (wanted, output) ->
        check(output.name, numbers(found.getValue(output.name)), wanted)
    }
}

private fun replayPose(recording: Recording, given: Fields, expected: Fields) {
    val (x, y, width, height) = given.tensor("box_xywh").data.toList()
    val estimator = PoseEstimator(recording.contract as PoseContract, recording::run, null)
    val person = estimator.estimate(given.tensor("image").picture(), Box(x, y, x + width, y + height), 1f)
    check("keypoints_xy", numbers(person.keypointsXy), expected.tensor("keypoints_xy"))
    check("keypoint_scores", numbers(person.keypointScores), expected.tensor("keypoint_scores"))
}

private fun replayCrowd(recording: Recording, given: Fields, expected: Fields) {
    val threshold = given.json("box_threshold").number().toFloat()
    val found = crowdEstimator(recording.contract as CrowdContract, recording::run, threshold).poses(given.tensor("image").picture())
    check("keypoints_xy", points(found), expected.tensor("keypoints_xy"))
    check("keypoint_scores", found.flatMap { numbers(it.keypointScores) }, expected.tensor("keypoint_scores"))
}

private fun replayDetect(recording: Recording, given: Fields, expected: Fields) {
    val found = detect(DetectorNetwork(recording.contract as DetectorContract, recording::run), given.tensor("image").picture())
    check("boxes_xyxy", found.flatMap { corners(it.box) }, expected.tensor("boxes_xyxy"))
    check("scores", found.map { it.score.toDouble() }, expected.tensor("scores"))
    check("labels", numbers(found.map { it.label }), expected.tensor("labels"))
}

/** Kinds that run a model file, and whether what it once answered will do. */
private val MODEL_REPLAYS = mapOf<String, (Recording, Fields, Fields) -> Unit>(
    "model" to ::replayModel,
    "pose" to ::replayPose,
    "crowd" to ::replayCrowd,
    "detect" to ::replayDetect,
    "video" to { recording, given, expected -> replayClip(given, expected, recording.file) }
)
private val NEED_THE_FILE = setOf("model", "video")

private val REPLAYS = mapOf<String, (Fields, Fields) -> Unit>(
    "crop" to ::replayCrop,
    "input" to ::replayInput,
    "real" to { given, expected ->
        check("real", numbers(toReal(given.tensor("raw").floats(), tensorSpec(given.json("output")))), expected.tensor("real"))
    },
    "decode" to ::replayDecode,
    "person_scores" to ::replayPersonScores,
    "certainty" to ::replayCertainty,
    "letterbox" to ::replayLetterbox,
    "boxes" to ::replayBoxes,
    "people" to ::replayPeople,
    "nms" to ::replayNms,
    "oks" to ::replayOks,
    "oks_nms" to ::replayOksNms,
    "regions" to ::replayRegions,
    "tracks" to ::replayTracks,
    "smoothing" to ::replaySmoothing,
    "defaults" to ::replayDefaults,
    "clip" to { given, expected -> replayClip(given, expected, null) }
)

private fun replay(case: Json, arrays: ByteBuffer, recordings: Recordings) {
    val given = Fields(case["given", "given"], arrays)
    val expected = Fields(case["expected", "expected"], arrays)
    val kind = case["kind", "kind"].text()
    val needs = case["needs", "needs"].texts()
    if (needs.isEmpty()) REPLAYS.getValue(kind)(given, expected)
    else MODEL_REPLAYS.getValue(kind)(recordings.of(needs[0]), given, expected)
}

/**
 * Replays a pack.
 *
 * @param text content of its `index.json`.
 * @param bytes content of its `arrays.bin`.
 * @param files runs its models, by "pose" and "detector"; of others, what the pack says that they answered.
 */
fun replayPack(text: String, bytes: ByteArray, files: Map<String, Run> = mapOf()): List<CaseResult> {
    val arrays = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
    val index = Json.parse(text)
    val recordings = Recordings(index, arrays, files)
    return index["cases", "cases"].items().map { case ->
        val name = case["name", "name"].text()
        val lacking = case["needs", "needs"].texts().filter { it !in files }
        if (lacking.isNotEmpty() && case["kind", "kind"].text() in NEED_THE_FILE) {
            return@map CaseResult(name, true, "it runs a model")
        }
        try {
            replay(case, arrays, recordings)
            CaseResult(name, false, null)
        } catch (error: Exception) {
            CaseResult(name, false, error.message ?: error.toString())
        }
    }
}

/** The runs of a model's file that a pack records. @param model "pose" or "detector". */
fun recordedRuns(text: String, bytes: ByteArray, model: String): List<RecordedRun> {
    val arrays = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
    return Recordings(Json.parse(text), arrays, mapOf()).of(model).runs
}

/** SHA-256 of the files that a pack's cases of models are of, by "pose" and "detector". */
fun packedModels(text: String): Map<String, String> {
    val models = Json.parse(text)["models", "models"]
    return models.keys().associateWith { models[it, it]["models.sha256", "sha256"].text() }
}
