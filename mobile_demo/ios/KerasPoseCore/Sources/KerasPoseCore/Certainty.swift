import Foundation

/// What a network does not know: visibility of keypoints, calibrated scores; SPEC.md, section 6.

/// Kinds of keypoints, in the order of a head's logits.
public let visibilityKinds = ["visible", "hidden", "outside"]

/// Probability of "outside" above which a keypoint is not drawn.
public let outsideThreshold: Float = 0.5

/// The output of a head for visibility: (1, K, 3) logits.
public struct Visibility: Equatable, Sendable {
    public let output: TensorSpec
    /// Divisor of the logits.
    public let temperature: Double

    /// Reads the contract's field; nil for files that do not say it.
    public init?(_ entry: JSON, numKeypoints: Int) throws {
        guard let values = entry["visibility"] else { return nil }
        let kinds = try values.member("kinds", of: "visibility").texts()
        guard kinds == visibilityKinds else {
            throw ContractError("The contract's visibility.kinds must be \(visibilityKinds), got \(kinds).")
        }
        output = try TensorSpec(values)
        try mustBe("visibility", Array(output.shape.dropFirst()), [numKeypoints, visibilityKinds.count])
        temperature = try positive(values, "temperature", of: "visibility")
    }

    /// Turns real logits into probabilities, three a keypoint.
    public func probabilities(_ logits: [Float]) -> [Float] {
        let count = visibilityKinds.count
        return stride(from: 0, to: logits.count, by: count).flatMap { start -> [Float] in
            let scaled = (start..<start + count).map { Double(logits[$0]) / temperature }
            let highest = scaled.max() ?? 0
            let powers = scaled.map { exp($0 - highest) }
            let sum = powers.reduce(0, +)
            return powers.map { Float($0 / sum) }
        }
    }
}

/// A logistic function from scores to shares of keypoints that are right.
public struct ScoreCalibration: Equatable, Sendable {
    public let slope: Double
    /// Log-odds of a score of 0.
    public let intercept: Double

    /// Reads the contract's field; nil where scores are what they are.
    public init?(_ entry: JSON) throws {
        guard let values = entry["score_calibration"] else { return nil }
        let kind = try values.member("kind", of: "score_calibration").text()
        guard kind == "logistic" else {
            throw ContractError("The contract's score_calibration.kind must be logistic, got \(kind).")
        }
        slope = try positive(values, "slope", of: "score_calibration")
        intercept = try values.member("intercept", of: "score_calibration").number()
    }

    public func apply(_ scores: [Float]) -> [Float] {
        scores.map { Float(1 / (1 + exp(-min(60, max(-60, slope * Double($0) + intercept))))) }
    }
}

private func positive(_ values: JSON, _ key: String, of field: String) throws -> Double {
    let value = try values.member(key, of: field).number()
    guard value > 0 else { throw ContractError("The contract's \(field).\(key) must be above 0, got \(value).") }
    return value
}
