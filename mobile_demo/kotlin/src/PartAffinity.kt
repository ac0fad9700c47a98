/**
 * Heatmaps and part affinity fields to people; contract.md and SPEC.md, "Bottom-up networks".
 * What is float, what is double, and which of two equals goes first, is as written there.
 */
package keraspose

import java.util.BitSet

/** Limbs that are shorter, in cells, need not be in their field. */
private const val NEAR = 1f

/** People of fewer keypoints do not share those of others. */
private const val LEAST_OWN = 3

/** A neighbour counts as no lower than this share of its peak. */
private const val LOWEST_SHARE = 1e-3

/**
 * How maps become people, as it stands in contracts.
 *
 * @property stride input pixels per cell.
 * @property sigma width of the peaks, cells.
 * @property minPeak lowest height of a candidate.
 * @property maxPeaks candidates per keypoint, the highest ones.
 * @property numPoints points of a line at which fields are read.
 * @property minField product of field and line that speaks for a limb.
 * @property minShare share of the points that must speak for it.
 * @property maxGap over which parts of a person are joined, in extents.
 * @property minKeypoints people with fewer go.
 * @property minScore people whose peaks are lower on average go.
 */
class PartAffinityCodec(
    val input: Size,
    val stride: Int,
    val sigma: Double,
    val minPeak: Float,
    val maxPeaks: Int,
    val numPoints: Int,
    val minField: Double,
    val minShare: Double,
    val maxGap: Float,
    val minKeypoints: Int,
    val minScore: Float
) {
    /** Height and width of the maps, cells. */
    val cells get() = Size(input.height / stride, input.width / stride)

    companion object {
        fun read(values: Json): PartAffinityCodec {
            fun field(name: String) = values["codec.$name", name]
            fun rule(holds: Boolean, words: String) {
                if (!holds) throw ContractError("A part_affinity codec needs $words.")
            }
            val kind = field("kind").text()
            if (kind != "part_affinity") {
                throw ContractError("This app reads the codec part_affinity of bottom-up networks, not $kind.")
            }
            for (name in listOf("stride", "sigma", "limb_width", "min_peak", "max_peaks")) {
                rule(field(name).number() > 0, "$name above 0, got ${field(name).value}")
            }
            val numPoints = field("num_points").integer()
            rule(numPoints in 1..255, "num_points of 1 to 255, got $numPoints")
            val minKeypoints = field("min_keypoints").integer()
            rule(minKeypoints >= 1, "min_keypoints of at least 1, got $minKeypoints")
            val maxGap = field("max_gap").number()
            rule(maxGap >= 0, "max_gap of at least 0, got $maxGap")
            val minShare = field("min_share").number()
            rule(minShare > 0 && minShare <= 1, "0 < min_share <= 1, got $minShare")
            val matching = field("matching").text()
            rule(matching == "greedy", "the matching greedy in this app, got $matching")
            val stride = field("stride").integer()
            val input = field("input_hw").integers()
            rule(
                input.size == 2 && input.all { it >= stride && it % stride == 0 },
                "an input_hw of multiples of its stride $stride, got ${input.joinToString("x")}"
            )
            return PartAffinityCodec(
                Size(input[0], input[1]), stride, field("sigma").number(), field("min_peak").number().toFloat(),
                field("max_peaks").integer(), numPoints, field("min_field").number(), minShare, maxGap.toFloat(),
                minKeypoints, field("min_score").number().toFloat()
            )
        }
    }
}

/**
 * Real outputs for one image: [heatmaps] of K keypoints and the background, [fields] of L limbs.
 *
 * @property cells height and width.
 * @property limbPairs keypoints that the limbs lead from and to.
 */
class CrowdMaps(
    val cells: Size,
    val numKeypoints: Int,
    val limbPairs: List<Pair<Int, Int>>,
    val heatmaps: FloatArray,
    val fields: FloatArray
)

/**
 * A person in cells: x, y, x, y, ... of the K keypoints, and heights of their peaks; 0 where one was not found.
 *
 * @property score mean height over all K.
 */
class FoundPerson(val xy: FloatArray, val scores: FloatArray, val score: Float)

/** A peak of a heatmap; [score] is its height. */
private class Candidate(val keypoint: Int, val x: Float, val y: Float, val score: Float)

