/// One-stage networks: whole picture -> network -> people; SPEC.md, section 6.

/// Which people are kept.
public struct PeopleCodec: Equatable, Sendable {
    /// Only people with a higher score are looked at.
    public let scoreThreshold: Float
    /// People whose box overlaps that of a better one by more than this go.
    public let iouThreshold: Float
    /// People kept at the end.
    public let maxPeople: Int

    init(_ values: JSON) throws {
        let kind = try values.member("kind", of: "codec").text()
        guard kind == "people" else {
            throw ContractError("This app reads the codec people of one-stage networks, not \(kind).")
        }
        scoreThreshold = Float(try values.member("score_threshold", of: "codec").number())
        iouThreshold = Float(try values.member("iou_threshold", of: "codec").number())
        maxPeople = try values.member("max_people", of: "codec").integer()
    }
}

/// Real outputs for one image: N people by falling score.
public struct PeopleOutputs: Sendable {
    let scores: [Float]
    /// x1, y1, x2, y2 of each, input pixels.
    let boxes: [Float]
    /// x, y, x, y, ... of each, input pixels.
    let keypoints: [Float]
    /// Of the keypoints of each.
    let visibility: [Float]

    public init(scores: [Float], boxes: [Float], keypoints: [Float], visibility: [Float]) {
        self.scores = scores
        self.boxes = boxes
        self.keypoints = keypoints
        self.visibility = visibility
    }
}

/// Finds everybody in a picture, without a detector.
public final class OneStageEstimator: CrowdEstimator {
    public let contract: OneStageContract
    private let network: CrowdNetwork

    /// - Parameter boxThreshold: people with no higher score are left out.
    public init(
        contract: OneStageContract,
        run: @escaping RunNetwork,
        boxThreshold: Float = usualBoxThreshold,
        stopwatch: @escaping Stopwatch = { _, _ in }
    ) {
        self.contract = contract
        let timer = StageTimer(report: stopwatch)
        network = CrowdNetwork(head: contract.head, run: run, boxThreshold: boxThreshold, timer: timer)
    }

    /// The people of a picture, by falling score.
    public func estimate(_ image: Picture) throws -> [Person] {
        try network.findEverybody(in: image) { real, scale in
            let outputs = PeopleOutputs(
                scores: try real(contract.scores),
                boxes: try real(contract.boxes),
                keypoints: try real(contract.keypoints),
                visibility: try real(contract.visibility)
            )
            return decodePeople(outputs, codec: contract.codec, scale: scale)
        }
    }
}

/// Picks people out of a network's outputs, and takes them back to the image; boxes may reach beyond it.
///
/// - Parameter scale: input pixels per image pixel, x and y.
public func decodePeople(_ outputs: PeopleOutputs, codec: PeopleCodec, scale: (x: Double, y: Double)) -> [Person] {
    let likely = outputs.scores.indices.filter { outputs.scores[$0] > codec.scoreThreshold }
    guard !likely.isEmpty else { return [] }
    let numKeypoints = outputs.visibility.count / outputs.scores.count
    let detections = likely.map { index in
        let sides = outputs.boxes[4 * index..<4 * (index + 1)].map { Double($0) }
        let box = Box(x1: sides[0], y1: sides[1], x2: sides[2], y2: sides[3])
        return Detection(box: box, score: outputs.scores[index], label: personLabel)
    }
    let settings = BoxSettings(
        scoreThreshold: codec.scoreThreshold, iouThreshold: codec.iouThreshold, maxPerLevel: detections.count,
        maxDetections: codec.maxPeople
    )
    // Pictures are resized by the corners of pixels.
    func toImage(_ value: Double, _ scale: Double) -> Double { (value + 0.5) / scale - 0.5 }
    return keptIndices(detections, settings: settings).map { kept in
        let (index, box) = (likely[kept], detections[kept].box)
        let points = outputs.keypoints[2 * numKeypoints * index..<2 * numKeypoints * (index + 1)]
        return Person(
            box: Box(
                x1: toImage(box.x1, scale.x), y1: toImage(box.y1, scale.y),
                x2: toImage(box.x2, scale.x), y2: toImage(box.y2, scale.y)
            ).rounded,
            keypointsXY: points.enumerated().map { Float(toImage(Double($1), $0 % 2 == 0 ? scale.x : scale.y)) },
            keypointScores: Array(outputs.visibility[numKeypoints * index..<numKeypoints * (index + 1)]),
            score: outputs.scores[index]
        )
    }
}
