/** What a network does not know: visibility of keypoints, calibrated scores; SPEC.md, section 6. */
package keraspose

/** Kinds of keypoints, in the order of a head's logits. */
val VISIBILITY_KINDS = listOf("visible", "hidden", "outside")

/** Probability of "outside" above which a keypoint is not drawn. */
const val OUTSIDE_THRESHOLD = 0.5f

/**
 * The output of a head for visibility: (1, K, 3) logits.
 *
 * @property temperature divisor of the logits.
 */
class Visibility(val output: TensorSpec, val temperature: Double) {
    /** Turns real logits into probabilities, three a keypoint. */
    fun probabilities(logits: FloatArray): FloatArray {
        val shares = FloatArray(logits.size)
        for (i in logits.indices step VISIBILITY_KINDS.size) {
            val scaled = DoubleArray(VISIBILITY_KINDS.size) { logits[i + it] / temperature }
            var highest = scaled[0]
            for (value in scaled) highest = Math.max(highest, value)
            val powers = DoubleArray(VISIBILITY_KINDS.size) { Math.exp(scaled[it] - highest) }
            var sum = 0.0
            for (power in powers) sum += power
            for (k in powers.indices) shares[i + k] = (powers[k] / sum).toFloat()
        }
        return shares
    }

    companion object {
        /** Reads the contract's field; null for files that do not say it. */
        fun read(entry: Json, numKeypoints: Int): Visibility? {
            val values = entry.find("visibility") ?: return null
            val kinds = values["visibility.kinds", "kinds"].texts()
            if (kinds != VISIBILITY_KINDS) {
                throw ContractError("The contract's visibility.kinds must be $VISIBILITY_KINDS, got $kinds.")
            }
            val output = tensorSpec(values)
            mustBe("visibility", output.shape.drop(1), listOf(numKeypoints, VISIBILITY_KINDS.size))
            return Visibility(output, positive(values, "visibility", "temperature"))
        }
    }
}

/**
 * A logistic function from scores to shares of keypoints that are right.
 *
 * @property intercept log-odds of a score of 0.
 */
class ScoreCalibration(val slope: Double, val intercept: Double) {
    fun apply(scores: FloatArray) = FloatArray(scores.size) {
        val odds = Math.min(60.0, Math.max(-60.0, slope * scores[it] + intercept))
        (1 / (1 + Math.exp(-odds))).toFloat()
    }

    companion object {
        /** Reads the contract's field; null where scores are what they are. */
        fun read(entry: Json): ScoreCalibration? {
            val values = entry.find("score_calibration") ?: return null
            val kind = values["score_calibration.kind", "kind"].text()
            if (kind != "logistic") {
                throw ContractError("The contract's score_calibration.kind must be logistic, got $kind.")
            }
            val intercept = values["score_calibration.intercept", "intercept"].number()
            return ScoreCalibration(positive(values, "score_calibration", "slope"), intercept)
        }
    }
}

private fun positive(values: Json, field: String, key: String): Double {
    val value = values["$field.$key", key].number()
    if (!(value > 0)) throw ContractError("The contract's $field.$key must be above 0, got $value.")
    return value
}
