import XCTest

@testable import KerasPoseCore

final class EstimatorTests: XCTestCase {
    private let image = Picture(size: ImageSize(height: 80, width: 60), pixels: [UInt8](repeating: 7, count: 80 * 60 * 3))

    /// A network that sees all three keypoints in the middle of each crop, with 0.8.
    private func estimator(finding boxes: [(Box, Float)]) throws -> PoseEstimator {
        var heatmaps = [Float](repeating: -128, count: 16 * 12 * 3)
        for k in 0..<3 { heatmaps[(8 * 12 + 6) * 3 + k] = 72 }
        let output = ["heatmaps": heatmaps]
        return PoseEstimator(
            contract: try poseContract(),
            run: { crop in
                XCTAssertEqual(crop.count, 64 * 48 * 3)
                return output
            },
            findPeople: { _ in boxes.map { Detection(box: $0.0, score: $0.1, label: personLabel) } }
        )
    }

    func testOnePersonHasOneSkeleton() throws {
        let once = Box(x1: 10, y1: 10, x2: 40, y2: 60)
        let again = Box(x1: 11, y1: 11, x2: 41, y2: 60)
        let other = Box(x1: 45, y1: 60, x2: 55, y2: 78)
        let people = try estimator(finding: [(again, 0.5), (once, 0.9), (other, 0.4)]).estimate(image)
        // The better of the first two stays, and the order is the detector's.
        XCTAssertEqual(people.map(\.box), [once, other])
        XCTAssertEqual(people[0].score, 0.9 * 0.8, accuracy: 1e-5)
    }

    func testWithoutADetectorTheImageIsOnePerson() throws {
        let estimator = PoseEstimator(
            contract: try poseContract(), run: { _ in ["heatmaps": [Float](repeating: -128, count: 16 * 12 * 3)] }, findPeople: nil
        )
        let people = try estimator.estimate(image)
        XCTAssertEqual(people.map(\.box), [Box(x1: 0, y1: 0, x2: 59, y2: 79)])
        XCTAssertEqual(people[0].score, 0)
    }

    func testAFileThatIsNotAsItsContractSaysIsNamed() throws {
        let outputs: [(RunNetwork, String)] = [
            ({ _ in ["maps": [0]] }, "output heatmaps; the file has maps"),
            ({ _ in ["heatmaps": [0]] }, "16x12x3 for the output heatmaps; the file gave 1 values"),
        ]
        for (run, words) in outputs {
            let estimator = PoseEstimator(contract: try poseContract(), run: run, findPeople: nil)
            XCTAssertThrowsError(try estimator.estimate(image)) { XCTAssertTrue("\($0)".contains(words), "\($0)") }
        }
    }

    func testADetectorsPeopleAreSureUsableAndPeople() throws {
        // Four cells: a sure person, an unsure one, a dog, and a person of no size.
        let sure: Float = 3
        let scores: [Float] = [sure, -9, -1, -9, -9, sure, sure, -9]
        let sides: [Float] = [0, 0, 16, 16] + [0, 0, 16, 16] + [0, 0, 16, 16] + [0, 0, 0, 0]
        let find = findPeople(contract: try detectorContract()) { input in
            XCTAssertEqual(input.count, 32 * 32 * 3)
            return ["scores": scores, "sides": sides]
        }
        let found = try find(Picture(size: ImageSize(height: 64, width: 64), pixels: [UInt8](repeating: 0, count: 64 * 64 * 3)))
        XCTAssertEqual(found.map(\.box), [Box(x1: 0, y1: 0, x2: 32, y2: 32)])
        XCTAssertEqual(found[0].score, 1 / (1 + Float(0.049787068)), accuracy: 1e-6)
    }

    func testTheStopwatchNamesTheStages() throws {
        var stages: [String] = []
        let estimator = PoseEstimator(
            contract: try poseContract(), run: { _ in ["heatmaps": [Float](repeating: 0, count: 16 * 12 * 3)] }, findPeople: nil,
            stopwatch: { stage, seconds in
                stages.append(stage)
                XCTAssertGreaterThanOrEqual(seconds, 0)
            }
        )
        _ = try estimator.estimate(image)
        XCTAssertEqual(stages, ["crop", "pose", "decode"])
    }
}
