/** The one-euro filter: keypoints of a video with less jitter and little lag; SPEC.md, section 11. */
package keraspose

/**
 * Smooths the keypoints of tracked people, each x and y by a filter of its own.
 *
 * @param minCutoff cutoff frequency of what rests, Hz.
 * @param beta how it rises, Hz per (person size / second).
 * @param speedCutoff cutoff frequency of the speed itself, Hz.
 * @param forgetAfter seconds after which a track begins anew.
 */
class OneEuroSmoother(
    val minCutoff: Double = 1.0,
    val beta: Double = 4.0,
    val speedCutoff: Double = 1.0,
    val forgetAfter: Double = 2.0
) {
    private class Memory(val seconds: Double, val xy: DoubleArray, val speed: DoubleArray)

    private val memories = HashMap<Int, Memory>()

    /**
     * Smooths the people of the next frame; those without a track stay as they are.
     *
     * @param seconds time of the frame, later than the one before.
     */
    fun next(people: List<Person>, seconds: Double): List<Person> {
        for (memory in memories.values) {
            require(seconds > memory.seconds) { "Frames must come in order: $seconds s is not after ${memory.seconds} s." }
        }
        val smoothed = people.map { if (it.trackId == NO_TRACK) it else smooth(it, seconds) }
        memories.values.removeAll { seconds - it.seconds > forgetAfter }
        return smoothed
    }

    private fun smooth(person: Person, seconds: Double): Person {
        val last = memories[person.trackId]
        val elapsed = if (last != null) seconds - last.seconds else 1.0
        val box = person.box.rounded()
        val size = Math.max(1f, Math.max(box.width.toFloat(), box.height.toFloat())).toDouble()
        val xy = DoubleArray(person.keypointsXy.size) { person.keypointsXy[it].toDouble() }
        val speed = DoubleArray(xy.size)
        val isFound = { i: Int -> person.keypointScores.getOrNull(i / 2) != 0f }
        for (i in xy.indices) {
            if (!isFound(i)) { // it has no place, and begins anew when it has one
                xy[i] = Double.NaN
                continue
            }
            if (last == null || !last.xy[i].isFinite()) continue // begins unsmoothed, at rest
            val newSpeed = (xy[i] - last.xy[i]) / elapsed
            speed[i] = mix(newSpeed, last.speed[i], smoothingFactor(speedCutoff, elapsed))
            val cutoff = minCutoff + beta * Math.abs(speed[i]) / size
            xy[i] = mix(xy[i], last.xy[i], smoothingFactor(cutoff, elapsed))
        }
        memories[person.trackId] = Memory(seconds, xy, speed)
        return person.with(keypointsXy = FloatArray(xy.size) { if (isFound(it)) xy[it].toFloat() else person.keypointsXy[it] })
    }
}

/** The weight of the newest value in an exponential low-pass filter. */
fun smoothingFactor(cutoff: Double, elapsed: Double): Double {
    val turn = 2 * Math.PI * cutoff * elapsed
    return turn / (turn + 1)
}

private fun mix(value: Double, last: Double, alpha: Double) = alpha * value + (1 - alpha) * last
