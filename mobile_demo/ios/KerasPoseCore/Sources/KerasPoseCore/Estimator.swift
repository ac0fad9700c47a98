/// Person boxes -> crops -> network -> keypoints of the image; SPEC.md, section 1.

/// Runs a network on one image: input values in, raw output values by name out. Whoever runs files hands it in, and
/// converts to and from the tensors' types.
public typealias RunNetwork = ([Float]) throws -> [String: [Float]]

/// Who finds people in an image, by falling score.
public typealias FindPeople = (Picture) throws -> [Detection]

/// Gets stages of the work, and the seconds that they took.
public typealias Stopwatch = (_ stage: String, _ seconds: Double) -> Void

/// The score above which a detector's boxes are believed, where nobody says another.
public let usualBoxThreshold: Float = 0.3

/// Estimates the pose of every person in an image.
public final class PoseEstimator {
    public let contract: PoseContract
    private let run: RunNetwork
    private let findPeople: FindPeople?
    public let nmsThreshold: Double
    private let timer: StageTimer

    /// - Parameters:
    ///   - findPeople: nil: the whole image is one person.
    ///   - nmsThreshold: of two people whose poses have a larger OKS, the better one stays.
    public init(
        contract: PoseContract,
        run: @escaping RunNetwork,
        findPeople: FindPeople?,
        nmsThreshold: Double = 0.4,
        stopwatch: @escaping Stopwatch = { _, _ in }
    ) {
        self.contract = contract
        self.run = run
        self.findPeople = findPeople
        self.nmsThreshold = nmsThreshold
        timer = StageTimer(report: stopwatch)
    }

    public var hasDetector: Bool { findPeople != nil }

    /// Finds the people of a picture, without doubles.
    public func estimate(_ image: Picture) throws -> [Person] {
        let found = try people(in: image)
        let people = try found.map { try estimate(image, box: $0.box, boxScore: $0.score) }
        return different(people).map { people[$0] }
    }

    func people(in image: Picture) throws -> [Detection] {
        guard let findPeople else { return [Detection(box: wholeImageBox(image.size), score: 1, label: personLabel)] }
        return try timer.time("detect") { try findPeople(image) }
    }

    /// Estimates the pose in a box that is known to be usable.
    public func estimate(_ image: Picture, box: Box, boxScore: Float) throws -> Person {
        let size = contract.inputSize
        let matrix = cropMatrix(
            box: box, input: size, padding: contract.boxPadding, isUnbiased: contract.codec.isUnbiased
        )
        let crop = try timer.time("crop") {
            let pixels = warpImage(image, by: matrix, to: size)
            return try toInput(pixels, spec: contract.input, normalization: contract.normalization)
        }
        let raw = try timer.time("pose") { try run(crop) }
        return try timer.time("decode") {
            let outputs = try realOutput(raw, contract.output)
            let found = try contract.codec.decode(outputs, numKeypoints: contract.skeleton.names.count)
            let visibility = try contract.visibility.map { $0.probabilities(try realOutput(raw, $0.output)) }
            return Person(
                box: box.rounded,
                keypointsXY: matrix.inverse.move(found.keypointsXY.map { Double($0) }).map { Float($0) },
                keypointScores: contract.scoreCalibration?.apply(found.scores) ?? found.scores,
                // People are rated by the scores as they are.
                score: Float(personScore(boxScore: boxScore, keypointScores: found.scores)),
                visibility: visibility
            )
        }
    }

    /// Indices of people who are not there twice, in their order.
    func different(_ people: [Person]) -> [Int] {
        differentPeople(people, sigmas: contract.skeleton.sigmas, threshold: nmsThreshold)
    }
}

/// Finds people by a detector's file.
///
/// - Parameter boxThreshold: people whose box has no higher score are left out.
public func findPeople(
    contract: DetectorContract, boxThreshold: Float = usualBoxThreshold, run: @escaping RunNetwork
) -> FindPeople {
    { image in
        try detect(image, contract: contract, run: run)
            .filter { $0.label == personLabel && $0.score > boxThreshold && isUsable($0.box, in: image.size) }
    }
}

/// Runs a detector's file on an image: all boxes that its settings keep, of all classes, by falling score.
public func detect(_ image: Picture, contract: DetectorContract, run: RunNetwork) throws -> [Detection] {
    let fitted = letterbox(image, into: contract.inputSize)
    let raw = try run(try toInput(fitted.pixels, spec: contract.input, normalization: contract.normalization))
    let levels = try contract.levels.map { level in
        Level(
            stride: level.stride,
            width: level.scores.shape[2],
            numClasses: level.scores.shape[3],
            scores: try realOutput(raw, level.scores),
            distances: try realOutput(raw, level.distances)
        )
    }
    return decodeBoxes(
        levels, input: contract.inputSize, scale: (fitted.scaleX, fitted.scaleY), image: image.size,
        settings: contract.settings
    )
}

/// Finds an output by its name, and makes it real.
func realOutput(_ raw: [String: [Float]], _ spec: TensorSpec) throws -> [Float] {
    guard let values = raw[spec.name] else {
        throw ContractError("The contract speaks of an output \(spec.name); the file has \(raw.keys.sorted().joined(separator: ", ")).")
    }
    guard values.count == spec.count else {
        throw ContractError("The contract says \(crossed(spec.shape)) for the output \(spec.name); the file gave \(values.count) values.")
    }
    return toReal(values, spec: spec)
}

/// Rates a person: box score times the mean of the keypoint scores above the threshold.
public func personScore(boxScore: Float, keypointScores: [Float], threshold: Float = 0.2) -> Double {
    let sure = keypointScores.filter { $0 > threshold }
    return Double(boxScore) * (sure.reduce(0.0) { $0 + Double($1) } / Double(max(1, sure.count)))
}
