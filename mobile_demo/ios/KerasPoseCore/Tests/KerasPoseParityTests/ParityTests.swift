import Foundation
import KerasPoseCore
import XCTest

@testable import KerasPoseParity

/// The core answers as Python does.
final class ParityTests: XCTestCase {
    func testTheCoreReplaysThePackOfTheRepository() throws {
        let report = try replayed(mobileDemo().appendingPathComponent("parity"))
        // None of the cases may have been lost on the way, and none of these needs a model.
        XCTAssertGreaterThanOrEqual(report.numPassed, 79)
        XCTAssertEqual(report.numLeftOut, 0)
    }

    func testTheCoreReplaysThePackOfModelFiles() throws {
        guard let path = ProcessInfo.processInfo.environment["KERAS_POSE_PACK"] else {
            throw XCTSkip("KERAS_POSE_PACK names no other pack")
        }
        XCTAssertGreaterThan(try replayed(URL(fileURLWithPath: path)).numPassed, 0)
    }

    /// From the picture to people, also in the cases that run the file: it answers what the pack says.
    func testTheCoreReplaysTheCasesOfANetworkThatFindsEverybody() throws {
        guard let path = ProcessInfo.processInfo.environment["KERAS_POSE_PACK"] else {
            throw XCTSkip("KERAS_POSE_PACK names no other pack")
        }
        let folder = URL(fileURLWithPath: path)
        let pack = try ParityPack(folder: folder)
        guard let contract = pack.models["pose"], findsEverybody(task: contract.task) else {
            throw XCTSkip("the pack is of no network that finds everybody")
        }
        let recorded = try XCTUnwrap(try pack.recordedRuns()[pack.hashes["pose"] ?? ""])
        let networks = ParityNetworks(pose: (contract, { input in
            guard let run = recorded.first(where: { $0.input == input }) else { throw ContractError("The file was not given this input.") }
            return run.outputs
        }))
        XCTAssertEqual(try replayed(folder, networks: networks).numLeftOut, 0)
        let silent = ParityNetworks(pose: (contract, { _ in throw ContractError("It is silent.") }))
        XCTAssertGreaterThan(ParityReport(of: pack, networks: silent).failures.filter { $0.name.hasPrefix("crowd/") }.count, 0)
    }

    private func replayed(_ folder: URL, networks: ParityNetworks = ParityNetworks()) throws -> ParityReport {
        let report = ParityReport(of: try ParityPack(folder: folder), networks: networks)
        for (name, message) in report.failures { XCTFail("\(name): \(message)") }
        for line in report.lines { print("parity of \(folder.lastPathComponent): \(line)") }
        return report
    }

    private func mobileDemo() -> URL {
        (0..<5).reduce(URL(fileURLWithPath: #filePath)) { folder, _ in folder.deletingLastPathComponent() }
    }
}

/// A difference is seen.
final class ComparisonTests: XCTestCase {
    private func compared(_ actual: [Double], _ expected: [Double], isCompared: [Bool]? = nil) -> Comparison {
        let tensor = Tensor(shape: [expected.count], values: expected, tolerance: 0.05, unit: "pixel", isCompared: isCompared)
        var comparison = Comparison()
        comparison.compare("frame 2: xy", actual, tensor)
        return comparison
    }

    func testNumbersWithinTheToleranceAgree() {
        let comparison = compared([1.04, .nan], [1, .nan])
        XCTAssertNil(comparison.failure)
        XCTAssertEqual(comparison.differences["xy, pixel"] ?? 0, 0.04, accuracy: 1e-9)
    }

    func testNumbersBeyondItDoNot() {
        XCTAssertEqual(compared([1, 2.1], [1, 2]).failure, "frame 2: xy[1] is 2.1, expected 2.0 within 0.05 pixel")
        XCTAssertNotNil(compared([.nan], [1]).failure)
        XCTAssertNotNil(compared([1], [.nan]).failure)
        XCTAssertNotNil(compared([1], [1, 2]).failure)
    }

    func testWhatIsMarkedAsUnsteadyIsNotCompared() {
        XCTAssertNil(compared([1, 1, 9, 9], [1, 1, 2, 2], isCompared: [true, false]).failure)
        XCTAssertNotNil(compared([9, 9, 1, 1], [2, 2, 1, 1], isCompared: [true, false]).failure)
    }
}
