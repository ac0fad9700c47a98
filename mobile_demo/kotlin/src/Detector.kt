/** A detector's outputs to boxes; SPEC.md, section 7. In float32 throughout, as there. */
package keraspose

/** The label of people. */
const val PERSON = 0

/**
 * Which boxes are kept.
 *
 * @property scoreThreshold only boxes with a higher score are looked at.
 * @property iouThreshold boxes that overlap a better one by more than this go.
 * @property maxPerLevel boxes that each output map may propose.
 * @property maxDetections boxes kept at the end.
 */
class BoxSettings(
    val scoreThreshold: Float, val iouThreshold: Float, val maxPerLevel: Int, val maxDetections: Int
) {
    companion object {
        fun read(values: Json) = BoxSettings(
            values["settings.score_threshold", "score_threshold"].number().toFloat(),
            values["settings.iou_threshold", "iou_threshold"].number().toFloat(),
            values["settings.max_per_level", "max_per_level"].integer(),
            values["settings.max_detections", "max_detections"].integer()
        )
    }
}

/** One output map: logits (H * W * classes), and distances to left, top, right, bottom (H * W * 4). */
class Level(
    val stride: Int, val width: Int, val numClasses: Int, val scores: FloatArray, val distances: FloatArray
)

/** Turns the outputs for one image into its boxes: within the image, by falling score. */
fun decodeBoxes(
    levels: List<Level>, input: Size, scaleX: Double, scaleY: Double, image: Size, settings: BoxSettings
): List<Detection> {
    val backX = (1 / scaleX).toFloat()
    val backY = (1 / scaleY).toFloat()
    val inImage = propose(levels, input, settings).map { found ->
        val box = found.box
        val moved = Box(box.x1 * backX, box.y1 * backY, box.x2 * backX, box.y2 * backY)
        found.copy(box = moved.rounded())
    }
    return suppress(inImage.filter { hasArea(it.box) }, settings)
        .map { it.copy(box = clip(it.box, image)) }
        .filter { hasArea(it.box) }
}

/** What the levels propose, clipped to the input: of each by falling score, level after level. */
fun propose(levels: List<Level>, input: Size, settings: BoxSettings): List<Detection> =
    levels.flatMap { level -> proposeLevel(level, settings).map { it.copy(box = clip(it.box, input)) } }

private fun proposeLevel(level: Level, settings: BoxSettings): List<Detection> {
    val confidences = FloatArray(level.scores.size) { sigmoid(level.scores[it]) }
    // Sorting is stable: of equal scores, the first in the map stays first.
    val found = confidences.indices.filter { confidences[it] > settings.scoreThreshold }
        .sortedByDescending { confidences[it] }.take(settings.maxPerLevel)
    return found.map { index ->
        val cell = index / level.numClasses
        val x = (cell % level.width * level.stride).toFloat()
        val y = (cell / level.width * level.stride).toFloat()
        fun side(k: Int) = level.distances[4 * cell + k]
        val box = Box(
            (x - side(0)).toDouble(), (y - side(1)).toDouble(), (x + side(2)).toDouble(), (y + side(3)).toDouble()
        )
        Detection(box, confidences[index], index % level.numClasses)
    }
}

/** 1 / (1 + exp(-logit)), without overflow. */
fun sigmoid(logit: Float): Float {
    val small = Math.exp(-Math.abs(logit.toDouble())).toFloat()
    return (if (logit >= 0) 1f else small) / (1f + small)
}

/** Keeps of boxes that overlap, and are of one class, the best; by falling score. */
fun suppress(detections: List<Detection>, settings: BoxSettings): List<Detection> =
    keptIndices(detections, settings).map { detections[it] }

/** Which boxes [suppress] keeps, by falling score. */
fun keptIndices(detections: List<Detection>, settings: BoxSettings): List<Int> {
    var highest = 0.0
    for ((box) in detections) highest = maxOf(highest, maxOf(box.x1, box.y1, maxOf(box.x2, box.y2)))
    // Far apart, boxes of different classes do not meet.
    val reach = highest.toFloat() + 1f
    val apart = detections.map { shifted(it.box, it.label * reach) }
    var waiting = detections.indices.sortedByDescending { detections[it].score }
    val kept = ArrayList<Int>()
    while (waiting.isNotEmpty() && kept.size < settings.maxDetections) {
        val best = waiting[0]
        kept.add(best)
        waiting = waiting.drop(1).filter { iou(apart[best], apart[it]) <= settings.iouThreshold }
    }
    return kept
}

private fun shifted(box: Box, by: Float) = floatArrayOf(
    box.x1.toFloat() + by, box.y1.toFloat() + by, box.x2.toFloat() + by, box.y2.toFloat() + by
)

/** Intersection over union; 0 where both boxes are without area. */
private fun iou(one: FloatArray, other: FloatArray): Float {
    val width = Math.min(one[2], other[2]) - Math.max(one[0], other[0])
    val height = Math.min(one[3], other[3]) - Math.max(one[1], other[1])
    val shared = Math.max(0f, width) * Math.max(0f, height)
    val union = area(one) + area(other) - shared
    return if (union > 0) shared / union else 0f
}

private fun area(box: FloatArray) = Math.max(0f, box[2] - box[0]) * Math.max(0f, box[3] - box[1])

private fun clip(box: Box, limit: Size): Box {
    fun within(value: Double, most: Int) = Math.min(most.toDouble(), Math.max(0.0, value))
    return Box(
        within(box.x1, limit.width), within(box.y1, limit.height), within(box.x2, limit.width), within(box.y2, limit.height)
    )
}

private fun hasArea(box: Box) = box.width > 0 && box.height > 0