/** Two candidates that may be the ends of a limb. */
private class Limb(val kind: Int, val first: Int, val last: Int, val score: Double)

/** Finds the people in the maps of one picture, by falling score. */
fun assemblePeople(maps: CrowdMaps, codec: PartAffinityCodec): List<FoundPerson> {
    val candidates = findCandidates(maps, codec)
    val limbs = LimbMeter(candidates, maps, codec).limbs()
    val people = joinLimbs(candidates, matchLimbs(limbs))
    sharePeaks(people, candidates, limbs)
    return gather(bridgeGaps(people, candidates, codec.maxGap), candidates, maps.numKeypoints, codec)
}

/** The peaks of heatmaps, by keypoint, then y, then x. */
private fun findCandidates(maps: CrowdMaps, codec: PartAffinityCodec): List<Candidate> {
    val curvature = -1 / (codec.sigma * codec.sigma)
    val found = List(maps.numKeypoints) { ArrayList<Candidate>() }
    for (y in 0 until maps.cells.height) for (x in 0 until maps.cells.width) for (k in 0 until maps.numKeypoints) {
        // Beyond the border: null.
        fun at(column: Int, row: Int): Float? =
            if (column < 0 || row < 0 || column >= maps.cells.width || row >= maps.cells.height) null
            else maps.heatmaps[(row * maps.cells.width + column) * (maps.numKeypoints + 1) + k]
        val score = at(x, y)!!
        if (!(score >= codec.minPeak)) continue
        fun isAbove(before: Float?) = before == null || score > before
        fun isNotBelow(after: Float?) = after == null || score >= after
        val isPeak = isAbove(at(x - 1, y)) && isAbove(at(x, y - 1)) && isAbove(at(x - 1, y - 1)) && isAbove(at(x + 1, y - 1)) &&
            isNotBelow(at(x + 1, y)) && isNotBelow(at(x, y + 1)) && isNotBelow(at(x - 1, y + 1)) && isNotBelow(at(x + 1, y + 1))
        if (!isPeak) continue
        val stepX = topOf(at(x - 1, y), score, at(x + 1, y), curvature)
        val stepY = topOf(at(x, y - 1), score, at(x, y + 1), curvature)
        found[k].add(Candidate(k, (x + stepX).toFloat(), (y + stepY).toFloat(), score))
    }
    // Sorting is stable: of equal heights, the first in reading order stays first.
    return found.flatMap { ofOne ->
        val highest = if (ofOne.size <= codec.maxPeaks) ofOne else ofOne.sortedByDescending { it.score }.take(codec.maxPeaks)
        highest.sortedWith(Comparator { a, b -> if (a.y != b.y) a.y.compareTo(b.y) else a.x.compareTo(b.x) })
    }
}

/**
 * Where the parabola through three logarithms has its top, -0.5 to 0.5.
 *
 * @param curvature beyond the border, where [before] or [after] is null.
 */
private fun topOf(before: Float?, center: Float, after: Float?, curvature: Double): Double {
    fun logShare(value: Float) = Math.log(Math.max(value / center.toDouble(), LOWEST_SHARE))
    val ofBefore = before?.let { logShare(it) }
    val ofAfter = after?.let { logShare(it) }
    val left = ofBefore ?: curvature - (ofAfter ?: return 0.0)
    val right = ofAfter ?: curvature - left
    val bend = left + right
    return if (bend < 0) Math.min(0.5, Math.max(-0.5, (left - right) / (2 * bend))) else 0.0
}

/** Rates pairs of candidates by the fields between them. */
private class LimbMeter(private val candidates: List<Candidate>, private val maps: CrowdMaps, codec: PartAffinityCodec) {
    private val numPoints = codec.numPoints
    private val minField = codec.minField
    private val mostMissed = numPoints - Math.ceil(codec.minShare * numPoints - 1e-9).toInt()
    private val channels = 2 * maps.limbPairs.size
    private val shares = FloatArray(numPoints) { ((it + 0.5) / numPoints).toFloat() }

    // Counted from the first cell of a frame around the map, which repeats the outermost ones.
    private val xs = FloatArray(candidates.size) { candidates[it].x + 1 }
    private val ys = FloatArray(candidates.size) { candidates[it].y + 1 }

