/** Who finds the people of frames: a detector and what was seen before, or a network that sees whole pictures. */
package keraspose.phone

import keraspose.CrowdEstimator
import keraspose.Person
import keraspose.Picture
import keraspose.PoseEstimator
import keraspose.RegionFollower

/** The people of pictures, and of a video's frames, one after the other. */
internal interface Finder {
    /** Those of a picture on its own. */
    fun picture(image: Picture): List<Person>

    /** Those of a video's next frame, and whether the whole of it was looked at. */
    fun next(image: Picture): Pair<List<Person>, Boolean>

    /** Forgets the frames so far. */
    fun restart()
}

/** People are looked for where the detector, or the last frame, says. */
internal class FollowingFinder(private val estimator: PoseEstimator, private val detectEvery: Int) : Finder {
    private var follower = RegionFollower(estimator, detectEvery)

    override fun picture(image: Picture) = estimator.poses(image)

    override fun next(image: Picture): Pair<List<Person>, Boolean> {
        val numDetected = follower.numDetected
        val people = follower.next(image)
        return Pair(people, follower.numDetected > numDetected)
    }

    override fun restart() {
        follower = RegionFollower(estimator, detectEvery)
    }
}

/** Everybody is looked for in every frame: there are neither boxes nor regions. */
internal class CrowdFinder(private val estimator: CrowdEstimator) : Finder {
    override fun picture(image: Picture) = estimator.poses(image)

    override fun next(image: Picture) = Pair(estimator.poses(image), true)

    override fun restart() {}
}
