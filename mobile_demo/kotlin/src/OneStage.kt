/** One-stage networks: whole picture -> network -> people; SPEC.md, section 6. */
package keraspose

/**
 * Which people are kept.
 *
 * @property scoreThreshold only people with a higher score are looked at.
 * @property iouThreshold people whose box overlaps that of a better one by more than this go.
 * @property maxPeople people kept at the end.
 */
class PeopleCodec(val scoreThreshold: Float, val iouThreshold: Float, val maxPeople: Int) {
    companion object {
        fun read(values: Json): PeopleCodec {
            val kind = values["codec.kind", "kind"].text()
            if (kind != "people") throw ContractError("This app reads the codec people of one-stage networks, not $kind.")
            return PeopleCodec(
                values["codec.score_threshold", "score_threshold"].number().toFloat(),
                values["codec.iou_threshold", "iou_threshold"].number().toFloat(),
                values["codec.max_people", "max_people"].integer()
            )
        }
    }
}

/**
 * Real outputs for one image: N people by falling score.
 *
 * @property boxes x1, y1, x2, y2 of each, input pixels.
 * @property keypoints x, y, x, y, ... of each, input pixels.
 * @property visibility of the keypoints of each.
 */
class PeopleOutputs(val scores: FloatArray, val boxes: FloatArray, val keypoints: FloatArray, val visibility: FloatArray)

/**
 * Finds everybody in a picture, without a detector.
 *
 * @param boxThreshold people with no higher score are left out.
 * @param stopwatch gets stages and the nanoseconds they took.
 */
class OneStageEstimator(
    override val contract: OneStageContract,
    run: Run,
    boxThreshold: Float = USUAL_BOX_THRESHOLD,
    stopwatch: (String, Long) -> Unit = { _, _ -> }
) : CrowdEstimator(run, boxThreshold, stopwatch) {
    override fun decode(real: (TensorSpec) -> FloatArray, scaleX: Double, scaleY: Double): List<Person> {
        val (scores, boxes, keypoints, visibility) = contract.outputs.map(real)
        return decodePeople(PeopleOutputs(scores, boxes, keypoints, visibility), contract.codec, scaleX, scaleY)
    }
}

/** Picks people out of a network's outputs, and takes them back to the image; boxes may reach beyond it. */
fun decodePeople(outputs: PeopleOutputs, codec: PeopleCodec, scaleX: Double, scaleY: Double): List<Person> {
    val likely = outputs.scores.indices.filter { outputs.scores[it] > codec.scoreThreshold }
    if (likely.isEmpty()) return listOf()
    val numKeypoints = outputs.visibility.size / outputs.scores.size
    val detections = likely.map { index ->
        fun side(k: Int) = outputs.boxes[4 * index + k].toDouble()
        Detection(Box(side(0), side(1), side(2), side(3)), outputs.scores[index], PERSON)
    }
    val settings = BoxSettings(codec.scoreThreshold, codec.iouThreshold, detections.size, codec.maxPeople)
    return keptIndices(detections, settings).map { kept ->
        val index = likely[kept]
        val (x1, y1, x2, y2) = detections[kept].box
        val points = outputs.keypoints.copyOfRange(2 * numKeypoints * index, 2 * numKeypoints * (index + 1))
        Person(
            Box(toImage(x1, scaleX), toImage(y1, scaleY), toImage(x2, scaleX), toImage(y2, scaleY)).rounded(),
            FloatArray(points.size) { toImage(points[it].toDouble(), if (it % 2 == 0) scaleX else scaleY).toFloat() },
            outputs.visibility.copyOfRange(numKeypoints * index, numKeypoints * (index + 1)),
            outputs.scores[index]
        )
    }
}

/** Pictures are resized by the corners of pixels. */
private fun toImage(value: Double, scale: Double) = (value + 0.5) / scale - 0.5
