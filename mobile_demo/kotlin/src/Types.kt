/** The shapes that the parts of the core hand to each other; see mobile_demo/SPEC.md. */
package keraspose

/** The track of people who have none. */
const val NO_TRACK = -1

/** What OKS needs of skeletons that have no sigmas of their own. */
const val USUAL_SIGMA = 0.07

/** Height and width, pixels. */
data class Size(val height: Int, val width: Int)

/**
 * An image: [channels] bytes a pixel, red, green and blue first, row by row.
 */
class Picture(val size: Size, val channels: Int, val data: ByteArray) {
    init {
        require(channels >= 3 && data.size == size.height * size.width * channels) {
            "A picture of $size with $channels channels has another size than ${data.size} bytes."
        }
    }

    /** The channel [k] of a pixel, 0 to 255; black outside. */
    fun at(row: Int, column: Int, k: Int): Int =
        if (row < 0 || column < 0 || row >= size.height || column >= size.width) 0
        else data[(row * size.width + column) * channels + k].toInt() and 0xff
}

/** Two corners, image pixels. */
data class Box(val x1: Double, val y1: Double, val x2: Double, val y2: Double) {
    val width get() = x2 - x1
    val height get() = y2 - y1

    /** The same in the precision that results are kept in. */
    fun rounded() = Box(
        x1.toFloat().toDouble(), y1.toFloat().toDouble(), x2.toFloat().toDouble(), y2.toFloat().toDouble()
    )
}

/** A box that a detector found; [label] is the number of the class. */
data class Detection(val box: Box, val score: Float, val label: Int)

/**
 * One person of a frame.
 *
 * @property box where the person was looked for.
 * @property keypointsXy x, y, x, y, ... of the K keypoints, image pixels.
 * @property keypointScores of the K keypoints.
 * @property score confidence in the person as a whole.
 * @property trackId [NO_TRACK] for people who are not followed.
 * @property visibility probabilities that a keypoint is visible, hidden or outside the picture, three a keypoint; null
 * for files that do not say.
 */
class Person(
    val box: Box,
    val keypointsXy: FloatArray,
    val keypointScores: FloatArray,
    val score: Float,
    val trackId: Int = NO_TRACK,
    val visibility: FloatArray? = null
) {
    fun with(keypointsXy: FloatArray = this.keypointsXy, trackId: Int = this.trackId) =
        Person(box, keypointsXy, keypointScores, score, trackId, visibility)

    /** Whether a keypoint is more likely outside the picture than in it. */
    fun isOutside(keypoint: Int) =
        visibility != null && visibility[VISIBILITY_KINDS.size * keypoint + 2] > OUTSIDE_THRESHOLD
}

/**
 * Which keypoints there are.
 *
 * @property limbPairs indices of keypoints to draw a line between.
 * @property mirrorPairs indices that change places in a mirror.
 */
class Skeleton(
    val name: String,
    val names: List<String>,
    val limbPairs: List<Pair<Int, Int>>,
    val mirrorPairs: List<Pair<Int, Int>>,
    oksSigmas: List<Double>
) {
    /** One a keypoint, also of skeletons that say none. */
    val sigmas: DoubleArray =
        if (oksSigmas.isEmpty()) DoubleArray(names.size) { USUAL_SIGMA } else oksSigmas.toDoubleArray()
}
