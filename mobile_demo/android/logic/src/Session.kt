/** What happens to one frame after the other: the core's parts, put together; SPEC.md, section 1. */
package keraspose.phone

import keraspose.ContractError
import keraspose.CrowdContract
import keraspose.Detection
import keraspose.DetectorNetwork
import keraspose.OksTracker
import keraspose.OneEuroSmoother
import keraspose.PeopleContract
import keraspose.Person
import keraspose.Picture
import keraspose.PoseContract
import keraspose.PoseEstimator
import keraspose.Run
import keraspose.crowdEstimator
import keraspose.findPeopleBy

/** A pose model's file that is ready: of a network that is shown one person at a time, or that finds everybody by itself. */
class PoseNetwork(val contract: PeopleContract, val run: Run)

/** @property detectEvery of a detector, as is [boxThreshold]; networks that find everybody have no use for them. @property boxThreshold null: the core's. */
class Settings(val detectEvery: Int = 10, val isSmoothed: Boolean = true, val boxThreshold: Float? = null)

/** @property stages milliseconds. @property isDetected whether the whole picture was looked at. */
class Analysis(val people: List<Person>, val stages: Map<String, Double>, val isDetected: Boolean)

/**
 * Finds and follows the people of a video, or finds those of single pictures. On one thread.
 *
 * @param detector null: the whole picture is one person, or the network finds everybody.
 * @throws ContractError for a detector beside a network that needs none.
 */
class Session(pose: PoseNetwork, detector: DetectorNetwork?, private val settings: Settings) {
    val skeleton = pose.contract.skeleton
    private val stages = LinkedHashMap<String, Double>()
    private val finder = finderOf(pose, detector)
    private lateinit var tracker: OksTracker
    private lateinit var smoother: OneEuroSmoother
    private var lastSeconds = Double.NEGATIVE_INFINITY

    init {
        restart()
    }

    /** Forgets all people, as for another video. */
    fun restart() {
        finder.restart()
        tracker = OksTracker(skeleton.sigmas)
        smoother = OneEuroSmoother()
        lastSeconds = Double.NEGATIVE_INFINITY
    }

    /** Finds the people of a picture on its own: neither tracks nor smoothing. */
    fun picture(image: Picture): Analysis {
        stages.clear()
        return Analysis(finder.picture(image), LinkedHashMap(stages), true)
    }

    /** Finds the people of a video's next frame; a time that does not rise is another video's. */
    fun frame(image: Picture, seconds: Double): Analysis {
        stages.clear()
        if (seconds <= lastSeconds) restart()
        lastSeconds = seconds
        val (found, isDetected) = finder.next(image)
        val tracked = tracker.update(found)
        val people = if (settings.isSmoothed) smoother.next(tracked, seconds) else tracked
        return Analysis(people, LinkedHashMap(stages), isDetected)
    }

    private fun finderOf(pose: PoseNetwork, detector: DetectorNetwork?): Finder = when (val contract = pose.contract) {
        is PoseContract -> FollowingFinder(PoseEstimator(contract, pose.run, boxesBy(detector), stopwatch = ::add), settings.detectEvery)
        is CrowdContract -> {
            if (detector != null) throw ContractError("${contract.model} finds the people itself: leave the detector out.")
            CrowdFinder(crowdEstimator(contract, pose.run, stopwatch = ::add))
        }
    }

    private fun boxesBy(detector: DetectorNetwork?): ((Picture) -> List<Detection>)? {
        if (detector == null) return null
        var inNetwork = 0L
        val timed = DetectorNetwork(detector.contract) { input ->
            val started = System.nanoTime()
            detector.run(input).also { inNetwork = System.nanoTime() - started }
        }
        val find = if (settings.boxThreshold == null) findPeopleBy(timed) else findPeopleBy(timed, settings.boxThreshold)
        return { image ->
            val started = System.nanoTime()
            find(image).also {
                add("detector", inNetwork)
                add("boxes", System.nanoTime() - started - inNetwork)
            }
        }
    }

    private fun add(stage: String, nanoseconds: Long) {
        stages[stage] = (stages[stage] ?: 0.0) + nanoseconds / 1e6
    }
}
