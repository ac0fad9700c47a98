import KerasPoseCore

/// What a case has in common with Python, number by number.
public struct Comparison {
    /// Largest difference of each quantity, by its name and unit.
    public private(set) var differences: [String: Double] = [:]
    /// The first number that is too far off; nil: none is.
    public private(set) var failure: String?

    mutating func compare(_ what: String, _ actual: [Double], _ expected: Tensor) {
        guard actual.count == expected.values.count else {
            fail("\(what): \(actual.count) values, expected \(expected.values.count)")
            return
        }
        let perMark = expected.isCompared.map { max(1, expected.values.count / max(1, $0.count)) } ?? 1
        for (i, (mine, theirs)) in zip(actual, expected.values).enumerated() {
            if let marks = expected.isCompared, !marks[i / perMark] { continue }
            if mine.isNaN && theirs.isNaN { continue }
            let difference = abs(mine - theirs)
            // Written so that a NaN is no agreement.
            if !(difference <= expected.tolerance) {
                fail("\(what)[\(i)] is \(mine), expected \(theirs) within \(expected.tolerance) \(expected.unit)")
            }
            let key = quantity(what, unit: expected.unit)
            differences[key] = max(differences[key] ?? 0, difference.isNaN ? .infinity : difference)
        }
    }

    mutating func compare(_ what: String, _ actual: [Float], _ expected: Tensor) {
        compare(what, actual.map { Double($0) }, expected)
    }

    mutating func compare(_ what: String, _ actual: [Int], _ expected: Tensor) {
        compare(what, actual.map { Double($0) }, expected)
    }

    private mutating func fail(_ message: String) {
        if failure == nil { failure = message }
    }

    /// "frame 3: keypoints_xy" counts as "keypoints_xy".
    private func quantity(_ what: String, unit: String) -> String {
        let name = what.split(separator: " ").last.map(String.init) ?? what
        return unit.isEmpty ? name : "\(name), \(unit)"
    }
}
