/// Bottom-up networks: whole picture -> network -> maps -> people; SPEC.md, section 6.

/// The score above which people of bottom-up networks are shown, where nobody says another.
public let bottomUpThreshold: Float = 0.1

/// Finds everybody in a picture, without a detector.
public final class BottomUpEstimator: CrowdEstimator {
    public let contract: BottomUpContract
    private let network: CrowdNetwork

    /// - Parameter boxThreshold: people with no higher score are left out.
    public init(
        contract: BottomUpContract,
        run: @escaping RunNetwork,
        boxThreshold: Float = bottomUpThreshold,
        stopwatch: @escaping Stopwatch = { _, _ in }
    ) {
        self.contract = contract
        let timer = StageTimer(report: stopwatch)
        network = CrowdNetwork(head: contract.head, run: run, boxThreshold: boxThreshold, timer: timer)
    }

    /// The people of a picture, by falling score.
    public func estimate(_ image: Picture) throws -> [Person] {
        try network.findEverybody(in: image) { real, scale in
            let (heatmaps, fields) = (try real(contract.heatmaps), try real(contract.fields))
            return decodeCrowd(heatmaps: heatmaps, fields: fields, contract: contract, scale: scale)
        }
    }
}

/// Finds people in a network's maps, and takes them back to the image; by falling score. Keypoints that were not found
/// are at (0, 0) with a score of 0; boxes are around the others.
///
/// - Parameters:
///   - heatmaps: real numbers, as many as the contract says.
///   - scale: input pixels per image pixel, x and y.
public func decodeCrowd(
    heatmaps: [Float], fields: [Float], contract: BottomUpContract, scale: (x: Double, y: Double)
) -> [Person] {
    let (codec, skeleton) = (contract.codec, contract.skeleton)
    let maps = CrowdMaps(
        cells: codec.cells, numKeypoints: skeleton.names.count, limbPairs: skeleton.limbPairs, heatmaps: heatmaps, fields: fields
    )
    return assemblePeople(maps, codec: codec).map { inImage($0, stride: codec.stride, scale: scale) }
}

private func inImage(_ person: FoundPerson, stride: Int, scale: (x: Double, y: Double)) -> Person {
    // Pictures are resized by the corners of pixels.
    func toImage(_ cell: Float, _ scale: Double) -> Float {
        let input = (cell + 0.5) * Float(stride) - 0.5
        return Float((Double(input) + 0.5) / scale - 0.5)
    }
    var points = [Float](repeating: 0, count: person.xy.count)
    var box = Box(x1: .infinity, y1: .infinity, x2: -.infinity, y2: -.infinity)
    for (k, score) in person.scores.enumerated() where score > 0 {
        points[2 * k] = toImage(person.xy[2 * k], scale.x)
        points[2 * k + 1] = toImage(person.xy[2 * k + 1], scale.y)
        let (x, y) = (Double(points[2 * k]), Double(points[2 * k + 1]))
        box = Box(x1: min(box.x1, x), y1: min(box.y1, y), x2: max(box.x2, x), y2: max(box.y2, y))
    }
    return Person(box: box, keypointsXY: points, keypointScores: person.scores, score: person.score)
}
