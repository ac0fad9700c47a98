/** Contracts that fit are read; what does not fit is named: `java -cp ... keraspose.ContractsKt [MODEL.tflite]`. */
package keraspose

import java.io.File
import java.util.Random

private val MODEL = "a model".toByteArray()

// Of MODEL, by sha256sum.
private const val HASH = "97ff8a35544dcf40ad84047074439dd6aa3a0be469ea578a1b1c017d939ec61c"

private val CONTRACT = """
{
  "schema_version": 1,
  "models": {"pose_model.tflite": {
    "file": {"bytes": 7, "sha256": "$HASH"},
    "task": "top_down", "model": "pose_slim \u0041\n", "quantization": "int8",
    "input": {
      "name": "image", "shape": [1, 64, 48, 3], "dtype": "uint8", "scale": null, "zero_point": null,
      "channel_order": "RGB", "normalization": null
    },
    "output": {"name": "heatmaps", "shape": [1, 16, 12, 3], "dtype": "int8", "scale": 4e-3, "zero_point": -128},
    "crop": {"box_padding": 1.25},
    "codec": {"kind": "gaussian", "input_hw": [64, 48], "stride": 4, "sigma": 2.0},
    "skeleton": {
      "name": "arms", "names": ["nose", "left_wrist", "right_wrist"],
      "limb_pairs": [[0, 1]], "mirror_pairs": [[1, 2]], "oks_sigmas": []
    }
  }}
}
"""

private fun assertRefused(words: String, text: String?, fileName: String = "pose_model.tflite", bytes: ByteArray = MODEL) {
    val message = try {
        readContract(text, fileName, bytes)
        "nothing was refused"
    } catch (error: ContractError) {
        error.message!!
    }
    check(words in message) { "expected a refusal that says '$words', got: $message" }
}

private const val NEWER = "schema version 2; this app reads 1. A newer version of keras_pose wrote it: update this app."

/** Fields of a pose model, and the minor version that brought them; those between were for other tasks and formats. */
private val ADDED = mapOf(
    """"visibility": {
      "name": "visibility", "shape": [1, 3, 3], "dtype": "int8", "scale": 0.1, "zero_point": 0,
      "kinds": ["visible", "hidden", "outside"], "temperature": 1.5
    },""" to 4,
    """"score_calibration": {"kind": "logistic", "slope": 4, "intercept": -2},""" to 4,
    """"compiled_for": {"manufacturer": "Qualcomm", "soc_model": "SM8750", "source_sha256": "0"},""" to 5,
    """"operator_audit": {"GPU": {"operators": 3, "taken": 1, "partitions": 2, "left": [{"operator": "TOPK_V2", "reason": "no such operator", "count": 2}]}},""" to 6
)

/** The contract as version 1.[minor] wrote it. */
private fun asOf(minor: Int): PoseContract {
    val added = ADDED.filterValues { it <= minor }.keys.joinToString("\n")
    val number = if (minor == 0) "" else "\"schema_minor\": $minor, "
    var text = CONTRACT.replace("\"models\": {", number + "\"models\": {").replace("\"crop\": {", added + "\"crop\": {")
    if (minor == 0) text = text.replace("\"task\": \"top_down\", ", "")
    return readContract(text, "pose_model.tflite", MODEL) as PoseContract
}

private fun parts(spec: TensorSpec) = listOf(spec.name, spec.shape, spec.dtype, spec.scale, spec.zeroPoint)

/** Whatever a contract says of a top-down model, but for what version 1.4 brought. */
private fun common(contract: PoseContract) = listOf(
    contract.model, contract.quantization, parts(contract.input), contract.normalization, parts(contract.output), contract.boxPadding,
    contract.codec.kind, contract.codec.input, contract.skeleton.name, contract.skeleton.names, contract.skeleton.limbPairs, contract.skeleton.mirrorPairs
)

