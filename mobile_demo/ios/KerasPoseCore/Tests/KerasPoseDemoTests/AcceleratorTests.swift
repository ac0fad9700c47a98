import Foundation
import KerasPoseCore
import KerasPoseParity
import XCTest

@testable import KerasPoseDemo

/// What a file of these tests answers.
private let right = (0..<48).map { Float($0 % 7) / 7 }
private let recorded = [RecordedRun(input: [Float](repeating: 9, count: 16 * 16 * 3), outputs: ["heatmaps": right])]

private struct Failure: Error, CustomStringConvertible { let description: String }

/// A device whose accelerators refuse, compute, or lie.
private final class Device {
    private let answers: [Accelerator: () throws -> [Float]]
    private let takesAllOperators: Bool
    private(set) var tried: [Accelerator] = []
    /// How many networks are open.
    fileprivate(set) var numOpen = 0

    /// - Parameter answers: of those that take the file; nil: the right one.
    init(_ answers: [Accelerator: (() throws -> [Float])?], takesAllOperators: Bool = true) {
        self.answers = answers.mapValues { $0 ?? { right } }
        self.takesAllOperators = takesAllOperators
    }

    func open(_ accelerator: Accelerator) throws -> Pretended {
        tried.append(accelerator)
        guard let answer = answers[accelerator] else { throw Failure(description: "it lacks an operator") }
        return Pretended(device: self, takesAllOperators: takesAllOperators, answer: answer)
    }
}

private final class Pretended: OpenNetwork {
    let takesAllOperators: Bool
    private let device: Device
    private let answer: () throws -> [Float]

    init(device: Device, takesAllOperators: Bool, answer: @escaping () throws -> [Float]) {
        (self.device, self.takesAllOperators, self.answer) = (device, takesAllOperators, answer)
        device.numOpen += 1
    }

    deinit { device.numOpen -= 1 }

    func run(_ values: [Float]) throws -> [String: [Float]] {
        XCTAssertEqual(values.count, 16 * 16 * 3)
        return ["heatmaps": try answer()]
    }
}

final class AcceleratorTests: XCTestCase {
    private func opened(
        _ wish: Accelerator, on device: Device, quantization: String = "float32", recorded runs: [RecordedRun] = recorded
    ) throws -> OpenedNetwork<Pretended> {
        let text = poseEntryText.replacingOccurrences(of: "float32\", \"sig", with: "\(quantization)\", \"sig")
        let network = try openWithFallback(wish, contract: try Contract(entry: try JSON(text)), recorded: runs, open: device.open)
        XCTAssertEqual(device.numOpen, 1, "what is not used is let go")
        return network
    }

    func testWhatTheUserWishesIsUsedWithoutAWord() throws {
        let device = Device([.metal: nil, .cpu: nil])
        let network = try opened(.metal, on: device)
        XCTAssertEqual(network.accelerator, .metal)
        XCTAssertEqual(network.notes, [])
        XCTAssertEqual(device.tried, [.metal])
    }

    func testTheScreenNamesWhatIsUsedInstead() throws {
        let network = try opened(.metal, on: Device([.cpu: nil]))
        XCTAssertEqual(network.accelerator, .cpu)
        XCTAssertEqual(network.notes, ["tiny runs on CPU (XNNPACK). Not on GPU (Metal): it lacks an operator."])
    }

    func testCoreMLIsNotAskedAboutIntegerModels() throws {
        let device = Device([.coreML: nil, .cpu: nil])
        let network = try opened(.coreML, on: device, quantization: "int8")
        XCTAssertEqual(network.accelerator, .cpu)
        XCTAssertEqual(device.tried, [.cpu])
        XCTAssertTrue(network.notes[0].contains("float models only, and this one is int8"), network.notes[0])
        XCTAssertEqual(try opened(.coreML, on: Device([.coreML: nil]), quantization: "float16").accelerator, .coreML)
    }

