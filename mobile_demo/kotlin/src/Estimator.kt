/** Person boxes -> crops -> network -> keypoints of the image; SPEC.md, section 1. */
package keraspose

/**
 * Runs a network on one image: input values in, raw output values by name out. Whoever runs files hands it in,
 * and converts to and from the tensors' types.
 */
typealias Run = (FloatArray) -> Map<String, FloatArray>

/** A detector's file that is ready. */
class DetectorNetwork(val contract: DetectorContract, val run: Run)

/** Who finds people in an image, by falling score. */
typealias FindPeople = (Picture) -> List<Detection>

/** Score above which a detector's boxes are believed, unless another is given. */
const val USUAL_BOX_THRESHOLD = 0.3f

/**
 * Estimates the pose of every person in an image.
 *
 * @property findPeople null: the whole image is one person.
 * @param nmsThreshold OKS above which two poses are one person's.
 * @param stopwatch gets stages and the nanoseconds they took.
 */
class PoseEstimator(
    val contract: PoseContract,
    private val run: Run,
    private val findPeople: FindPeople?,
    val nmsThreshold: Double = 0.4,
    private val stopwatch: (String, Long) -> Unit = { _, _ -> }
) {
    val hasDetector get() = findPeople != null

    fun people(image: Picture): List<Detection> =
        findPeople?.invoke(image) ?: listOf(Detection(wholeImageBox(image.size), 1f, PERSON))

    /** Finds everybody in a single picture, and estimates their poses. */
    fun poses(image: Picture): List<Person> {
        val all = people(image).map { estimate(image, it.box, it.score) }
        return different(all).map { all[it] }
    }

    /** Indices of people who are not there twice, in their order; SPEC.md, section 8. */
    fun different(people: List<Person>): List<Int> {
        val poses = people.map {
            val area = (it.box.x2 - it.box.x1).toFloat() * (it.box.y2 - it.box.y1).toFloat()
            RatedPose(finite(it.keypointsXy), it.score.toDouble(), area.toDouble())
        }
        return oksNms(poses, contract.skeleton.sigmas, nmsThreshold).sorted()
    }

    /** Estimates the pose in a box that is known to be usable. */
    fun estimate(image: Picture, box: Box, boxScore: Float): Person {
        val size = contract.inputSize
        val matrix = cropMatrix(box, size, contract.boxPadding, contract.codec.isUnbiased)
        val crop = timed("crop") { toInput(warpImage(image, matrix, size), contract.input, contract.normalization) }
        val raw = timed("pose") { run(crop) }
        return timed("decode") {
            val outputs = toReal(raw.getValue(contract.output.name), contract.output)
            val found = contract.codec.decode(outputs, contract.skeleton.names.size)
            val points = matrix.inverse().move(found.keypointsXy)
            val xy = FloatArray(points.size) { points[it].toFloat() }
            val visibility = contract.visibility?.let { it.probabilities(toReal(raw.getValue(it.output.name), it.output)) }
            // People are rated by the scores as they are.
            val score = personScore(boxScore, found.scores).toFloat()
            val scores = contract.scoreCalibration?.apply(found.scores) ?: found.scores
            Person(box.rounded(), xy, scores, score, visibility = visibility)
        }
    }

    private fun <T> timed(stage: String, work: () -> T): T {
        val started = System.nanoTime()
        return work().also { stopwatch(stage, System.nanoTime() - started) }
    }
}

/** Runs a detector's file: what it finds of all classes, within the image, by falling score. */
fun detect(detector: DetectorNetwork, image: Picture): List<Detection> {
    val contract = detector.contract
    val fitted = letterbox(image, contract.inputSize)
    val raw = detector.run(toInput(fitted.pixels, contract.input, contract.normalization))
    val levels = contract.levels.map { level ->
        fun real(spec: TensorSpec) = toReal(raw.getValue(spec.name), spec)
        Level(level.stride, level.scores.shape[2], level.scores.shape[3], real(level.scores), real(level.distances))
    }
    return decodeBoxes(levels, contract.inputSize, fitted.scaleX, fitted.scaleY, image.size, contract.settings)
}

/**
 * Finds people by a detector's file.
 *
 * @param boxThreshold people whose box has no higher score are left out.
 */
fun findPeopleBy(detector: DetectorNetwork, boxThreshold: Float = USUAL_BOX_THRESHOLD): FindPeople = { image ->
    detect(detector, image).filter { it.label == PERSON && it.score > boxThreshold && isUsable(it.box, image.size) }
}

/** Rates a person: box score times the mean of the keypoint scores above the threshold. */
fun personScore(boxScore: Float, keypointScores: FloatArray, threshold: Float = 0.2f): Double {
    var total = 0.0
    var count = 0
    for (score in keypointScores) {
        if (score > threshold) {
            total += score
            count++
        }
    }
    return boxScore * (total / Math.max(1, count))
}
