import KerasPoseCore
import XCTest

@testable import KerasPoseDemo

final class AcceleratorTests: XCTestCase {
    private struct Failure: Error, CustomStringConvertible { let description: String }

    /// Opens on those accelerators that work; returns what was tried, too.
    private func opened(
        _ wish: Accelerator, quantization: String = "float32", working: Set<Accelerator>
    ) throws -> (OpenedNetwork<Accelerator>, tried: [Accelerator]) {
        var tried: [Accelerator] = []
        let contract = try Contract(entry: try JSON(poseEntryText.replacingOccurrences(of: "float32\", \"sig", with: "\(quantization)\", \"sig")))
        let network = try openWithFallback(wish, contract: contract) { accelerator in
            tried.append(accelerator)
            guard working.contains(accelerator) else { throw Failure(description: "it lacks an operator") }
            return accelerator
        }
        return (network, tried)
    }

    func testWhatTheUserWishesIsUsedWithoutAWord() throws {
        let (network, tried) = try opened(.metal, working: [.metal, .cpu])
        XCTAssertEqual(network.network, .metal)
        XCTAssertEqual(network.accelerator, .metal)
        XCTAssertEqual(network.notes, [])
        XCTAssertEqual(tried, [.metal])
    }

    func testTheScreenNamesWhatIsUsedInstead() throws {
        let (network, _) = try opened(.metal, working: [.cpu])
        XCTAssertEqual(network.accelerator, .cpu)
        XCTAssertEqual(network.notes, ["tiny runs on CPU (XNNPACK). GPU (Metal): it lacks an operator."])
    }

    func testCoreMLIsNotAskedAboutIntegerModels() throws {
        let (network, tried) = try opened(.coreML, quantization: "int8", working: [.coreML, .cpu])
        XCTAssertEqual(network.accelerator, .cpu)
        XCTAssertEqual(tried, [.cpu])
        XCTAssertTrue(network.notes[0].contains("float models only, and this one is int8"), network.notes[0])
        XCTAssertEqual(try opened(.coreML, quantization: "float16", working: [.coreML]).0.accelerator, .coreML)
    }

    func testAutomaticTakesTheFirstThatWorksAndIsSilent() throws {
        let (network, tried) = try opened(.automatic, working: [.metal, .cpu])
        XCTAssertEqual(network.accelerator, .metal)
        XCTAssertEqual(tried, [.coreML, .metal])
        XCTAssertEqual(network.notes, [])
    }

    func testAFileThatRunsNowhereIsAnError() {
        XCTAssertThrowsError(try opened(.automatic, working: []))
    }
}

/// A pose model of three keypoints, 16x16 input, heatmaps of 4x4.
let poseEntryText = """
    {
      "task": "top_down", "model": "tiny", "quantization": "float32", "signature": "serve",
      "input": {
        "name": "image", "shape": [1, 16, 16, 3], "dtype": "uint8", "scale": null, "zero_point": null,
        "channel_order": "RGB", "normalization": null
      },
      "output": {"name": "heatmaps", "shape": [1, 4, 4, 3], "dtype": "float32", "scale": null, "zero_point": null},
      "crop": {"box_padding": 1.25},
      "codec": {"kind": "gaussian", "input_hw": [16, 16], "stride": 4},
      "skeleton": {
        "name": "three", "names": ["nose", "left_wrist", "right_wrist"], "limb_pairs": [[0, 1], [1, 2]],
        "mirror_pairs": [[1, 2]], "oks_sigmas": []
      }
    }
    """

/// A one-stage network that sees the faces of two people at most.
let oneStageEntryText = """
    {
      "task": "one_stage", "model": "rtmo_t", "quantization": "float32", "signature": "serve",
      "input": {
        "name": "image", "shape": [1, 64, 64, 3], "dtype": "uint8", "scale": null, "zero_point": null,
        "channel_order": "RGB", "normalization": null
      },
      "scores": {"name": "s", "shape": [1, 2], "dtype": "float32", "scale": null, "zero_point": null},
      "boxes": {"name": "b", "shape": [1, 2, 4], "dtype": "float32", "scale": null, "zero_point": null},
      "keypoints": {"name": "k", "shape": [1, 2, 6], "dtype": "float32", "scale": null, "zero_point": null},
      "visibility": {"name": "v", "shape": [1, 2, 3], "dtype": "float32", "scale": null, "zero_point": null},
      "codec": {"kind": "people", "score_threshold": 0.1, "iou_threshold": 0.65, "max_people": 100},
      "skeleton": {
        "name": "face", "names": ["nose", "left_eye", "right_eye"], "limb_pairs": [], "mirror_pairs": [], "oks_sigmas": []
      }
    }
    """
