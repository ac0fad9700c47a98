/** Networks that see whole pictures and find everybody in them, of whatever outputs; SPEC.md, section 6. */
package keraspose

/**
 * Finds everybody in a picture, without a detector. [OneStageEstimator] and [BottomUpEstimator] know what outputs mean.
 *
 * @param boxThreshold people with no higher score are left out.
 * @param stopwatch gets stages and the nanoseconds they took.
 */
abstract class CrowdEstimator(
    private val run: Run, private val boxThreshold: Float, private val stopwatch: (String, Long) -> Unit
) {
    abstract val contract: CrowdContract

    /** The people of an image, by falling score. */
    fun poses(image: Picture): List<Person> {
        val started = System.nanoTime()
        val fitted = letterbox(image, contract.inputSize)
        val input = toInput(fitted.pixels, contract.input, contract.normalization)
        val fittedAt = System.nanoTime()
        val raw = run(input)
        val ranAt = System.nanoTime()
        val found = decode({ spec -> toReal(raw.getValue(spec.name), spec) }, fitted.scaleX, fitted.scaleY)
        val people = found.filter { it.score > boxThreshold }
        stopwatch("letterbox", fittedAt - started)
        stopwatch("pose", ranAt - fittedAt)
        stopwatch("decode", System.nanoTime() - ranAt)
        return people
    }

    /**
     * Everybody whom the outputs show, by falling score.
     *
     * @param real real numbers of an output, by the contract's entry.
     * @param scaleX input pixels per image pixel.
     */
    protected abstract fun decode(real: (TensorSpec) -> FloatArray, scaleX: Double, scaleY: Double): List<Person>
}

/**
 * The estimator that a contract asks for.
 *
 * @param boxThreshold null: what suits the kind of network.
 */
fun crowdEstimator(
    contract: CrowdContract, run: Run, boxThreshold: Float? = null, stopwatch: (String, Long) -> Unit = { _, _ -> }
): CrowdEstimator = when (contract) {
    is OneStageContract -> OneStageEstimator(contract, run, boxThreshold ?: USUAL_BOX_THRESHOLD, stopwatch)
    is BottomUpContract -> BottomUpEstimator(contract, run, boxThreshold ?: BOTTOM_UP_THRESHOLD, stopwatch)
}