    /** The pairs that may be limbs, by falling score. */
    fun limbs(): List<Limb> {
        val indices = List(maps.numKeypoints) { ArrayList<Int>() }
        candidates.forEachIndexed { i, candidate -> indices[candidate.keypoint].add(i) }
        val found = ArrayList<Limb>()
        maps.limbPairs.forEachIndexed { kind, (from, to) ->
            for (first in indices[from]) for (last in indices[to]) {
                val score = measure(kind, first, last)
                if (!score.isNaN()) found.add(Limb(kind, first, last, score))
            }
        }
        return found.sortedWith(Comparator { a, b ->
            when {
                a.score != b.score -> if (a.score > b.score) -1 else 1
                a.kind != b.kind -> a.kind.compareTo(b.kind)
                a.first != b.first -> a.first.compareTo(b.first)
                else -> a.last.compareTo(b.last)
            }
        })
    }

    /** The score of a pair; NaN: it is no limb. */
    private fun measure(kind: Int, first: Int, last: Int): Double {
        val dx = xs[last] - xs[first]
        val dy = ys[last] - ys[first]
        val square = dx * dx + dy * dy
        val isNear = square < NEAR * NEAR
        val length = Math.max(Math.sqrt(square.toDouble()).toFloat(), 1e-6f)
        var sum = 0.0
        var missed = 0
        for (share in shares) {
            val x = xs[first] + share * dx
            val y = ys[first] + share * dy
            val along = (read(2 * kind, x, y) * dx + read(2 * kind + 1, x, y) * dy) / length
            sum += along
            if (!(along > minField) && ++missed > mostMissed && !isNear) return Double.NaN
        }
        val score = sum / numPoints
        if (!isNear) return score
        val byNearness = (minField.toFloat() * (2 - length)).toDouble()
        return if (score >= byNearness) score else byNearness
    }

    private fun read(channel: Int, x: Float, y: Float): Double {
        val column = x.toInt()
        val row = y.toInt()
        val right = x.toDouble() - column
        val below = y.toDouble() - row
        fun along(framedRow: Int): Double {
            val start = cellOf(framedRow, maps.cells.height) * maps.cells.width
            fun at(framed: Int) = maps.fields[(start + cellOf(framed, maps.cells.width)) * channels + channel].toDouble()
            return at(column) * (1 - right) + at(column + 1) * right
        }
        return along(row) * (1 - below) + along(row + 1) * below
    }

    private fun cellOf(framed: Int, size: Int) = Math.min(Math.max(framed - 1, 0), size - 1)
}

/** Takes limbs by falling score, none with an end that one of its kind has already. */
private fun matchLimbs(limbs: List<Limb>): List<Limb> {
    val begun = HashSet<Pair<Int, Int>>()
    val ended = HashSet<Pair<Int, Int>>()
    return limbs.filter { limb ->
        val begin = Pair(limb.kind, limb.first)
        val end = Pair(limb.kind, limb.last)
        val isFree = begin !in begun && end !in ended
        if (isFree) {
            begun.add(begin)
            ended.add(end)
        }
        isFree
    }
}

private fun keypointsOf(person: List<Int>, candidates: List<Candidate>) =
    BitSet().also { bits -> for (i in person) bits.set(candidates[i].keypoint) }

/** Joins candidates to people, strongest limb first; the candidates of each, in the order of their first ones. */
private fun joinLimbs(candidates: List<Candidate>, limbs: List<Limb>): List<MutableList<Int>> {
    val group = IntArray(candidates.size) { it }
    val members = List(candidates.size) { arrayListOf(it) }
    val keypoints = members.map { keypointsOf(it, candidates) }
    for (limb in limbs) {
        val one = group[limb.first]
        val other = group[limb.last]
        if (one == other || keypoints[one].intersects(keypoints[other])) continue
        keypoints[one].or(keypoints[other])
        for (i in members[other]) group[i] = one
        members[one].addAll(members[other])
        members[other].clear()
    }
    return members.filter { it.isNotEmpty() }.sortedBy { person -> person.fold(Int.MAX_VALUE) { a, b -> Math.min(a, b) } }
}

