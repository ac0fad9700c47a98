import XCTest

@testable import KerasPoseCore

/// Contracts that fit are read; what does not fit is named.
final class ContractTests: XCTestCase {
    func testAContractThatFitsIsRead() throws {
        let contract = try poseContract()
        XCTAssertEqual(contract.head.model, "pose_slim A\n")
        XCTAssertEqual(contract.head.signature, "serve")
        XCTAssertEqual(contract.inputSize, ImageSize(height: 64, width: 48))
        XCTAssertEqual(contract.output.shape, [1, 16, 12, 3])
        XCTAssertEqual(contract.output.scale, 0.004)
        XCTAssertEqual(contract.skeleton.sigmas, [usualSigma, usualSigma, usualSigma])
        XCTAssertEqual(try detectorContract().levels.map(\.stride), [16])
    }

    func testAnotherFileIsRefused() {
        assertRefused("not the file its contract", contractText, bytes: Data("another".utf8))
        assertRefused("but not other.tflite", contractText, fileName: "other.tflite")
    }

    /// Fields of a pose model, and the minor version that brought them; those between were for other tasks and formats.
    private let added = [
        (4, """
            "visibility": {
              "name": "visibility", "shape": [1, 3, 3], "dtype": "int8", "scale": 0.1, "zero_point": 0,
              "kinds": ["visible", "hidden", "outside"], "temperature": 1.5
            },
            """),
        (4, "\"score_calibration\": {\"kind\": \"logistic\", \"slope\": 4, \"intercept\": -2},"),
        (5, "\"compiled_for\": {\"manufacturer\": \"Qualcomm\", \"soc_model\": \"SM8750\", \"source_sha256\": \"0\"},"),
        (6, """
            "operator_audit": {"GPU": {
              "operators": 3, "taken": 1, "partitions": 2, "left": [{"operator": "TOPK_V2", "reason": "no such operator", "count": 2}]
            }},
            """),
    ]

    /// The contract as version 1.`minor` wrote it.
    private func asOf(_ minor: Int) throws -> PoseContract {
        let fields = added.filter { $0.0 <= minor }.map(\.1).joined()
        var text = replacing("\"crop\"", fields + "\"crop\"")
        if minor == 0 {
            text = text.replacingOccurrences(of: "\"task\": \"top_down\", ", with: "")
        } else {
            text = text.replacingOccurrences(of: "\"models\"", with: "\"schema_minor\": \(minor), \"models\"")
        }
        guard case .pose(let contract) = try readContract(text) else { throw ContractError("not of a pose model") }
        return contract
    }

    func testContractsOfAllMinorVersionsAreRead() throws {
        let present = try asOf(6)
        XCTAssertEqual(present.visibility?.temperature, 1.5)
        XCTAssertEqual(present.scoreCalibration?.slope, 4)
        let share = try XCTUnwrap(present.head.operatorAudit["GPU"])
        XCTAssertEqual([share.numOperators, share.numTaken, share.numPartitions], [3, 1, 2])
        XCTAssertEqual(share.left, [LeftOperators(kind: "TOPK_V2", reason: "no such operator", count: 2)])
        XCTAssertEqual(try asOf(99), present)
        for minor in [4, 5] {
            XCTAssertEqual(try asOf(minor), try asOf(5), "1.\(minor)")
            XCTAssertEqual(try asOf(minor).visibility, present.visibility, "1.\(minor)")
            XCTAssertEqual(try asOf(minor).head.operatorAudit, [:], "1.\(minor)")
        }
        for minor in 0..<4 {
            // Without what version 1.4 brought, it is the contract of these tests.
            XCTAssertEqual(try asOf(minor), try poseContract(), "1.\(minor)")
        }
        XCTAssertNoThrow(try readContract(replacing("\"models\"", "\"unheard_of\": [1], \"models\"")))
    }

