import Foundation
import KerasPoseCore
import KerasPoseParity
import XCTest

@testable import KerasPoseDemo

/// What a file of these tests answers.
private let right = (0..<48).map { Float($0 % 7) / 7 }
private let recorded = [RecordedRun(input: [Float](repeating: 9, count: 16 * 16 * 3), outputs: ["heatmaps": right])]

private struct Failure: Error, CustomStringConvertible { let description: String }

/// A device whose accelerators refuse, compute, lie or dawdle. Its time passes only while networks run.
private final class Device {
    private let answers: [Accelerator: () throws -> [Float]]
    private let milliseconds: [Accelerator: Double]
    private let takesAllOperators: Bool
    private(set) var tried: [Accelerator] = []
    /// How many networks are open.
    fileprivate(set) var numOpen = 0
    fileprivate(set) var now: UInt64 = 0

    /// - Parameters:
    ///   - answers: of those that take the file; nil: the right one.
    ///   - milliseconds: of a run, other than the usual.
    init(
        _ answers: [Accelerator: (() throws -> [Float])?], takesAllOperators: Bool = true, milliseconds: [Accelerator: Double] = [:]
    ) {
        self.answers = answers.mapValues { $0 ?? { right } }
        self.milliseconds = [.coreML: 2, .metal: 8, .cpu: 30].merging(milliseconds) { $1 }
        self.takesAllOperators = takesAllOperators
    }

    func open(_ accelerator: Accelerator) throws -> Pretended {
        tried.append(accelerator)
        guard let answer = answers[accelerator] else { throw Failure(description: "it lacks an operator") }
        XCTAssertEqual(numOpen, 0, "two never share the memory")
        let nanoseconds = UInt64(1e6 * (milliseconds[accelerator] ?? 0))
        return Pretended(device: self, takesAllOperators: takesAllOperators) {
            self.now += nanoseconds
            return try answer()
        }
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
        _ wish: Accelerator, on device: Device, quantization: String = "float32", recorded runs: [RecordedRun] = recorded, audit: String = ""
    ) throws -> OpenedNetwork<Pretended> {
        let text = poseEntryText.replacingOccurrences(of: "float32\", \"sig", with: "\(quantization)\", \(audit)\"sig")
        let network = try openWithFallback(
            wish, contract: try Contract(entry: try JSON(text)), recorded: runs, clock: { device.now }, open: device.open
        )
        XCTAssertEqual(device.numOpen, 1, "what is not used is let go")
        return network
    }

    func testWhatTheUserWishesIsUsedWithoutAWord() throws {
        let device = Device([.metal: nil, .cpu: nil])
        let network = try opened(.metal, on: device)
        XCTAssertEqual(network.accelerator, .metal)
        XCTAssertEqual(network.notes, [])
        XCTAssertEqual(device.tried, [.cpu, .metal])
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
        XCTAssertEqual(try opened(.coreML, on: Device([.coreML: nil, .cpu: nil]), quantization: "float16").accelerator, .coreML)
    }

    func testAutomaticTakesTheFirstThatIsRightAndNamesTheOthers() throws {
        let device = Device([.metal: nil, .cpu: nil])
        let network = try opened(.automatic, on: device)
        XCTAssertEqual(network.accelerator, .metal)
        XCTAssertEqual(device.tried, [.cpu, .coreML, .metal])
        XCTAssertEqual(network.notes, ["tiny runs on GPU (Metal). Not on Core ML (Neural Engine): it lacks an operator."])
        let integers = try opened(.automatic, on: Device([.coreML: nil, .metal: nil, .cpu: nil]), quantization: "int8")
        XCTAssertEqual(
            integers.notes,
            ["tiny runs on GPU (Metal). Not on Core ML (Neural Engine): it takes float models only, and this one is int8."]
        )
        XCTAssertEqual(try opened(.automatic, on: Device([.coreML: nil, .cpu: nil])).notes, [], "the first has no others before it")
    }

    func testHowMuchOfAFileAnAcceleratorTakesIsSaidOrThatItIsNotKnown() throws {
        XCTAssertEqual(
            try opened(.metal, on: Device([.metal: nil, .cpu: nil])).place, "GPU (Metal), all operators: 8.0 ms, on the CPU 30.0 ms"
        )
        XCTAssertEqual(
            try opened(.metal, on: Device([.metal: nil, .cpu: nil], takesAllOperators: false)).place,
            "GPU (Metal) (the runtime does not say for how many operators): 8.0 ms, on the CPU 30.0 ms"
        )
        XCTAssertEqual(try opened(.cpu, on: Device([.cpu: nil], takesAllOperators: false)).place, "CPU (XNNPACK): 30.0 ms")
        XCTAssertEqual(try opened(.metal, on: Device([.metal: nil])).place, "GPU (Metal), all operators: 8.0 ms")
    }

    /// The GPU is expected to take a part of the file, Core ML all of it.
    private let audit = """
        "operator_audit": {
          "GPU": {"operators": 112, "taken": 104, "partitions": 3, "left": [
            {"operator": "TOPK_V2", "reason": "no such operator", "count": 2}, {"operator": "CAST", "reason": "casts int64 to int32", "count": 1},
            {"operator": "FILL", "reason": "no such operator", "count": 1}, {"operator": "ARG_MAX", "reason": "no such operator", "count": 1},
            {"operator": "CUMSUM", "reason": "is of type int64", "count": 1}, {"operator": "ROUND", "reason": "no such operator", "count": 1},
            {"operator": "WHERE", "reason": "no such operator", "count": 1}]},
          "Core ML": {"operators": 112, "taken": 112, "partitions": 1, "left": []}},
        """
    private let partly = "104 of 112 operators, in 3 parts; the CPU's are 2 TOPK_V2 (no such operator), 1 CAST (casts int64 to int32), "
        + "1 FILL (no such operator), 1 ARG_MAX (no such operator), 1 CUMSUM (is of type int64), "
        + "1 ROUND (no such operator), 1 more"

