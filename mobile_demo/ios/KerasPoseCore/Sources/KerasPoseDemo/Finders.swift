import KerasPoseCore

/// Who finds the people of frames: a detector and what was seen before, or a network that sees whole pictures.

/// What was found, and whether the whole of the picture was looked at.
typealias Found = (people: [Person], isDetected: Bool)

/// The people of pictures, and of a video's frames, one after the other.
protocol Finder {
    /// Those of a picture on its own.
    func picture(_ image: Picture) throws -> Found
    /// Those of a video's next frame.
    func next(_ image: Picture) throws -> Found
    /// Forgets the frames so far.
    func restart(detectEvery: Int)
}

/// People are looked for where the detector, or the last frame, says.
final class FollowingFinder: Finder {
    private let estimator: PoseEstimator
    private var follower: RegionFollower

    init(_ estimator: PoseEstimator) {
        self.estimator = estimator
        follower = RegionFollower(estimator)
    }

    func picture(_ image: Picture) throws -> Found { (try estimator.estimate(image), estimator.hasDetector) }

    func next(_ image: Picture) throws -> Found {
        let before = follower.numDetected
        let people = try follower.next(image)
        return (people, follower.numDetected > before)
    }

    func restart(detectEvery: Int) { follower = RegionFollower(estimator, detectEvery: detectEvery) }
}

/// Everybody is looked for in every frame: there are neither boxes nor regions.
struct CrowdFinder: Finder {
    let estimator: CrowdEstimator

    func picture(_ image: Picture) throws -> Found { (try estimator.estimate(image), true) }
    func next(_ image: Picture) throws -> Found { try picture(image) }
    func restart(detectEvery: Int) {}
}
