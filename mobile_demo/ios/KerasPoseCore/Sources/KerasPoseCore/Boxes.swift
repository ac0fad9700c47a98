import Foundation

/// A detector's outputs to boxes; SPEC.md, section 7. In float32 throughout, as there.

/// The label of people.
public let personLabel = 0

/// Which boxes are kept.
public struct BoxSettings: Equatable, Sendable {
    /// Only boxes with a higher score are looked at.
    public let scoreThreshold: Float
    /// Boxes that overlap a better one by more than this go.
    public let iouThreshold: Float
    /// Boxes that each output map may propose.
    public let maxPerLevel: Int
    /// Boxes kept at the end.
    public let maxDetections: Int

    init(scoreThreshold: Float, iouThreshold: Float, maxPerLevel: Int, maxDetections: Int) {
        self.scoreThreshold = scoreThreshold
        self.iouThreshold = iouThreshold
        self.maxPerLevel = maxPerLevel
        self.maxDetections = maxDetections
    }

    public init(_ values: JSON) throws {
        scoreThreshold = Float(try values.member("score_threshold", of: "settings").number())
        iouThreshold = Float(try values.member("iou_threshold", of: "settings").number())
        maxPerLevel = try values.member("max_per_level", of: "settings").integer()
        maxDetections = try values.member("max_detections", of: "settings").integer()
    }
}

/// One output map: logits (H * W * classes), and distances to left, top, right, bottom (H * W * 4).
public struct Level: Sendable {
    let stride: Int
    let width: Int
    let numClasses: Int
    let scores: [Float]
    let distances: [Float]

    public init(stride: Int, width: Int, numClasses: Int, scores: [Float], distances: [Float]) {
        self.stride = stride
        self.width = width
        self.numClasses = numClasses
        self.scores = scores
        self.distances = distances
    }
}

/// Turns the outputs for one image into its boxes: within the image, by falling score.
///
/// - Parameter scale: input pixels per image pixel, x and y.
public func decodeBoxes(
    _ levels: [Level], input: ImageSize, scale: (x: Double, y: Double), image: ImageSize, settings: BoxSettings
) -> [Detection] {
    let backX = Double(Float(1 / scale.x))
    let backY = Double(Float(1 / scale.y))
    let inImage = propose(levels, input: input, settings: settings).map { found -> Detection in
        let box = found.box
        return found.with(Box(x1: box.x1 * backX, y1: box.y1 * backY, x2: box.x2 * backX, y2: box.y2 * backY).rounded)
    }
    return suppress(inImage.filter { hasArea($0.box) }, settings: settings)
        .map { $0.with(clip($0.box, to: image)) }
        .filter { hasArea($0.box) }
}

/// What the levels propose, clipped to the input: of each by falling score, level after level.
public func propose(_ levels: [Level], input: ImageSize, settings: BoxSettings) -> [Detection] {
    levels.flatMap { level in
        proposals(of: level, settings: settings).map { $0.with(clip($0.box, to: input)) }
    }
}

private func proposals(of level: Level, settings: BoxSettings) -> [Detection] {
    var found: [(index: Int, score: Float)] = []
    for (index, logit) in level.scores.enumerated() {
        let score = sigmoid(logit)
        if score > settings.scoreThreshold { found.append((index, score)) }
    }
    return found.byFalling { $0.score }.prefix(settings.maxPerLevel).map { index, score in
        let cell = index / level.numClasses
        let x = Float(cell % level.width * level.stride)
        let y = Float(cell / level.width * level.stride)
        func side(_ k: Int) -> Float { level.distances[4 * cell + k] }
        let box = Box(
            x1: Double(x - side(0)), y1: Double(y - side(1)), x2: Double(x + side(2)), y2: Double(y + side(3))
        )
        return Detection(box: box, score: score, label: index % level.numClasses)
    }
}

/// 1 / (1 + exp(-logit)), without overflow.
public func sigmoid(_ logit: Float) -> Float {
    let small = Float(exp(-abs(Double(logit))))
    return (logit >= 0 ? 1 : small) / (1 + small)
}

/// Keeps of boxes that overlap, and are of one class, the best; by falling score.
public func suppress(_ detections: [Detection], settings: BoxSettings) -> [Detection] {
    keptIndices(detections, settings: settings).map { detections[$0] }
}

/// Which boxes `suppress` keeps, by falling score.
public func keptIndices(_ detections: [Detection], settings: BoxSettings) -> [Int] {
    let highest = detections.reduce(0.0) { max($0, $1.box.corners.max() ?? 0) }
    // Far apart, boxes of different classes do not meet.
    let reach = Float(highest) + 1
    let apart = detections.map { Corners($0.box, shift: Float($0.label) * reach) }
    var waiting = Array(detections.indices).byFalling { detections[$0].score }[...]
    var kept: [Int] = []
    while let best = waiting.first, kept.count < settings.maxDetections {
        kept.append(best)
        waiting = waiting.dropFirst().filter { apart[best].iou(with: apart[$0]) <= settings.iouThreshold }[...]
    }
    return kept
}

/// A box in float32.
private struct Corners {
    let x1: Float, y1: Float, x2: Float, y2: Float

    init(_ box: Box, shift: Float) {
        (x1, y1) = (Float(box.x1) + shift, Float(box.y1) + shift)
        (x2, y2) = (Float(box.x2) + shift, Float(box.y2) + shift)
    }

    var area: Float { max(0, x2 - x1) * max(0, y2 - y1) }

    /// Intersection over union; 0 where both boxes are without area.
    func iou(with other: Corners) -> Float {
        let width = min(x2, other.x2) - max(x1, other.x1)
        let height = min(y2, other.y2) - max(y1, other.y1)
        let shared = max(0, width) * max(0, height)
        let union = area + other.area - shared
        return union > 0 ? shared / union : 0
    }
}

private func clip(_ box: Box, to limit: ImageSize) -> Box {
    func within(_ value: Double, _ most: Int) -> Double { min(Double(most), max(0, value)) }
    return Box(
        x1: within(box.x1, limit.width), y1: within(box.y1, limit.height),
        x2: within(box.x2, limit.width), y2: within(box.y2, limit.height)
    )
}

private func hasArea(_ box: Box) -> Bool { box.width > 0 && box.height > 0 }

extension Detection {
    fileprivate func with(_ box: Box) -> Detection { Detection(box: box, score: score, label: label) }
}

extension Array {
    /// Sorted from the largest to the smallest; equal ones keep their order, which `sort` does not promise.
    func byFalling<Value: Comparable>(_ value: (Element) -> Value) -> [Element] {
        let keys = map(value)
        return indices.sorted { keys[$0] == keys[$1] ? $0 < $1 : keys[$0] > keys[$1] }.map { self[$0] }
    }
}