private fun allMinorVersionsAreRead() {
    val present = asOf(6)
    check(present.visibility!!.temperature == 1.5 && present.scoreCalibration!!.slope == 4.0)
    val share = present.operatorAudit.getValue("GPU")
    check(share.numOperators == 3 && share.numTaken == 1 && share.numPartitions == 2)
    check(share.left.map { "${it.count} ${it.operator} ${it.reason}" } == listOf("2 TOPK_V2 no such operator"))
    for (minor in listOf(0, 1, 2, 3, 4, 5, 99)) {
        val other = asOf(minor)
        check(common(other) == common(present)) { "1.$minor: ${common(other)}, not ${common(present)}" }
        check((other.visibility == null) == (minor < 4) && (other.scoreCalibration == null) == (minor < 4)) { "1.$minor" }
        check((other.operatorAudit.isEmpty()) == (minor < 6)) { "1.$minor" }
    }
    readContract(CONTRACT.replace("\"models\": {", "\"schema_minor\": 99, \"unheard_of\": [1], \"models\": {"), "pose_model.tflite", MODEL)
    assertRefused(NEWER, CONTRACT.replace("\"schema_version\": 1", "\"schema_version\": 2"))
    assertRefused("schema version none; this app reads 1.", CONTRACT.replace("schema_version", "version"))
}

/** @param file with a contract inside. */
private fun filesTravelAlone(file: ByteArray) {
    check(readContract(null, "other.tflite", file) is PoseContract)
    check(readContract(CONTRACT, "other.tflite", file).model != "pose_slim A\n") // that is of another file
    // The hash leaves the text of the contract out, so it stays right.
    val newer = String(file, Charsets.ISO_8859_1).replace("\"schema_version\":1", "\"schema_version\":2").toByteArray(Charsets.ISO_8859_1)
    assertRefused(NEWER, null, bytes = newer)
    assertRefused("There is no pose_model.json, and there is no contract inside", null)
    val changed = file.copyOf().also { it[it.size - 1]++ }
    assertRefused("not the file that the contract inside was written for", null, bytes = changed)
    assertRefused("is damaged: ", null, bytes = file.copyOf(100))
    // Whatever stands in the first kilobytes, where all the offsets are: words for the user, no crash and no endless loop.
    val random = Random(0)
    for (round in 0 until 300) {
        val broken = file.copyOf(20000)
        for (i in 0 until 3) broken[8 + random.nextInt(300)] = random.nextInt(256).toByte()
        try {
            readContract(null, "broken.tflite", broken)
            error("a broken file was read")
        } catch (error: ContractError) {
            // as it should
        }
    }
}

private val ONE_STAGE = """
{
  "task": "one_stage", "model": "rtmo_s", "quantization": "int8",
  "input": {
    "name": "image", "shape": [1, 64, 96, 3], "dtype": "uint8", "scale": null, "zero_point": null,
    "channel_order": "RGB", "normalization": null
  },
  "scores": {"name": "people_scores", "shape": [1, 4], "dtype": "float32", "scale": null, "zero_point": null},
  "boxes": {"name": "people_boxes", "shape": [1, 4, 4], "dtype": "float32", "scale": null, "zero_point": null},
  "keypoints": {"name": "people_keypoints", "shape": [1, 4, 2], "dtype": "float32", "scale": null, "zero_point": null},
  "visibility": {"name": "people_visibility", "shape": [1, 4, 1], "dtype": "float32", "scale": null, "zero_point": null},
  "codec": {"kind": "people", "score_threshold": 0.1, "iou_threshold": 0.65, "max_people": 100},
  "skeleton": {"name": "noses", "names": ["nose"], "limb_pairs": [], "mirror_pairs": [], "oks_sigmas": []}
}
"""

/** The numbers are those of tests/unit/runtime/test_one_stage.py. */
private fun oneStageNetworksGivePeople() {
    val contract = contractOf(Json.parse(ONE_STAGE)) as OneStageContract
    val boxes = floatArrayOf(10f, 10f, 30f, 50f, 11f, 10f, 31f, 50f, 60f, 10f, 80f, 50f, 0f, 0f, 9f, 9f)
    val outputs = mapOf(
        "people_scores" to floatArrayOf(0.9f, 0.8f, 0.7f, 0.05f),
        "people_boxes" to boxes,
        "people_keypoints" to floatArrayOf(20f, 30f, 21f, 30f, 70f, 30f, 4.5f, 4.5f),
        "people_visibility" to floatArrayOf(0f, 0.25f, 0.5f, 1f)
    )
    val picture = Picture(Size(128, 192), 3, ByteArray(128 * 192 * 3))
    val people = OneStageEstimator(contract, { outputs }).poses(picture)
    check(people.map { it.score } == listOf(0.9f, 0.7f))
    check(people[0].box == Box(20.5, 20.5, 60.5, 100.5))
    check(people[1].keypointsXy.toList() == listOf(140.5f, 60.5f))
    check(people[1].keypointScores.toList() == listOf(0.5f))
    check(OneStageEstimator(contract, { outputs }, 0.95f).poses(picture).isEmpty())
    check(crowdEstimator(contract, { outputs }) is OneStageEstimator)
    val stages = ArrayList<String>()
    check(crowdEstimator(contract, { outputs }, 0.8f, { stage, _ -> stages.add(stage) }).poses(picture).size == 1)
    check(stages == listOf("letterbox", "pose", "decode"))
    try {
        contractOf(Json.parse(ONE_STAGE.replace("[1, 4, 4]", "[1, 3, 4]")))
        error("a contract that does not fit was read")
    } catch (error: ContractError) {
        check("3x4 for the boxes" in error.message!!)
    }
}

