/** Reading `pose_model.json`: what must be known of a model file; SPEC.md, section 12. */
package keraspose

import java.security.MessageDigest

/** The version of contracts that is read here. */
const val SCHEMA_VERSION = 1

/** What is said of a file that cannot be used; to be shown as it is. */
open class ContractError(message: String) : Exception(message)

/** A file has no contract, neither beside it nor inside. */
class NoContractError(message: String) : ContractError(message)

/** What a program must know of any model file. */
sealed class Contract {
    abstract val model: String
    abstract val quantization: String
    abstract val input: TensorSpec
    abstract val normalization: Normalization?

    val inputSize get() = Size(input.shape[1], input.shape[2])

    /** What accelerators are expected to take of the file, by their names, such as "GPU"; none: the contract does not say it. */
    var operatorAudit: Map<String, OperatorShare> = mapOf()
        internal set
}

/**
 * What an accelerator is expected to take of a file by its published rules: a prediction, for people.
 *
 * @property numOperators those that compute.
 * @property numPartitions stretches of the graph on it; each but one costs copies to and fro.
 * @property left what it leaves to the CPU, the most frequent first.
 */
class OperatorShare(val numOperators: Int, val numTaken: Int, val numPartitions: Int, val left: List<LeftOperators>)

/** [count] operators of a kind, and why an accelerator does not take them. */
class LeftOperators(val operator: String, val reason: String, val count: Int)

/** Of networks that find poses, in boxes or in whole pictures. */
sealed class PeopleContract : Contract() {
    abstract val skeleton: Skeleton
}

/** Of networks that see whole pictures, and find everybody in them by themselves. */
sealed class CrowdContract : PeopleContract() {
    abstract val outputs: List<TensorSpec>
}

/**
 * @property boxPadding factor from person box to crop.
 * @property visibility null: the file does not say it.
 * @property scoreCalibration null: scores are what they are.
 */
class PoseContract(
    override val model: String,
    override val quantization: String,
    override val input: TensorSpec,
    override val normalization: Normalization?,
    val output: TensorSpec,
    val boxPadding: Double,
    val codec: Codec,
    override val skeleton: Skeleton,
    val visibility: Visibility?,
    val scoreCalibration: ScoreCalibration?
) : PeopleContract()

/** The tensors of one output map: [stride] input pixels per cell. */
class LevelSpec(val stride: Int, val scores: TensorSpec, val distances: TensorSpec)

class DetectorContract(
    override val model: String,
    override val quantization: String,
    override val input: TensorSpec,
    override val normalization: Normalization?,
    val levels: List<LevelSpec>,
    val classNames: List<String>,
    val settings: BoxSettings
) : Contract()

/** Tensors of N people: scores (N), boxes (N, 4), keypoints (N, 2 K) and visibility (N, K). */
class OneStageContract(
    override val model: String,
    override val quantization: String,
    override val input: TensorSpec,
    override val normalization: Normalization?,
    val scores: TensorSpec,
    val boxes: TensorSpec,
    val keypoints: TensorSpec,
    val visibility: TensorSpec,
    val codec: PeopleCodec,
    override val skeleton: Skeleton
) : CrowdContract() {
    override val outputs get() = listOf(scores, boxes, keypoints, visibility)
}

/** Tensors of K keypoints and L limbs: heatmaps (h, w, K + 1), the background last, and fields (h, w, 2 L). */
class BottomUpContract(
    override val model: String,
    override val quantization: String,
    override val input: TensorSpec,
    override val normalization: Normalization?,
    val heatmaps: TensorSpec,
    val fields: TensorSpec,
    val codec: PartAffinityCodec,
    override val skeleton: Skeleton
) : CrowdContract() {
    override val outputs get() = listOf(heatmaps, fields)
}

/**
 * Reads a file's contract, and holds the file against it. What stands beside the file is preferred to what stands inside.
 *
 * @param text content of the `pose_model.json` beside the file; null without one.
 * @param fileName key of its "models".
 * @param bytes the file's; null: its hash is not checked, and nothing inside it is looked for.
 * @throws ContractError names what is missing, or does not fit.
 */
