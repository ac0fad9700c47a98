/** Who is who in a video: people of one frame are matched with tracks of the last ones, by OKS; SPEC.md, section 10. */
package keraspose

/**
 * Takes the most similar pair (track, person), then the most similar of those left, and so on.
 *
 * @param threshold pairs below are never taken.
 */
fun matchGreedy(similarity: List<DoubleArray>, threshold: Double): List<Pair<Int, Int>> {
    val left = similarity.map { it.copyOf() }
    val pairs = ArrayList<Pair<Int, Int>>()
    while (true) {
        var best: Pair<Int, Int>? = null
        for (i in left.indices) for (j in left[i].indices) {
            // The first of equal ones, row by row.
            if (best == null || left[i][j] > left[best.first][best.second]) best = Pair(i, j)
        }
        if (best == null || !(left[best.first][best.second] >= threshold)) return pairs
        pairs.add(best)
        left[best.first].fill(Double.NEGATIVE_INFINITY)
        for (row in left) row[best.second] = Double.NEGATIVE_INFINITY
    }
}

/**
 * Gives the people of a video numbers that stay; numbers begin at 0.
 *
 * @param oksThreshold people less like a track are not its person.
 * @param patience frames for which a track waits for its person.
 * @param minKeypoints people with fewer sure ones cannot be told from others.
 */
class OksTracker(
    private val sigmas: DoubleArray,
    val oksThreshold: Double = 0.3,
    val patience: Int = 12,
    val keypointThreshold: Float = 0.2f,
    val minKeypoints: Int = 3
) {
    /** A person as last seen; [age] is 1 when they were in the last frame. */
    private class Track(
        val trackId: Int,
        val keypointsXy: DoubleArray,
        val isSure: BooleanArray,
        val area: Double,
        val velocity: DoubleArray,
        val age: Int = 1
    ) {
        fun expectedXy() = DoubleArray(keypointsXy.size) { keypointsXy[it] + age * velocity[it % 2] }

        fun with(trackId: Int = this.trackId, velocity: DoubleArray = this.velocity, age: Int = this.age) =
            Track(trackId, keypointsXy, isSure, area, velocity, age)
    }

    private var tracks = listOf<Track>()
    private var nextId = 0

    /** Takes the people of the next frame; returns them with track ids. */
    fun update(people: List<Person>): List<Person> {
        val seen = people.map { firstSeen(it) }.toTypedArray()
        val trackable = seen.indices.filter { i -> seen[i].isSure.count { it } >= minKeypoints }
        val continued = HashSet<Int>()
        for ((track, place) in pairs(trackable.map { seen[it] })) {
            seen[trackable[place]] = continued(tracks[track], seen[trackable[place]])
            continued.add(track)
        }
        for (i in trackable) {
            if (seen[i].trackId == NO_TRACK) seen[i] = seen[i].with(trackId = nextId++)
        }
        val waiting = tracks.filterIndexed { i, track -> i !in continued && track.age <= patience }
        tracks = trackable.map { seen[it] } + waiting.map { it.with(age = it.age + 1) }
        return people.mapIndexed { i, person -> person.with(trackId = seen[i].trackId) }
    }

    private fun pairs(seen: List<Track>): List<Pair<Int, Int>> {
        val similarity = tracks.map { track ->
            val expected = track.expectedXy()
            DoubleArray(seen.size) { j ->
                val person = seen[j]
                val area = (track.area + person.area) / 2
                oks(expected, person.keypointsXy, area, sigmas) { track.isSure[it] && person.isSure[it] }
            }
        }
        return matchGreedy(similarity, oksThreshold)
    }

    private fun firstSeen(person: Person) = Track(
        NO_TRACK,
        // Points that are not sure do not count, but must be numbers.
        finite(person.keypointsXy),
        BooleanArray(person.keypointScores.size) { isSure(person, it, keypointThreshold) },
        Math.max(0.0, person.box.width) * Math.max(0.0, person.box.height),
        doubleArrayOf(0.0, 0.0)
    )

    /** Moves a track to where its person is seen now. */
    private fun continued(track: Track, seen: Track): Track {
        val both = seen.isSure.indices.filter { track.isSure[it] && seen.isSure[it] }
        val velocity = DoubleArray(2) { axis ->
            // The median: single keypoints jump.
            val steps = both.map { seen.keypointsXy[2 * it + axis] - track.keypointsXy[2 * it + axis] }
            (track.velocity[axis] + median(steps) / track.age) / 2
        }
        return seen.with(trackId = track.trackId, velocity = velocity)
    }
}

private fun median(values: List<Double>): Double {
    val sorted = values.sorted()
    val middle = sorted.size / 2
    return if (sorted.size % 2 == 1) sorted[middle] else (sorted[middle - 1] + sorted[middle]) / 2
}