private const val RULES =
    "\"num_points\": 10, \"min_field\": 0.05, \"min_share\": 0.8, \"max_gap\": 1.2, \"min_keypoints\": 1, \"min_score\": 0.1"

private val BOTTOM_UP = """
{
  "task": "bottom_up", "model": "openpose_lite", "quantization": "int8",
  "input": {
    "name": "image", "shape": [1, 48, 64, 3], "dtype": "uint8", "scale": null, "zero_point": null,
    "channel_order": "RGB", "normalization": null
  },
  "heatmaps": {"name": "maps", "shape": [1, 6, 8, 3], "dtype": "float32", "scale": null, "zero_point": null},
  "fields": {"name": "vectors", "shape": [1, 6, 8, 2], "dtype": "float32", "scale": null, "zero_point": null},
  "codec": {
    "kind": "part_affinity", "input_hw": [48, 64], "stride": 8, "sigma": 0.875, "limb_width": 1.0, "min_peak": 0.1,
    "max_peaks": 256, $RULES, "matching": "greedy"
  },
  "skeleton": {"name": "arm", "names": ["elbow", "wrist"], "limb_pairs": [[0, 1]], "mirror_pairs": [], "oks_sigmas": []}
}
"""

private fun assertBottomUpRefused(words: String, old: String, new: String) {
    check(old in BOTTOM_UP) { old }
    val message = try {
        contractOf(Json.parse(BOTTOM_UP.replace(old, new)))
        "nothing was refused"
    } catch (error: ContractError) {
        error.message!!
    }
    check(words in message) { "expected a refusal that says '$words', got: $message" }
}

/** The numbers are those of mobile_demo/web/tests/bottom_up.test.js. */
private fun bottomUpNetworksGivePeople() {
    val contract = contractOf(Json.parse(BOTTOM_UP)) as BottomUpContract
    val heatmaps = FloatArray(6 * 8 * 3)
    val fields = FloatArray(6 * 8 * 2)
    // An arm from (1, 1) to (4, 1), and an elbow at (6, 4).
    heatmaps[(8 + 1) * 3] = 0.75f
    heatmaps[(8 + 4) * 3 + 1] = 0.75f
    heatmaps[(8 * 4 + 6) * 3] = 0.5f
    for (x in 1..4) fields[(8 + x) * 2] = 1f
    val picture = Picture(Size(96, 128), 3, ByteArray(96 * 128 * 3))
    fun poses(heatmaps: FloatArray, fields: FloatArray, threshold: Float = BOTTOM_UP_THRESHOLD) =
        BottomUpEstimator(contract, { mapOf("maps" to heatmaps, "vectors" to fields) }, threshold).poses(picture)
    val people = poses(heatmaps, fields)
    check(people.map { it.score } == listOf(0.75f, 0.25f))
    val chosen = crowdEstimator(contract, { mapOf("maps" to heatmaps, "vectors" to fields) })
    check(chosen is BottomUpEstimator && chosen.poses(picture).size == 2) // 0.25 is no one-stage network's
    check(people[0].box == Box(23.5, 23.5, 71.5, 23.5))
    check(people[1].keypointsXy.toList() == listOf(103.5f, 71.5f, 0f, 0f))
    check(people[1].keypointScores.toList() == listOf(0.5f, 0f))
    check(poses(heatmaps, fields, 0.25f).size == 1)
    check(poses(FloatArray(6 * 8 * 3), fields).isEmpty())
    val missing = FloatArray(6 * 8 * 3) { Float.NaN }
    check(poses(missing, fields).isEmpty())
    check(poses(heatmaps, missing.copyOf(6 * 8 * 2)).size == 3)
    try {
        poses(heatmaps, FloatArray(5))
        error("maps of another size were read")
    } catch (error: IllegalArgumentException) {
        check("6x8x2 for the output vectors, the file gave 5 values" in error.message!!) { error.message!! }
    }
    assertBottomUpRefused("part_affinity of bottom-up networks, not people", "\"part_affinity\"", "\"people\"")
    assertBottomUpRefused("needs the matching greedy in this app, got hungarian", "greedy", "hungarian")
    assertBottomUpRefused("sigma above 0, got 0.0", "\"sigma\": 0.875", "\"sigma\": 0")
    assertBottomUpRefused("max_peaks above 0, got -1", "\"max_peaks\": 256", "\"max_peaks\": -1")
    assertBottomUpRefused("num_points of 1 to 255, got 256", "\"num_points\": 10", "\"num_points\": 256")
    assertBottomUpRefused("min_keypoints of at least 1, got 0", "\"min_keypoints\": 1", "\"min_keypoints\": 0")
    assertBottomUpRefused("max_gap of at least 0, got -1.2", "\"max_gap\": 1.2", "\"max_gap\": -1.2")
    assertBottomUpRefused("0 < min_share <= 1, got 1.5", "\"min_share\": 0.8", "\"min_share\": 1.5")
    assertBottomUpRefused("lacks codec.min_field", "\"min_field\"", "\"least_field\"")
    assertBottomUpRefused("multiples of its stride 8, got 44x64", "\"input_hw\": [48, 64]", "\"input_hw\": [44, 64]")
    assertBottomUpRefused("6x8x4 for the heatmaps of openpose_lite, expected 6x8x3", "[1, 6, 8, 3]", "[1, 6, 8, 4]")
    assertBottomUpRefused("6x8x4 for the fields of openpose_lite, expected 6x8x2", "[1, 6, 8, 2]", "[1, 6, 8, 4]")
    assertBottomUpRefused("64x64x3 for the input of openpose_lite, expected 48x64x3", "[1, 48, 64, 3]", "[1, 64, 64, 3]")
    assertBottomUpRefused("needs a skeleton with limbs, got arm", "[[0, 1]]", "[]")
    assertBottomUpRefused("must be pairs below 2, got 0, 2", "[[0, 1]]", "[[0, 2]]")
}

