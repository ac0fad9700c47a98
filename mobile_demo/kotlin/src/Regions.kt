/**
 * Following regions: where a person's keypoints were, there the person is looked for; SPEC.md, section 9.
 */
package keraspose

/** How far a box reaches beyond keypoints: left, top, right, bottom, of the longer side. */
private val MARGINS = doubleArrayOf(0.065, 0.11, 0.065, 0.09)

/** A region shrinks by this much per frame at most. */
private const val MAX_SHRINKAGE = 0.9

/** Where a person is looked for in the next frame; null without a sure keypoint. */
fun nextBox(person: Person, threshold: Float): Box? {
    val low = doubleArrayOf(Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY)
    val high = doubleArrayOf(Double.NEGATIVE_INFINITY, Double.NEGATIVE_INFINITY)
    for (k in person.keypointScores.indices) {
        if (!isSure(person, k, threshold)) continue
        for (axis in 0..1) {
            val value = person.keypointsXy[2 * k + axis].toDouble()
            low[axis] = Math.min(low[axis], value)
            high[axis] = Math.max(high[axis], value)
        }
    }
    if (low[0].isInfinite()) return null
    val span = Math.max(high[0] - low[0], high[1] - low[1])
    val sides = doubleArrayOf(person.box.width, person.box.height)
    for (axis in 0..1) {
        low[axis] -= span * MARGINS[axis]
        high[axis] += span * MARGINS[axis + 2]
        val missing = Math.max(0.0, MAX_SHRINKAGE * sides[axis] - (high[axis] - low[axis])) / 2
        low[axis] -= missing
        high[axis] += missing
    }
    return Box(low[0], low[1], high[0], high[1])
}

/** Whether a keypoint is finite, and its score above the threshold. */
internal fun isSure(person: Person, k: Int, threshold: Float) =
    person.keypointScores[k] > threshold && person.keypointsXy[2 * k].isFinite() && person.keypointsXy[2 * k + 1].isFinite()

/**
 * An estimator for the frames of one video, in order.
 *
 * @param detectEvery the detector sees at least every N-th frame.
 * @param leastShare of a person's first score, below which the detector is asked anew.
 */
class RegionFollower(
    private val estimator: PoseEstimator,
    detectEvery: Int = 10,
    val keypointThreshold: Float = 0.2f,
    val leastShare: Float = 0.5f
) {
    private class Region(val box: Box, val score: Float, val firstScore: Float)

    val detectEvery = if (estimator.hasDetector) detectEvery else 1
    private var regions = listOf<Region>()
    private var age = 0
    private var isDoubtful = true
    private var imageSize = Size(0, 0)

    /** Frames on which the detector was asked. */
    var numDetected = 0
        private set

    /** Estimates the people of the next frame. */
    fun next(image: Picture): List<Person> {
        // Regions of one picture say nothing of one with another size.
        val hasChanged = image.size != imageSize
        imageSize = image.size
        return if (isDoubtful || hasChanged || age >= detectEvery) detect(image) else follow(image)
    }

    private fun detect(image: Picture): List<Person> {
        numDetected++
        val found = estimator.people(image)
        val all = found.map { estimator.estimate(image, it.box, it.score) }
        val kept = estimator.different(all)
        val people = kept.map { all[it] }
        age = 0
        lookAhead(people, kept.map { found[it].score }, people.map { it.score })
        return people
    }

    private fun follow(image: Picture): List<Person> {
        val all = regions.map { estimator.estimate(image, it.box, it.score) }
        val kept = estimator.different(all) // regions may run onto one person
        val people = kept.map { all[it] }
        lookAhead(people, kept.map { regions[it].score }, kept.map { regions[it].firstScore })
        return people
    }

    /** Decides where to look next, and whether the detector must be asked. */
    private fun lookAhead(people: List<Person>, boxScores: List<Float>, firstScores: List<Float>) {
        val next = ArrayList<Region>()
        var hasFallen = false
        people.forEachIndexed { i, person ->
            val box = nextBox(person, keypointThreshold)
            if (box != null && isUsable(box, imageSize)) {
                next.add(Region(box, boxScores[i], firstScores[i]))
                hasFallen = hasFallen || person.score < leastShare * firstScores[i]
            }
        }
        regions = next
        age++
        // Whoever left the picture, or was never more than a box, is no reason to ask.
        isDoubtful = next.isEmpty() || hasFallen
    }
}
