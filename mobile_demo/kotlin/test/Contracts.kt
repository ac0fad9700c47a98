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

/** @param file with a contract inside. */
private fun filesTravelAlone(file: ByteArray) {
    check(readContract(null, "other.tflite", file) is PoseContract)
    check(readContract(CONTRACT, "other.tflite", file).model != "pose_slim A\n") // that is of another file
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
    try {
        contractOf(Json.parse(ONE_STAGE.replace("[1, 4, 4]", "[1, 3, 4]")))
        error("a contract that does not fit was read")
    } catch (error: ContractError) {
        check("3x4 for the boxes" in error.message!!)
    }
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
    oneStageNetworksGivePeople()
    if (arguments.isNotEmpty()) filesTravelAlone(File(arguments[0]).readBytes())
    println("contracts passed")
}