/** A noisy picture of hundreds of peaks a keypoint takes neither minutes nor much memory. */
private fun noisyCrowdsAreDecoded() {
    val random = Random(0)
    val size = Size(80, 80)
    val maps = CrowdMaps(
        size, 18, List(17) { Pair(it, it + 1) }, FloatArray(80 * 80 * 19) { random.nextFloat() },
        FloatArray(80 * 80 * 34) { 2 * random.nextFloat() - 1 }
    )
    val codec = (contractOf(Json.parse(BOTTOM_UP)) as BottomUpContract).codec
    val started = System.nanoTime()
    val people = assemblePeople(maps, codec)
    check(System.nanoTime() - started < 20_000_000_000) { "took too long" }
    check(people.size > 200)
    check(people.zip(people.drop(1)).all { (one, next) -> one.score >= next.score })
}

fun main(arguments: Array<String>) {
    val contract = readContract(CONTRACT, "pose_model.tflite", MODEL) as PoseContract
    check(contract.model == "pose_slim A\n")
    check(contract.inputSize == Size(64, 48))
    check(contract.output.scale == 0.004)
    check(contract.skeleton.sigmas.toList() == List(3) { USUAL_SIGMA })

    assertRefused("not the file its contract", CONTRACT, bytes = "another".toByteArray())
    assertRefused("but not other.tflite", CONTRACT, fileName = "other.tflite")
    assertRefused("schema version 99", CONTRACT.replace("\"schema_version\": 1", "\"schema_version\": 99"))
    assertRefused("not models for segmentation", CONTRACT.replace("top_down", "segmentation"))
    assertRefused("not offsets", CONTRACT.replace("gaussian", "offsets"))
    assertRefused("wants BGR images", CONTRACT.replace("RGB", "BGR"))
    assertRefused("17x12x3 for the output", CONTRACT.replace("[1, 16, 12, 3]", "[1, 17, 12, 3]"))
    assertRefused("lacks crop", CONTRACT.replace("\"crop\"", "\"cropped\""))
    assertRefused("where a number is expected", CONTRACT.replace("1.25", "\"wide\""))
    assertRefused("not JSON, at character", CONTRACT.dropLast(3))
    allMinorVersionsAreRead()
    oneStageNetworksGivePeople()
    bottomUpNetworksGivePeople()
    noisyCrowdsAreDecoded()
    if (arguments.isNotEmpty()) filesTravelAlone(File(arguments[0]).readBytes())
    println("contracts passed")
}
