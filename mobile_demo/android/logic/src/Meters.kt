/** How fast it goes: frames per second, and the mean times of the stages. */
package keraspose.phone

/** Frames of the last [window] seconds. */
class RateMeter(private val window: Double = 2.0) {
    private val times = ArrayList<Double>()

    /** Counts a frame that was drawn at a time in seconds; returns frames per second, 0 for the first one. */
    fun add(seconds: Double): Double {
        times.add(seconds)
        while (times.size > 2 && seconds - times[0] > window) times.removeAt(0)
        val elapsed = seconds - times[0]
        return if (elapsed > 0) (times.size - 1) / elapsed else 0.0
    }

    fun restart() = times.clear()
}

/** Means of the last [count] frames, milliseconds; a stage that a frame did not have took 0 in it. */
class StageMeter(private val count: Int = 30) {
    private val frames = ArrayList<Map<String, Double>>()

    fun add(stages: Map<String, Double>) {
        frames.add(stages)
        if (frames.size > count) frames.removeAt(0)
    }

    /** By stage, in the order in which they were first seen. */
    fun means(): Map<String, Double> {
        val names = LinkedHashSet<String>()
        for (frame in frames) names.addAll(frame.keys)
        return names.associateWith { name -> frames.map { it[name] ?: 0.0 }.sum() / frames.size }
    }

    fun restart() = frames.clear()
}
