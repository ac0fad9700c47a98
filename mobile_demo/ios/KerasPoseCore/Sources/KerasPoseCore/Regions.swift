/// Following regions: where a person's keypoints were, there the person is looked for; SPEC.md, section 9.

/// How far a box reaches beyond keypoints: of the longer side.
private let margins = (left: 0.065, top: 0.11, right: 0.065, bottom: 0.09)

/// A region shrinks to this share per frame at most.
private let maxShrinkage = 0.9

/// Where a person is looked for in the next frame; nil without a sure keypoint.
public func nextBox(_ person: Person, threshold: Float) -> Box? {
    let sure = person.keypointScores.indices.filter { person.isSure($0, threshold: threshold) }
    let xs = sure.map { Double(person.keypointsXY[2 * $0]) }
    let ys = sure.map { Double(person.keypointsXY[2 * $0 + 1]) }
    guard let left = xs.min(), let right = xs.max(), let top = ys.min(), let bottom = ys.max() else { return nil }
    let span = max(right - left, bottom - top)
    let (x1, x2) = grown(
        from: left - span * margins.left, to: right + span * margins.right, atLeast: maxShrinkage * person.box.width
    )
    let (y1, y2) = grown(
        from: top - span * margins.top, to: bottom + span * margins.bottom, atLeast: maxShrinkage * person.box.height
    )
    return Box(x1: x1, y1: y1, x2: x2, y2: y2)
}

/// Grows a span around its middle to a length that it has to have.
private func grown(from low: Double, to high: Double, atLeast length: Double) -> (low: Double, high: Double) {
    let missing = max(0, length - (high - low)) / 2
    return (low - missing, high + missing)
}

/// An estimator for the frames of one video, in order.
public final class RegionFollower {
    private struct Region {
        let box: Box
        let score: Float
        let firstScore: Float
    }

    private let estimator: PoseEstimator
    public let detectEvery: Int
    public let keypointThreshold: Float
    public let leastShare: Float
    private var regions: [Region] = []
    private var age = 0
    private var isDoubtful = true
    private var imageSize: ImageSize?

    /// Frames on which the detector was asked.
    public private(set) var numDetected = 0

    /// - Parameters:
    ///   - detectEvery: the detector sees at least every N-th frame.
    ///   - leastShare: of a person's first score, below which the detector is asked anew.
    public init(
        _ estimator: PoseEstimator, detectEvery: Int = 10, keypointThreshold: Float = 0.2, leastShare: Float = 0.5
    ) {
        self.estimator = estimator
        self.detectEvery = estimator.hasDetector ? detectEvery : 1
        self.keypointThreshold = keypointThreshold
        self.leastShare = leastShare
    }

    /// Estimates the people of the next frame.
    public func next(_ image: Picture) throws -> [Person] {
        // Regions of one picture say nothing of one with another size.
        let hasChanged = image.size != imageSize
        imageSize = image.size
        return try isDoubtful || hasChanged || age >= detectEvery ? detect(image) : follow(image)
    }

    private func detect(_ image: Picture) throws -> [Person] {
        numDetected += 1
        let found = try estimator.people(in: image)
        let all = try found.map { try estimator.estimate(image, box: $0.box, boxScore: $0.score) }
        age = 0
        return keep(
            all.indices.map { (person: all[$0], boxScore: found[$0].score, firstScore: all[$0].score) }, of: image.size
        )
    }

    private func follow(_ image: Picture) throws -> [Person] {
        let all = try regions.map { region -> Estimated in
            let person = try estimator.estimate(image, box: region.box, boxScore: region.score)
            return (person: person, boxScore: region.score, firstScore: region.firstScore)
        }
        return keep(all, of: image.size)
    }

    private typealias Estimated = (person: Person, boxScore: Float, firstScore: Float)

    /// Lets doubles go, decides where to look next, and whether the detector must be asked.
    private func keep(_ all: [Estimated], of image: ImageSize) -> [Person] {
        let kept = estimator.different(all.map { $0.person }).map { all[$0] }
        let followed = kept.compactMap { known -> (region: Region, hasFallen: Bool)? in
            guard let box = nextBox(known.person, threshold: keypointThreshold), isUsable(box, in: image) else { return nil }
            let region = Region(box: box, score: known.boxScore, firstScore: known.firstScore)
            return (region, known.person.score < leastShare * known.firstScore)
        }
        regions = followed.map { $0.region }
        age += 1
        // Whoever left the picture, or was never more than a box, is no reason to ask.
        isDoubtful = followed.isEmpty || followed.contains { $0.hasFallen }
        return kept.map { $0.person }
    }
}
