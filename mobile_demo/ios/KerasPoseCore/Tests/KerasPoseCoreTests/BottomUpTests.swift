import XCTest

@testable import KerasPoseCore

/// Bottom-up networks: contract, and people out of maps. The parity pack holds the rules, case by case.
final class BottomUpTests: XCTestCase {
    private let image = Picture(size: ImageSize(height: 96, width: 128), pixels: [UInt8](repeating: 0, count: 96 * 128 * 3))

    /// An arm from (1, 1) to (4, 1), and an elbow at (6, 4); the numbers are those of the core in Kotlin's tests.
    private var heatmaps: [Float] {
        var maps = [Float](repeating: 0, count: 6 * 8 * 3)
        maps[(8 + 1) * 3] = 0.75
        maps[(8 + 4) * 3 + 1] = 0.75
        maps[(8 * 4 + 6) * 3] = 0.5
        return maps
    }

    private var fields: [Float] {
        var vectors = [Float](repeating: 0, count: 6 * 8 * 2)
        for x in 1...4 { vectors[(8 + x) * 2] = 1 }
        return vectors
    }

    private func people(_ heatmaps: [Float], _ fields: [Float], threshold: Float = bottomUpThreshold) throws -> [Person] {
        let outputs = ["maps": heatmaps, "vectors": fields]
        let estimator = BottomUpEstimator(
            contract: try bottomUpContract(),
            run: { input in
                XCTAssertEqual(input.count, 48 * 64 * 3)
                return outputs
            },
            boxThreshold: threshold
        )
        return try estimator.estimate(image)
    }

    func testPeaksWhoseLimbsLeadToEachOtherAreOnePerson() throws {
        let found = try people(heatmaps, fields)
        XCTAssertEqual(found.map(\.score), [0.75, 0.25])
        // Cell 1 is pixel 11.5 of the input, and 23.5 of the picture.
        XCTAssertEqual(found[0].box, Box(x1: 23.5, y1: 23.5, x2: 71.5, y2: 23.5))
        XCTAssertEqual(found[1].keypointsXY, [103.5, 71.5, 0, 0])
        XCTAssertEqual(found[1].keypointScores, [0.5, 0])
        XCTAssertEqual(try people(heatmaps, fields, threshold: 0.25).count, 1)
    }

    func testTheContractDecidesWhichEstimatorItIs() throws {
        let outputs = ["maps": heatmaps, "vectors": fields]
        let chosen = try crowdEstimator(contract: .bottomUp(try bottomUpContract()), run: { _ in outputs })
        XCTAssertTrue(chosen is BottomUpEstimator)
        XCTAssertEqual(try chosen.estimate(image).count, 2, "0.25 is no one-stage network's threshold")
        XCTAssertTrue(try crowdEstimator(contract: .oneStage(try oneStageContract()), run: { _ in [:] }) is OneStageEstimator)
        XCTAssertThrowsError(try crowdEstimator(contract: .detector(try detectorContract()), run: { _ in [:] })) {
            XCTAssertTrue("\($0)".contains("tiny does not find people by itself"), "\($0)")
        }
    }

    func testNobodyIsNoError() throws {
        XCTAssertEqual(try people([Float](repeating: 0, count: 6 * 8 * 3), fields), [])
        let missing = [Float](repeating: .nan, count: 6 * 8 * 3)
        XCTAssertEqual(try people(missing, fields), [])
        XCTAssertEqual(try people(heatmaps, Array(missing.prefix(6 * 8 * 2))).count, 3)
    }

    func testMapsOfAnotherSizeAreRefused() {
        XCTAssertThrowsError(try people(heatmaps, [0])) {
            XCTAssertTrue("\($0)".contains("6x8x2 for the output vectors; the file gave 1 values"), "\($0)")
        }
    }

    func testANoisyCrowdIsDecodedInBoundedTime() throws {
        var seed = 1
        func noise() -> Float {
            seed = 16807 * seed % 2_147_483_647
            return Float(Double(seed) / 2_147_483_647)
        }
        let maps = CrowdMaps(
            cells: ImageSize(height: 24, width: 24), numKeypoints: 18, limbPairs: (0..<17).map { [$0, $0 + 1] },
            heatmaps: (0..<24 * 24 * 19).map { _ in noise() }, fields: (0..<24 * 24 * 34).map { _ in 2 * noise() - 1 }
        )
        let started = Date()
        let scores = assemblePeople(maps, codec: try bottomUpContract().codec).map(\.score)
        XCTAssertLessThan(Date().timeIntervalSince(started), 60)
        XCTAssertGreaterThan(scores.count, 20)
        XCTAssertEqual(scores, scores.sorted(by: >))
    }

    func testWhatDoesNotFitIsRefusedByRuleAndValue() throws {
        XCTAssertEqual(try bottomUpContract().outputs.map(\.name), ["maps", "vectors"])
        for (old, new, words) in [
            ("\"part_affinity\"", "\"people\"", "part_affinity of bottom-up networks, not people"),
            ("greedy", "hungarian", "needs the matching greedy in this app, got hungarian"),
            ("\"sigma\": 0.875", "\"sigma\": 0", "sigma above 0, got 0.0"),
            ("\"max_peaks\": 256", "\"max_peaks\": -1", "max_peaks above 0, got -1"),
            ("\"num_points\": 10", "\"num_points\": 256", "num_points of 1 to 255, got 256"),
            ("\"min_keypoints\": 1", "\"min_keypoints\": 0", "min_keypoints of at least 1, got 0"),
            ("\"max_gap\": 1.2", "\"max_gap\": -1.2", "max_gap of at least 0, got -1.2"),
            ("\"min_share\": 0.8", "\"min_share\": 1.5", "0 < min_share <= 1, got 1.5"),
            ("\"min_field\"", "\"least_field\"", "lacks codec.min_field"),
            ("\"input_hw\": [48, 64]", "\"input_hw\": [44, 64]", "multiples of its stride 8, got 44x64"),
            ("[1, 6, 8, 3]", "[1, 6, 8, 4]", "6x8x4 for the heatmaps of openpose_lite, expected 6x8x3"),
            ("[1, 6, 8, 2]", "[1, 6, 8, 4]", "6x8x4 for the fields of openpose_lite, expected 6x8x2"),
            ("[1, 48, 64, 3]", "[1, 64, 64, 3]", "64x64x3 for the input of openpose_lite, expected 48x64x3"),
            ("[[0, 1]]", "[]", "needs a skeleton with limbs, got arm"),
            ("[[0, 1]]", "[[0, 2]]", "must be pairs below 2"),
        ] {
            XCTAssertTrue(bottomUpEntryText.contains(old), old)
            let text = bottomUpEntryText.replacingOccurrences(of: old, with: new)
            XCTAssertThrowsError(try Contract(entry: try JSON(text))) { XCTAssertTrue("\($0)".contains(words), "\($0)") }
        }
    }
}