/** Lets people use keypoints of others that their own limbs lead to, in place; [limbs] by falling score. */
private fun sharePeaks(people: List<MutableList<Int>>, candidates: List<Candidate>, limbs: List<Limb>) {
    val keypoints = people.map { keypointsOf(it, candidates) }
    val counts = people.map { it.size }
    val owner = IntArray(candidates.size)
    people.forEachIndexed { n, person -> for (i in person) owner[i] = n }
    fun give(end: Int, person: Int) {
        val keypoint = candidates[end].keypoint
        if (counts[person] < LEAST_OWN || keypoints[person].get(keypoint)) return
        people[person].add(end)
        keypoints[person].set(keypoint)
    }
    for (limb in limbs) {
        give(limb.last, owner[limb.first])
        give(limb.first, owner[limb.last])
    }
}

/** Candidates of a person, and the diagonal of their box. */
private class Part(person: List<Int>, all: List<Candidate>) {
    val keypoints = keypointsOf(person, all)
    private val candidates = person.map { all[it] }
    private val extent = lengthOf(side { it.x }, side { it.y })

    private inline fun side(value: (Candidate) -> Float): Float {
        var low = Float.POSITIVE_INFINITY
        var high = Float.NEGATIVE_INFINITY
        for (candidate in candidates) {
            low = Math.min(low, value(candidate))
            high = Math.max(high, value(candidate))
        }
        return high - low
    }

    /** The distance of the nearest candidates, in extents of the larger part. */
    fun gapTo(other: Part): Float {
        var nearest = Float.POSITIVE_INFINITY
        for (a in candidates) for (b in other.candidates) nearest = Math.min(nearest, lengthOf(a.x - b.x, a.y - b.y))
        return nearest / Math.max(Math.max(extent, other.extent), 1e-3f)
    }
}

private fun lengthOf(dx: Float, dy: Float) = Math.sqrt((dx * dx + dy * dy).toDouble()).toFloat()

/** Between two parts, the earlier [one] and the [other]. */
private class Gap(val size: Float, val one: Int, val other: Int)

/** Joins people who are parts of one: near each other, with no keypoint in common. */
private fun bridgeGaps(people: List<List<Int>>, candidates: List<Candidate>, maxGap: Float): List<List<Int>> {
    val parts = people.map { Part(it, candidates) }
    val gaps = ArrayList<Gap>()
    for (one in parts.indices) for (other in one + 1 until parts.size) {
        if (parts[one].keypoints.intersects(parts[other].keypoints)) continue
        val size = parts[one].gapTo(parts[other])
        if (size < maxGap) gaps.add(Gap(size, one, other))
    }
    gaps.sortWith(Comparator { a, b ->
        when {
            a.size != b.size -> a.size.compareTo(b.size)
            a.one != b.one -> a.one.compareTo(b.one)
            else -> a.other.compareTo(b.other)
        }
    })
    val group = IntArray(people.size) { it }
    val joined = people.map { it.toMutableList() }
    for (gap in gaps) {
        val one = Math.min(group[gap.one], group[gap.other])
        val other = Math.max(group[gap.one], group[gap.other])
        if (one == other || parts[one].keypoints.intersects(parts[other].keypoints)) continue
        parts[one].keypoints.or(parts[other].keypoints)
        for (i in group.indices) if (group[i] == other) group[i] = one
        joined[one].addAll(joined[other])
        joined[other].clear()
    }
    return joined.filter { it.isNotEmpty() }
}

/** Makes arrays of people, by falling score; those of too little go. */
private fun gather(
    people: List<List<Int>>, candidates: List<Candidate>, numKeypoints: Int, codec: PartAffinityCodec
): List<FoundPerson> {
    val found = ArrayList<FoundPerson>()
    for (person in people) {
        val xy = FloatArray(2 * numKeypoints)
        val scores = FloatArray(numKeypoints)
        // In double precision the sum is exact, whatever the order.
        var total = 0.0
        for (candidate in person.map { candidates[it] }) {
            xy[2 * candidate.keypoint] = candidate.x
            xy[2 * candidate.keypoint + 1] = candidate.y
            scores[candidate.keypoint] = candidate.score
            total += candidate.score
        }
        val isKept = person.size >= codec.minKeypoints && total >= codec.minScore.toDouble() * person.size
        if (isKept) found.add(FoundPerson(xy, scores, (total / numKeypoints).toFloat()))
    }
    return found.sortedByDescending { it.score }
}