fun readContract(text: String?, fileName: String, bytes: ByteArray?): Contract {
    val json = text?.let { Json.parse(it) }
    if (json != null) checkVersion(json)
    val beside = json?.find("models")?.find(fileName)
    if (beside != null) {
        if (bytes != null) checkFile(beside, fileName, bytes)
        return contractOf(beside)
    }
    val inside = if (bytes != null) embeddedContract(fileName, bytes) else null
    if (inside != null) return contractOf(inside)
    val names = json?.find("models")?.keys()?.joinToString()
    val reason = if (json == null) "There is no pose_model.json" else "The contract describes ${names ?: "nothing"}, but not $fileName"
    throw NoContractError(reason + if (bytes == null) "." else ", and there is no contract inside $fileName.")
}

internal fun checkVersion(json: Json) {
    val version = json.find("schema_version")?.value
    if (version == SCHEMA_VERSION.toDouble()) return
    val isNewer = version is Double && version > SCHEMA_VERSION
    // Numbers are Doubles here: 2.0 is version 2.
    val shown = if (version is Double && version == Math.rint(version)) version.toLong() else version ?: "none"
    val remedy = if (isNewer) " A newer version of keras_pose wrote it: update this app." else ""
    throw ContractError("The contract has schema version $shown; this app reads $SCHEMA_VERSION.$remedy")
}

internal fun hexadecimal(bytes: ByteArray) = bytes.joinToString("") { "%02x".format(it) }

private fun checkFile(entry: Json, fileName: String, bytes: ByteArray) {
    val actual = hexadecimal(MessageDigest.getInstance("SHA-256").digest(bytes))
    val promised = entry.find("file")?.find("sha256")?.text()
    if (promised != actual) {
        throw ContractError(
            "$fileName is not the file its contract describes: its SHA-256 begins ${actual.take(12)}, " +
                "the contract says ${promised?.take(12)}. Export it anew."
        )
    }
}

/** Reads one entry of a contract. */
fun contractOf(entry: Json): Contract = contractFor(entry).also { it.operatorAudit = operatorAuditOf(entry) }

private fun contractFor(entry: Json): Contract {
    val task = entry.find("task")?.text() ?: "top_down"
    return when (task) {
        "top_down" -> poseContract(entry)
        "detection" -> detectorContract(entry)
        "one_stage" -> oneStageContract(entry)
        "bottom_up" -> bottomUpContract(entry)
        else -> throw ContractError("This app runs pose models and detectors, not models for $task.")
    }
}

private fun operatorAuditOf(entry: Json): Map<String, OperatorShare> {
    val audit = entry.find("operator_audit") ?: return mapOf()
    return audit.keys().associateWith { name -> operatorShare(audit["operator_audit.$name", name], "operator_audit.$name") }
}

private fun operatorShare(values: Json, name: String) = OperatorShare(
    values["$name.operators", "operators"].integer(),
    values["$name.taken", "taken"].integer(),
    values["$name.partitions", "partitions"].integer(),
    values["$name.left", "left"].items().map {
        LeftOperators(it["$name.left.operator", "operator"].text(), it["$name.left.reason", "reason"].text(), it["$name.left.count", "count"].integer())
    }
)

private fun poseContract(entry: Json): PoseContract {
    val model = entry["model", "model"].text()
    val input = inputSpec(entry)
    val output = tensorSpec(entry["output", "output"])
    val codec = Codec.read(entry["codec", "codec"])
    val skeleton = skeletonOf(entry["skeleton", "skeleton"])
    mustBe("output of $model", output.shape.drop(1), codec.outputShape(skeleton.names.size))
    mustBe("input of $model", input.shape.drop(1), listOf(codec.input.height, codec.input.width, 3))
    val padding = entry["crop", "crop"]["crop.box_padding", "box_padding"].number()
    val quantization = entry["quantization", "quantization"].text()
    return PoseContract(
        model, quantization, input, normalizationOf(entry), output, padding, codec, skeleton,
        Visibility.read(entry, skeleton.names.size), ScoreCalibration.read(entry)
    )
}

private fun detectorContract(entry: Json): DetectorContract {
    val model = entry["model", "model"].text()
    val input = inputSpec(entry)
    val classNames = entry["class_names", "class_names"].texts()
    val scores = entry["scores", "scores"].items().map { tensorSpec(it) }
    val distances = entry["distances", "distances"].items().map { tensorSpec(it) }
    val levels = entry["strides", "strides"].integers().mapIndexed { i, stride ->
        val cells = listOf(input.shape[1] / stride, input.shape[2] / stride)
        mustBe("scores of $model", scores[i].shape.drop(1), cells + classNames.size)
        mustBe("distances of $model", distances[i].shape.drop(1), cells + 4)
        LevelSpec(stride, scores[i], distances[i])
    }
    val settings = BoxSettings.read(entry["settings", "settings"])
    val quantization = entry["quantization", "quantization"].text()
    return DetectorContract(model, quantization, input, normalizationOf(entry), levels, classNames, settings)
}

