/** Object keypoint similarity, the IoU of poses; SPEC.md, section 8. */
package keraspose

private const val TINY = 2.220446049250313e-16

/**
 * The mean over keypoints of exp(-distance^2 / (2 sigma)^2 / area / 2); 0 where none counts.
 *
 * @param area pixels^2; the mean of both people's.
 * @param isCounted which keypoints count.
 */
fun oks(
    pose: DoubleArray, other: DoubleArray, area: Double, sigmas: DoubleArray, isCounted: (Int) -> Boolean = { true }
): Double {
    var sum = 0.0
    var count = 0
    for (k in sigmas.indices) {
        if (!isCounted(k)) continue
        val dx = pose[2 * k] - other[2 * k]
        val dy = pose[2 * k + 1] - other[2 * k + 1]
        sum += Math.exp(-(dx * dx + dy * dy) / (4 * sigmas[k] * sigmas[k]) / (area + TINY) / 2)
        count++
    }
    return sum / Math.max(1, count)
}

/** What the NMS of poses looks at. */
class RatedPose(val keypointsXy: DoubleArray, val score: Double, val area: Double)

/** Indices of the poses that are not too similar to one of higher score, best score first. */
fun oksNms(poses: List<RatedPose>, sigmas: DoubleArray, threshold: Double): List<Int> {
    var order = poses.indices.sortedByDescending { poses[it].score }
    val kept = ArrayList<Int>()
    while (order.isNotEmpty()) {
        val best = poses[order[0]]
        kept.add(order[0])
        order = order.drop(1).filter {
            val area = (best.area + poses[it].area) / 2
            !(oks(best.keypointsXy, poses[it].keypointsXy, area, sigmas) > threshold)
        }
    }
    return kept
}

/** Points with 0 for what is no number. */
internal fun finite(points: FloatArray) =
    DoubleArray(points.size) { if (points[it].isFinite()) points[it].toDouble() else 0.0 }