    func testANewerMajorVersionIsRefusedWithWhatToDo() {
        assertRefused(
            "schema version 2; this app reads 1. A newer version of keras_pose wrote it: update this app.",
            replacing("\"schema_version\": 1", "\"schema_version\": 2")
        )
    }

    func testWhatTheseAppsCannotDoIsRefusedByName() {
        assertRefused("schema version 99", replacing("\"schema_version\": 1", "\"schema_version\": 99"))
        assertRefused("schema version none", replacing("schema_version", "version"))
        assertRefused("not models for segmentation", replacing("top_down", "segmentation"))
        assertRefused("not offsets", replacing("gaussian", "offsets"))
        assertRefused("wants BGR images", replacing("RGB", "BGR"))
        assertRefused("no tensors of the type float16", replacing("\"int8\", \"scale", "\"float16\", \"scale"))
        assertRefused("do not stretch", replacing("\"gaussian\"", "\"udp\", \"stretches\": true"))
    }

    func testWhatDoesNotFitTogetherIsRefused() {
        assertRefused("17x12x3 for the output", replacing("[null, 16, 12, 3]", "[null, 17, 12, 3]"))
        assertRefused("expected 64x48x3", replacing("[1, 64, 48, 3]", "[1, 64, 40, 3]"))
        assertRefused("lacks crop", replacing("\"crop\"", "\"cropped\""))
        assertRefused("\"wide\" where a number is expected", replacing("1.25", "\"wide\""))
        assertRefused("must be pairs below 3", replacing("[[0, 1]]", "[[0, 3]]"))
        assertRefused("2 oks_sigmas for 3 keypoints", replacing("\"oks_sigmas\": []", "\"oks_sigmas\": [0.1, 0.1]"))
        assertRefused("odd size, got 4", replacing("\"gaussian\"", "\"dark\", \"blur_kernel\": 4"))
        assertRefused("a stride of 0", replacing("\"stride\": 4", "\"stride\": 0"))
        assertRefused("not JSON, at byte", String(contractText.dropLast(3)))
    }

    func testADetectorsLevelsMustFit() throws {
        XCTAssertThrowsError(try Contract(entry: try JSON(detectorEntryText.replacingOccurrences(of: "[16]", with: "[16, 32]")))) {
            XCTAssertTrue("\($0)".contains("2 strides, 1 scores"), "\($0)")
        }
        XCTAssertThrowsError(try Contract(entry: try JSON(detectorEntryText.replacingOccurrences(of: "[16]", with: "[8]")))) {
            XCTAssertTrue("\($0)".contains("expected 4x4x2"), "\($0)")
        }
    }

    func testTensorsOfPeopleMustFit() throws {
        XCTAssertEqual(try oneStageContract().outputs.map(\.name), ["p_scores", "p_boxes", "p_keypoints", "p_visibility"])
        for (old, new, words) in [
            ("[1, 4, 4]", "[1, 3, 4]", "3x4 for the boxes of rtmo_s, expected 4x4"),
            ("[1, 4, 2]", "[1, 4, 6]", "4x6 for the keypoints of rtmo_s, expected 4x2"),
            ("\"people\"", "\"part_affinity\"", "not part_affinity"),
        ] {
            let text = oneStageEntryText.replacingOccurrences(of: old, with: new)
            XCTAssertThrowsError(try Contract(entry: try JSON(text))) { XCTAssertTrue("\($0)".contains(words), "\($0)") }
        }
    }

    private func replacing(_ old: String, _ new: String) -> String {
        XCTAssertTrue(contractText.contains(old))
        return contractText.replacingOccurrences(of: old, with: new)
    }

    private func assertRefused(
        _ words: String, _ text: String, fileName: String = "pose_model.tflite", bytes: Data = modelBytes, line: UInt = #line
    ) {
        XCTAssertThrowsError(try readContract(text, fileName: fileName, bytes: bytes), line: line) { error in
            XCTAssertTrue(error is ContractError, "\(error)", line: line)
            XCTAssertTrue("\(error)".contains(words), "\(error)", line: line)
        }
    }
}