    func testAutomaticTakesTheFirstThatIsRightAndNamesTheOthers() throws {
        let device = Device([.metal: nil, .cpu: nil])
        let network = try opened(.automatic, on: device)
        XCTAssertEqual(network.accelerator, .metal)
        XCTAssertEqual(device.tried, [.coreML, .metal])
        XCTAssertEqual(network.notes, ["tiny runs on GPU (Metal). Not on Core ML (Neural Engine): it lacks an operator."])
        let integers = try opened(.automatic, on: Device([.coreML: nil, .metal: nil, .cpu: nil]), quantization: "int8")
        XCTAssertEqual(
            integers.notes,
            ["tiny runs on GPU (Metal). Not on Core ML (Neural Engine): it takes float models only, and this one is int8."]
        )
        XCTAssertEqual(try opened(.automatic, on: Device([.coreML: nil])).notes, [], "the first has no others before it")
    }

    func testHowMuchOfAFileAnAcceleratorTakesIsSaidOrThatItIsNotKnown() throws {
        XCTAssertEqual(try opened(.metal, on: Device([.metal: nil])).place, "GPU (Metal), all operators")
        XCTAssertEqual(
            try opened(.metal, on: Device([.metal: nil], takesAllOperators: false)).place,
            "GPU (Metal); the runtime does not say for how many operators"
        )
        XCTAssertEqual(try opened(.cpu, on: Device([.cpu: nil], takesAllOperators: false)).place, "CPU (XNNPACK)")
    }

    /// By what an accelerator answers, what the screen says of it.
    private let lies: [(answer: () throws -> [Float], words: String)] = [
        ({ right.enumerated().map { $0 == 3 ? .nan : $1 } }, "it returns NaN or infinity: 1 of 48 numbers of heatmaps."),
        ({ right.enumerated().map { $0 < 2 ? .infinity : $1 } }, "it returns NaN or infinity: 2 of 48 numbers of heatmaps."),
        ({ [Float](repeating: 0.5, count: 48) }, "it returns the same number everywhere in heatmaps."),
        (
            { Array(right.dropFirst()) + [right[0]] },
            "it computes something else than it should: heatmaps is off by 1.23 of its standard deviation."
        ),
        ({ Array(right.dropLast()) }, "it returns 47 numbers of heatmaps, not 48."),
        ({ throw Failure(description: "driver lost") }, "driver lost."),
    ]

    func testLiesAreFoundOutWithAndWithoutAPack() throws {
        for (answer, words) in lies {
            for runs in [recorded, []] {
                let network = try opened(.automatic, on: Device([.coreML: answer, .metal: nil, .cpu: nil]), recorded: runs)
                XCTAssertEqual(network.accelerator, .metal, words)
                XCTAssertEqual(network.notes, ["tiny runs on GPU (Metal). Not on Core ML (Neural Engine): \(words)"])
                let last = try opened(.metal, on: Device([.metal: answer, .cpu: nil]), recorded: runs)
                XCTAssertEqual(last.notes, ["tiny runs on CPU (XNNPACK). Not on GPU (Metal): \(words)"])
            }
        }
    }

    func testEveryRecordedRunIsHeldAgainstTheFile() throws {
        var numRuns = 0
        let device = Device([.metal: { numRuns += 1; return numRuns == 2 ? [Float](repeating: 0, count: 48) : right }, .cpu: nil])
        XCTAssertEqual(try opened(.metal, on: device, recorded: recorded + recorded).accelerator, .cpu)
        XCTAssertEqual(numRuns, 2)
    }

    func testRoundingIsNoLie() throws {
        let rounded = right.enumerated().map { $1 + ($0 % 2 == 0 ? 0.02 : -0.02) }
        XCTAssertEqual(try opened(.metal, on: Device([.metal: { rounded }])).accelerator, .metal)
    }

    func testWithoutAPackTheCPUIsTheMeasureEvenWhereAllIsTheSame() throws {
        let nothing = { [Float](repeating: 0.5, count: 48) }
        XCTAssertEqual(try opened(.metal, on: Device([.metal: nothing, .cpu: nothing]), recorded: []).accelerator, .metal)
        XCTAssertEqual(try opened(.cpu, on: Device([.cpu: nothing]), recorded: []).accelerator, .cpu)
        let device = Device([.metal: nil, .cpu: nil])
        XCTAssertEqual(try opened(.metal, on: device, recorded: []).accelerator, .metal)
        XCTAssertEqual(device.tried, [.cpu, .metal])
        let alone = try opened(.metal, on: Device([.metal: nil]), recorded: [])
        XCTAssertEqual(alone.accelerator, .metal, "a CPU that does not run the file is no measure")
    }

