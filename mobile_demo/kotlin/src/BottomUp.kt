/** Bottom-up networks: whole picture -> network -> maps -> people; SPEC.md, section 6. */
package keraspose

/** Score above which people of bottom-up networks are shown, unless another is given. */
const val BOTTOM_UP_THRESHOLD = 0.1f

/**
 * Finds everybody in a picture, without a detector.
 *
 * @param boxThreshold people with no higher score are left out.
 * @param stopwatch gets stages and the nanoseconds they took.
 */
class BottomUpEstimator(
    override val contract: BottomUpContract,
    run: Run,
    boxThreshold: Float = BOTTOM_UP_THRESHOLD,
    stopwatch: (String, Long) -> Unit = { _, _ -> }
) : CrowdEstimator(run, boxThreshold, stopwatch) {
    override fun decode(real: (TensorSpec) -> FloatArray, scaleX: Double, scaleY: Double) =
        decodeCrowd(real(contract.heatmaps), real(contract.fields), contract, scaleX, scaleY)
}

/**
 * Finds people in a network's maps, and takes them back to the image; by falling score. Keypoints that were not found
 * are at (0, 0) with a score of 0; boxes are around the others.
 */
fun decodeCrowd(
    heatmaps: FloatArray, fields: FloatArray, contract: BottomUpContract, scaleX: Double, scaleY: Double
): List<Person> {
    for ((spec, values) in listOf(Pair(contract.heatmaps, heatmaps), Pair(contract.fields, fields))) {
        val shape = spec.shape.drop(1)
        require(values.size == shape.fold(1) { product, size -> product * size }) {
            "The contract says ${shape.joinToString("x")} for the output ${spec.name}, the file gave ${values.size} values."
        }
    }
    val (codec, skeleton) = Pair(contract.codec, contract.skeleton)
    val maps = CrowdMaps(codec.cells, skeleton.names.size, skeleton.limbPairs, heatmaps, fields)
    return assemblePeople(maps, codec).map { inImage(it, codec.stride, scaleX, scaleY) }
}

private fun inImage(person: FoundPerson, stride: Int, scaleX: Double, scaleY: Double): Person {
    val points = FloatArray(person.xy.size)
    val low = floatArrayOf(Float.POSITIVE_INFINITY, Float.POSITIVE_INFINITY)
    val high = floatArrayOf(Float.NEGATIVE_INFINITY, Float.NEGATIVE_INFINITY)
    for (i in points.indices) {
        if (!(person.scores[i / 2] > 0)) continue
        val input = (person.xy[i] + 0.5f) * stride - 0.5f
        // Pictures are resized by the corners of pixels.
        points[i] = ((input + 0.5) / (if (i % 2 == 0) scaleX else scaleY) - 0.5).toFloat()
        low[i % 2] = Math.min(low[i % 2], points[i])
        high[i % 2] = Math.max(high[i % 2], points[i])
    }
    val box = Box(low[0].toDouble(), low[1].toDouble(), high[0].toDouble(), high[1].toDouble())
    return Person(box, points, person.scores, person.score)
}