    func testTheAuditSaysHowManyOperatorsAndWhyNotTheOthers() throws {
        let device = { Device([.coreML: nil, .metal: nil, .cpu: nil], takesAllOperators: false) }
        XCTAssertEqual(
            try opened(.metal, on: device(), audit: audit).place,
            "GPU (Metal) (the runtime does not say for how many operators; by keras_pose's audit it should be \(partly)): "
                + "8.0 ms, on the CPU 30.0 ms"
        )
        XCTAssertTrue(try opened(.coreML, on: device(), audit: audit).place.contains("audit it should be all 112 operators): 2.0 ms"))
        XCTAssertEqual(
            try opened(.automatic, on: Device([.cpu: nil]), audit: audit).notes,
            ["tiny runs on CPU (XNNPACK). Not on Core ML (Neural Engine): it lacks an operator. By keras_pose's audit it should take "
                + "all 112 operators. Not on GPU (Metal): it lacks an operator. By keras_pose's audit it should take \(partly)."]
        )
        let slow = Device([.metal: nil, .cpu: nil], takesAllOperators: false, milliseconds: [.metal: 29])
        XCTAssertTrue(try opened(.metal, on: slow, audit: audit).notes[0].hasSuffix("all. By keras_pose's audit it should take \(partly)."))
    }

    func testWhatTheRuntimeSaysNeedsNoAudit() throws {
        let device = { Device([.metal: nil, .cpu: nil], milliseconds: [.metal: $0]) }
        XCTAssertEqual(
            try opened(.metal, on: device(8), audit: audit).place, "GPU (Metal), all 112 operators: 8.0 ms, on the CPU 30.0 ms"
        )
        XCTAssertFalse(try opened(.automatic, on: device(31), audit: audit).notes[0].contains("it should take 104"))
    }

    func testSlowAcceleratorsAreNotUsed() throws {
        let device = Device([.coreML: nil, .metal: nil, .cpu: nil], milliseconds: [.coreML: 31, .metal: 30])
        let network = try opened(.automatic, on: device)
        XCTAssertEqual(
            network.notes,
            ["tiny runs on CPU (XNNPACK). Not on Core ML (Neural Engine): it takes 31.0 ms, the CPU 30.0 ms. "
                + "Not on GPU (Metal): it takes 30.0 ms, the CPU 30.0 ms."]
        )
        XCTAssertEqual(network.accelerator, .cpu)
        XCTAssertEqual(device.tried, [.cpu, .coreML, .metal, .cpu], "the CPU was let go, and is opened again")
        let faster = try opened(.automatic, on: Device([.coreML: nil, .metal: nil, .cpu: nil], milliseconds: [.coreML: 31, .metal: 29.9]))
        XCTAssertEqual(faster.accelerator, .metal)
    }

    func testWhereTheCPUMayRunItAllItMustBeFasterByATenth() throws {
        for wish in [Accelerator.automatic, .metal] {
            let network = try opened(wish, on: Device([.metal: nil, .cpu: nil], takesAllOperators: false, milliseconds: [.metal: 27]))
            XCTAssertEqual(network.accelerator, .cpu)
            XCTAssertTrue(
                network.notes[0].hasSuffix("Not on GPU (Metal): it takes 27.0 ms, the CPU 30.0 ms, which may be running it all."),
                network.notes[0]
            )
            let faster = try opened(wish, on: Device([.metal: nil, .cpu: nil], takesAllOperators: false, milliseconds: [.metal: 26.9]))
            XCTAssertEqual(faster.accelerator, .metal)
        }
    }

    func testAWishIsHeardWhereItTakesTheWholeFile() throws {
        let network = try opened(.metal, on: Device([.metal: nil, .cpu: nil], milliseconds: [.metal: 41]))
        XCTAssertEqual(network.place, "GPU (Metal), all operators: 41.0 ms, on the CPU 30.0 ms")
    }

    func testTheMiddleOfFiveRunsCountsAndTheFirstTwoDoNot() throws {
        var (numRuns, delay) = (0, {})
        let device = Device([.metal: { numRuns += 1; if [2, 3, 5, 8].contains(numRuns) { delay() }; return right }, .cpu: nil])
        delay = { device.now += 500_000_000 }
        // The first is held against the recorded one, two warm up, five are timed.
        XCTAssertEqual(try opened(.automatic, on: device).milliseconds, 8)
        XCTAssertEqual(numRuns, 8)
    }

    func testACPUThatIsWrongIsNotUsedEither() throws {
        let wrong = { [Float](repeating: 0, count: 48) }
        let network = try opened(.metal, on: Device([.metal: nil, .cpu: wrong]))
        XCTAssertEqual(network.place, "GPU (Metal), all operators: 8.0 ms")
        XCTAssertEqual(
            network.notes, ["tiny runs on GPU (Metal). Not on CPU (XNNPACK): it returns the same number everywhere in heatmaps."]
        )
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
            "tiny cannot be run. Not on CPU (XNNPACK): it returns the same number everywhere in heatmaps. Not on Core ML (Neural Engine): "
                + "it lacks an operator. Not on GPU (Metal): it returns NaN or infinity: 1 of 1 numbers of heatmaps."
        )
        XCTAssertTrue(message(Device([:])).hasPrefix("tiny cannot be run. Not on CPU (XNNPACK): it lacks an operator."))
        XCTAssertTrue(message(Device([.cpu: { [.nan] }]), []).contains("(XNNPACK): it returns NaN or infinity: 1 of 1 numbers of heatmaps."))
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