private fun oneStageContract(entry: Json): OneStageContract {
    val model = entry["model", "model"].text()
    val skeleton = skeletonOf(entry["skeleton", "skeleton"])
    val numKeypoints = skeleton.names.size
    val scores = tensorSpec(entry["scores", "scores"])
    val boxes = tensorSpec(entry["boxes", "boxes"])
    val keypoints = tensorSpec(entry["keypoints", "keypoints"])
    val visibility = tensorSpec(entry["visibility", "visibility"])
    val people = scores.shape.drop(1).take(1)
    mustBe("scores of $model", scores.shape.drop(1), people)
    mustBe("boxes of $model", boxes.shape.drop(1), people + 4)
    mustBe("keypoints of $model", keypoints.shape.drop(1), people + 2 * numKeypoints)
    mustBe("visibility of $model", visibility.shape.drop(1), people + numKeypoints)
    return OneStageContract(
        model, entry["quantization", "quantization"].text(), inputSpec(entry), normalizationOf(entry),
        scores, boxes, keypoints, visibility, PeopleCodec.read(entry["codec", "codec"]), skeleton
    )
}

private fun bottomUpContract(entry: Json): BottomUpContract {
    val model = entry["model", "model"].text()
    val codec = PartAffinityCodec.read(entry["codec", "codec"])
    val skeleton = skeletonOf(entry["skeleton", "skeleton"])
    val names = skeleton.names
    if (skeleton.limbPairs.isEmpty()) {
        throw ContractError("The contract of $model: a bottom-up network needs a skeleton with limbs, got ${skeleton.name}.")
    }
    for ((first, last) in skeleton.limbPairs) {
        if (first in names.indices && last in names.indices) continue
        throw ContractError("The contract's skeleton.limb_pairs must be pairs below ${names.size}, got $first, $last.")
    }
    val input = inputSpec(entry)
    val heatmaps = tensorSpec(entry["heatmaps", "heatmaps"])
    val fields = tensorSpec(entry["fields", "fields"])
    val cells = listOf(codec.cells.height, codec.cells.width)
    mustBe("heatmaps of $model", heatmaps.shape.drop(1), cells + (names.size + 1))
    mustBe("fields of $model", fields.shape.drop(1), cells + 2 * skeleton.limbPairs.size)
    mustBe("input of $model", input.shape.drop(1), listOf(codec.input.height, codec.input.width, 3))
    return BottomUpContract(
        model, entry["quantization", "quantization"].text(), input, normalizationOf(entry), heatmaps, fields, codec, skeleton
    )
}

/** Reads a tensor's entry. */
fun tensorSpec(values: Json) = TensorSpec(
    values["a tensor's name", "name"].text(),
    // null stands for any number of images.
    values["a tensor's shape", "shape"].items().map { if (it.value == null) 1 else it.integer() },
    values["a tensor's dtype", "dtype"].text(),
    values.find("scale")?.number(),
    values.find("zero_point")?.integer()
)

/** Reads how the input of an entry's network is normalised; null: inside the file. */
fun normalizationOf(entry: Json): Normalization? {
    val values = entry["input", "input"].find("normalization") ?: return null
    return Normalization(
        values["normalization.mean", "mean"].numbers(),
        values["normalization.std", "std"].numbers(),
        values["normalization.channel_order", "channel_order"].text() == "bgr"
    )
}

private fun inputSpec(entry: Json): TensorSpec {
    val input = entry["input", "input"]
    val order = input["input.channel_order", "channel_order"].text()
    if (order != "RGB") throw ContractError("This model wants $order images; this app gives RGB.")
    return tensorSpec(input)
}

private fun skeletonOf(values: Json): Skeleton {
    fun pairs(key: String) = values["skeleton.$key", key].items().map { it.integers() }.map { Pair(it[0], it[1]) }
    return Skeleton(
        values["skeleton.name", "name"].text(),
        values["skeleton.names", "names"].texts(),
        pairs("limb_pairs"),
        pairs("mirror_pairs"),
        values["skeleton.oks_sigmas", "oks_sigmas"].numbers()
    )
}

internal fun mustBe(what: String, actual: List<Int>, expected: List<Int>) {
    if (actual != expected) {
        throw ContractError(
            "The contract says ${actual.joinToString("x")} for the $what, expected ${expected.joinToString("x")}."
        )
    }
}