    func testAFileThatRunsNowhereIsAnErrorWithAllReasons() {
        func message(_ device: Device, _ runs: [RecordedRun] = recorded) -> String {
            do { return try opened(.automatic, on: device, recorded: runs).notes.joined() } catch { return "\(error)" }
        }
        XCTAssertEqual(
            message(Device([.metal: { [.nan] }, .cpu: { [Float](repeating: 0, count: 48) }])),
            "tiny cannot be run. Not on Core ML (Neural Engine): it lacks an operator. Not on GPU (Metal): it returns NaN or infinity: "
                + "1 of 1 numbers of heatmaps. Not on CPU (XNNPACK): it returns the same number everywhere in heatmaps."
        )
        XCTAssertTrue(message(Device([:])).hasSuffix("Not on CPU (XNNPACK): it lacks an operator."))
        XCTAssertTrue(message(Device([.cpu: { [.nan] }]), []).hasSuffix("it returns NaN or infinity: 1 of 1 numbers of heatmaps."))
    }
}

/// What a bundle's packs say of its files.
final class RecordedRunTests: XCTestCase {
    private func bundle(of folder: URL) throws -> ModelBundle {
        let index = """
            {"format": "keras_pose parity pack", "format_version": "1.0",
             "files": {"arrays.bin": {"bytes": 0, "sha256": "\(sha256(Data()))"}},
             "models": {"pose": {"file": "pose.tflite", "bytes": 7, "sha256": "\(sha256("a model".utf8))", "contract": \(poseEntryText)}},
             "cases": [{"name": "model/pose_0", "kind": "model", "needs": ["pose"],
               "given": {"model": "pose", "input": {"dtype": "uint8", "shape": [1, 1], "values": [9]}},
               "expected": {"raw": [{"dtype": "float32", "shape": [1, 2], "values": [1, 2], "tolerance": 0}]}}]}
            """
        let files = ["pose.tflite": Data("a model".utf8), "parity/models/index.json": Data(index.utf8), "parity/models/arrays.bin": Data()]
        try FileManager.default.createDirectory(at: folder.appendingPathComponent("parity/models"), withIntermediateDirectories: true)
        for (name, bytes) in files { try bytes.write(to: folder.appendingPathComponent(name)) }
        let said = files.map { "\"\($0)\": {\"bytes\": \($1.count), \"sha256\": \"\(sha256($1))\"}" }.joined(separator: ", ")
        let manifest = """
            {"format": "keras_pose mobile bundle", "format_version": "1.2", "task": "top_down", "models": {"pose": "pose.tflite"},
             "parity": {"models": "parity/models"}, "files": {\(said)}}
            """
        try Data(manifest.utf8).write(to: folder.appendingPathComponent("manifest.json"))
        return try ModelBundle(folder: folder)
    }

    func testThePackOfModelFilesMeasuresThem() throws {
        guard let path = ProcessInfo.processInfo.environment["KERAS_POSE_PACK"] else {
            throw XCTSkip("KERAS_POSE_PACK names no other pack")
        }
        let pack = try ParityPack(folder: URL(fileURLWithPath: path))
        for (task, contract) in pack.models {
            let runs = try XCTUnwrap(try pack.recordedRuns()[pack.hashes[task] ?? ""], task)
            for run in runs {
                XCTAssertEqual(run.input.count, contract.input.count)
                XCTAssertNil(difference(contract.outputs, run.outputs, from: run.outputs))
                let turned = run.outputs.mapValues { Array($0.reversed()) }
                XCTAssertNotNil(difference(contract.outputs, turned, from: run.outputs), "\(task), last number first")
            }
        }
    }

    func testTheRunsOfAFileAreFoundByItsHash() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let runs = try recordedRuns(of: try bundle(of: folder))
        XCTAssertEqual(runs, [sha256("a model".utf8): [RecordedRun(input: [9], outputs: ["heatmaps": [1, 2]])]])
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
