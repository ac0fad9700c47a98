import KerasPoseCore

/// What a user may change while frames come.
public struct PoseSettings: Equatable {
    /// The detector sees at least every N-th frame; networks that find everybody by themselves see all of them.
    public var detectEvery = 10
    public var isSmoothed = true

    public init() {}
}

/// What was found in a frame.
public struct Analysis {
    public let people: [Person]
    /// Whether the whole picture was looked at, by the detector or by a network that finds everybody.
    public let isDetected: Bool
    /// Seconds of each stage.
    public let stages: [String: Double]
}

/// Models that are ready, and the people seen so far. Of one thread.
public final class PoseSession {
    public let skeleton: Skeleton
    private let finder: Finder
    private let costs: Costs
    private var settings = PoseSettings()
    private var tracker: OksTracker
    private var smoother = OneEuroSmoother()
    private var lastSeconds = -Double.infinity

    /// Adds up the stages of a frame.
    private final class Costs {
        var stages: [String: Double] = [:]

        func add(_ stage: String, _ seconds: Double) { stages[stage, default: 0] += seconds }
    }

    /// - Parameters:
    ///   - contract: of a network that is shown one person at a time, or that finds everybody by itself.
    ///   - findPeople: nil: the whole image is one person, or the network finds everybody.
    /// - Throws: `ContractError` for a detector, and for boxes for a network that needs none.
    public init(contract: Contract, run: @escaping RunNetwork, findPeople: FindPeople?) throws {
        let costs = Costs()
        guard let skeleton = contract.skeleton else { throw ContractError("\(contract.model) is a detector, not a pose model.") }
        if case .pose(let its) = contract {
            finder = FollowingFinder(PoseEstimator(contract: its, run: run, findPeople: findPeople, stopwatch: costs.add))
        } else {
            guard findPeople == nil else { throw ContractError("\(contract.model) finds the people itself: leave the detector out.") }
            finder = CrowdFinder(estimator: try crowdEstimator(contract: contract, run: run, stopwatch: costs.add))
        }
        (self.skeleton, self.costs) = (skeleton, costs)
        tracker = OksTracker(sigmas: skeleton.sigmas)
    }

    /// Forgets all people, as for a new video.
    public func restart() {
        finder.restart(detectEvery: settings.detectEvery)
        tracker = OksTracker(sigmas: skeleton.sigmas)
        smoother = OneEuroSmoother()
        lastSeconds = -.infinity
    }

    /// Finds the people of a single picture.
    public func analyse(_ image: Picture) throws -> Analysis {
        costs.stages = [:]
        let found = try finder.picture(image)
        return Analysis(people: found.people, isDetected: found.isDetected, stages: costs.stages)
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
        let found = try finder.next(image)
        let tracked = tracker.update(found.people)
        let people = settings.isSmoothed ? smoother.next(tracked, seconds: seconds) : tracked
        return Analysis(people: people, isDetected: found.isDetected, stages: costs.stages)
    }
}
