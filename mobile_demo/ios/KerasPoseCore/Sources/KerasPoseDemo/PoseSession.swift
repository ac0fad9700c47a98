import KerasPoseCore

/// What a user may change while frames come.
public struct PoseSettings: Equatable {
    /// The detector sees at least every N-th frame.
    public var detectEvery = 10
    public var isSmoothed = true

    public init() {}
}

/// What was found in a frame.
public struct Analysis {
    public let people: [Person]
    /// Whether the detector was asked.
    public let isDetected: Bool
    /// Seconds of each stage.
    public let stages: [String: Double]
}

/// A pose model and a detector that are ready, and the people seen so far. Of one thread.
public final class PoseSession {
    public let skeleton: Skeleton
    private let estimator: PoseEstimator
    private let costs: Costs
    private var settings = PoseSettings()
    private var follower: RegionFollower
    private var tracker: OksTracker
    private var smoother = OneEuroSmoother()
    private var lastSeconds = -Double.infinity

    /// Adds up the stages of a frame.
    private final class Costs {
        var stages: [String: Double] = [:]

        func add(_ stage: String, _ seconds: Double) { stages[stage, default: 0] += seconds }
    }

    /// - Parameter findPeople: nil: the whole image is one person.
    public init(contract: PoseContract, run: @escaping RunNetwork, findPeople: FindPeople?) {
        let costs = Costs()
        skeleton = contract.skeleton
        estimator = PoseEstimator(contract: contract, run: run, findPeople: findPeople, stopwatch: costs.add)
        self.costs = costs
        follower = RegionFollower(estimator)
        tracker = OksTracker(sigmas: contract.skeleton.sigmas)
    }

    /// Forgets all people, as for a new video.
    public func restart() {
        follower = RegionFollower(estimator, detectEvery: settings.detectEvery)
        tracker = OksTracker(sigmas: skeleton.sigmas)
        smoother = OneEuroSmoother()
        lastSeconds = -.infinity
    }

    /// Finds the people of a single picture.
    public func analyse(_ image: Picture) throws -> Analysis {
        costs.stages = [:]
        let people = try estimator.estimate(image)
        return Analysis(people: people, isDetected: estimator.hasDetector, stages: costs.stages)
    }

    /// Finds and follows the people of a video's next frame.
    ///
    /// - Parameter seconds: the frame's time. A time that does not rise begins another video.
    public func analyse(_ image: Picture, seconds: Double, settings: PoseSettings) throws -> Analysis {
        costs.stages = [:]
        let isAnother = seconds <= lastSeconds || settings.detectEvery != self.settings.detectEvery
        self.settings = settings
        if isAnother { restart() }
        lastSeconds = seconds
        let before = follower.numDetected
        let tracked = tracker.update(try follower.next(image))
        let people = settings.isSmoothed ? smoother.next(tracked, seconds: seconds) : tracked
        return Analysis(people: people, isDetected: follower.numDetected > before, stages: costs.stages)
    }
}
