import Foundation

/// Object keypoint similarity, the IoU of poses; SPEC.md, section 8.

private let tiny = 2.220446049250313e-16

/// The mean over keypoints of exp(-distance^2 / (2 sigma)^2 / area / 2); 0 where none counts.
///
/// - Parameters:
///   - pose: x, y, x, y, ...
///   - area: pixels^2; the mean of both people's.
///   - isCounted: which keypoints count.
public func oks(
    _ pose: [Double], _ other: [Double], area: Double, sigmas: [Double], isCounted: (Int) -> Bool = { _ in true }
) -> Double {
    var sum = 0.0
    var count = 0
    for (k, sigma) in sigmas.enumerated() where isCounted(k) {
        let dx = pose[2 * k] - other[2 * k]
        let dy = pose[2 * k + 1] - other[2 * k + 1]
        sum += exp(-(dx * dx + dy * dy) / (4 * sigma * sigma) / (area + tiny) / 2)
        count += 1
    }
    return sum / Double(max(1, count))
}

/// What the NMS of poses looks at.
public struct RatedPose: Sendable {
    let keypointsXY: [Double]
    let score: Double
    let area: Double

    public init(keypointsXY: [Double], score: Double, area: Double) {
        self.keypointsXY = keypointsXY
        self.score = score
        self.area = area
    }
}

/// Indices of the poses that are not too similar to one of higher score, best score first.
public func oksNMS(_ poses: [RatedPose], sigmas: [Double], threshold: Double) -> [Int] {
    var waiting = Array(poses.indices).byFalling { poses[$0].score }[...]
    var kept: [Int] = []
    while let first = waiting.first {
        let best = poses[first]
        kept.append(first)
        waiting = waiting.dropFirst().filter { index in
            let area = (best.area + poses[index].area) / 2
            return !(oks(best.keypointsXY, poses[index].keypointsXY, area: area, sigmas: sigmas) > threshold)
        }[...]
    }
    return kept
}

/// Indices of people who are not there twice, in their order.
public func differentPeople(_ people: [Person], sigmas: [Double], threshold: Double) -> [Int] {
    let poses = people.map { person -> RatedPose in
        let area = Float(person.box.width) * Float(person.box.height)
        return RatedPose(keypointsXY: finite(person.keypointsXY), score: Double(person.score), area: Double(area))
    }
    return oksNMS(poses, sigmas: sigmas, threshold: threshold).sorted()
}
