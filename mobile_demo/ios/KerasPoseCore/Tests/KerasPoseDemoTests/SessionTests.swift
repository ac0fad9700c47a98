import Foundation
import KerasPoseCore
import XCTest

@testable import KerasPoseDemo

final class SessionTests: XCTestCase {
    private let image = Picture(size: ImageSize(height: 40, width: 40), pixels: [UInt8](repeating: 9, count: 4800))
    private var numDetected = 0

    private func makeSession() throws -> PoseSession {
        let contract = try Contract(entry: try JSON(poseEntryText))
        // Around the middle of the crop, so that the region stays where the person is.
        var heatmaps = [Float](repeating: 0, count: 4 * 4 * 3)
        for (k, (x, y)) in [(1, 1), (3, 3), (1, 3)].enumerated() { heatmaps[(y * 4 + x) * 3 + k] = 0.9 }
        let output = ["heatmaps": heatmaps]
        return try PoseSession(
            contract: contract,
            run: { _ in output },
            findPeople: { [self] _ in
                numDetected += 1
                return [Detection(box: Box(x1: 5, y1: 5, x2: 25, y2: 35), score: 1, label: personLabel)]
            }
        )
    }

    func testTheDetectorSeesEveryFewFramesAndPeopleKeepTheirNumbers() throws {
        let session = try makeSession()
        var settings = PoseSettings()
        settings.detectEvery = 3
        let analyses = try (0..<7).map { try session.analyse(image, seconds: Double($0) / 30, settings: settings) }
        XCTAssertEqual(analyses.map(\.isDetected), [true, false, false, true, false, false, true])
        XCTAssertEqual(analyses.map { $0.people.map(\.trackID) }, Array(repeating: [0], count: 7))
        XCTAssertEqual(numDetected, 3)
        XCTAssertEqual(Set(analyses[0].stages.keys), ["detect", "crop", "pose", "decode"])
        XCTAssertEqual(Set(analyses[1].stages.keys), ["crop", "pose", "decode"])
    }

    func testAVideoThatGoesBackIsAnotherOne() throws {
        let session = try makeSession()
        _ = try session.analyse(image, seconds: 1, settings: PoseSettings())
        XCTAssertTrue(try session.analyse(image, seconds: 1, settings: PoseSettings()).isDetected)
        var settings = PoseSettings()
        settings.isSmoothed = false
        XCTAssertFalse(try session.analyse(image, seconds: 2, settings: settings).isDetected, "smoothing is no reason to begin anew")
        settings.detectEvery = 1
        XCTAssertTrue(try session.analyse(image, seconds: 3, settings: settings).isDetected)
    }

    func testAPictureHasNoTracks() throws {
        let analysis = try makeSession().analyse(image)
        XCTAssertEqual(analysis.people.map(\.trackID), [noTrack])
        XCTAssertTrue(analysis.isDetected)
    }
}

/// Networks that find everybody by themselves.
final class CrowdSessionTests: XCTestCase {
    private let image = Picture(size: ImageSize(height: 64, width: 64), pixels: [UInt8](repeating: 9, count: 12288))
    /// Where the one who is believed stands.
    private var x: Float = 20

    /// A session of a network that sees somebody, and somebody else whom one-stage networks are not believed.
    private func makeSession(findPeople: FindPeople? = nil) throws -> PoseSession {
        try PoseSession(
            contract: try Contract(entry: try JSON(oneStageEntryText)),
            run: { [self] _ in
                [
                    "s": [0.9, 0.25], "b": [x, 10, x + 20, 50, 0, 0, 9, 9], "v": [Float](repeating: 0.9, count: 6),
                    "k": [x + 10, 15, x + 5, 12, x + 15, 12, 4, 4, 3, 3, 5, 3],
                ]
            },
            findPeople: findPeople
        )
    }

    func testEverybodyIsLookedForInEveryFrameFollowedAndSteadied() throws {
        let session = try makeSession()
        let first = try session.analyse(image, seconds: 1, settings: PoseSettings())
        x = 22
        let second = try session.analyse(image, seconds: 1.04, settings: PoseSettings())
        for analysis in [first, second] {
            XCTAssertEqual(analysis.people.map(\.trackID), [0])
            XCTAssertTrue(analysis.isDetected)
            XCTAssertEqual(Set(analysis.stages.keys), ["letterbox", "pose", "decode"])
        }
        XCTAssertGreaterThan(second.people[0].keypointsXY[0], 30)
        XCTAssertLessThan(second.people[0].keypointsXY[0], 32, "not smoothed")
        var raw = PoseSettings()
        raw.isSmoothed = false
        XCTAssertEqual(try makeSession().analyse(image, seconds: 1, settings: raw).people[0].keypointsXY[0], 32)
        XCTAssertEqual(try session.analyse(image).people.map(\.trackID), [noTrack])
        session.restart()
        XCTAssertEqual(try session.analyse(image, seconds: 0.5, settings: PoseSettings()).people.map(\.trackID), [0])
    }

    func testNeitherBoxesNorDetectorsAreTaken() throws {
        XCTAssertThrowsError(try makeSession(findPeople: { _ in [] })) {
            XCTAssertEqual("\($0)", "rtmo_t finds the people itself: leave the detector out.")
        }
    }
}

final class ModelCatalogueTests: XCTestCase {
    private var folder = URL(fileURLWithPath: "/")

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDown() { try? FileManager.default.removeItem(at: folder) }

    private func write(_ text: String) throws {
        try Data(text.utf8).write(to: folder.appendingPathComponent("pose_model.json"))
        try Data("a model".utf8).write(to: folder.appendingPathComponent("pose.tflite"))
    }

    private func document(sha256 hash: String) -> String {
        let entry = poseEntryText.replacingOccurrences(
            of: "\"task\"", with: "\"file\": {\"bytes\": 7, \"sha256\": \"\(hash)\"}, \"task\""
        )
        return "{\"schema_version\": 1, \"models\": {\"pose.tflite\": \(entry), \"notes.onnx\": {}}}"
    }

    func testModelsOfAFolderAreListedAndOpened() throws {
        try write(document(sha256: sha256("a model".utf8)))
        let catalogue = ModelCatalogue(bundle: nil, folders: [folder])
        XCTAssertEqual(catalogue.poseModels.map(\.title), ["tiny, float32, 16x16, 0.0 MB"])
        XCTAssertEqual(catalogue.detectors, [])
        XCTAssertEqual(catalogue.problems, [])
        XCTAssertEqual(try catalogue.poseModels[0].contract().model, "tiny")
    }

    func testAFileThatIsAnotherIsRefusedWhenItIsOpened() throws {
        try write(document(sha256: "0000"))
        let row = try XCTUnwrap(ModelCatalogue(bundle: nil, folders: [folder]).poseModels.first)
        XCTAssertThrowsError(try row.contract()) { XCTAssertTrue("\($0)".contains("pose.tflite is not the file"), "\($0)") }
        try FileManager.default.removeItem(at: row.url)
        XCTAssertThrowsError(try row.contract()) { XCTAssertEqual("\($0)", "pose.tflite cannot be read.") }
    }

    func testAFileWithoutAContractIsSaidAndTheOthersAreOffered() throws {
        try write(document(sha256: sha256("a model".utf8)))
        try Data("another model".utf8).write(to: folder.appendingPathComponent("other.tflite"))
        let catalogue = ModelCatalogue(bundle: nil, folders: [folder])
        XCTAssertEqual(catalogue.poseModels.map(\.url.lastPathComponent), ["pose.tflite"])
        XCTAssertEqual(catalogue.problems, ["other.tflite has no contract, neither in pose_model.json nor inside."])
    }

    func testNetworksOfWholePicturesAreOfferedAndOthersAreNot() throws {
        for task in ["one_stage", "bottom_up"] {
            try write(document(sha256: "0000").replacingOccurrences(of: "top_down", with: task))
            let row = try XCTUnwrap(ModelCatalogue(bundle: nil, folders: [folder]).poseModels.first)
            XCTAssertEqual(row.task, task)
            XCTAssertTrue(row.findsEverybody)
        }
        try write(document(sha256: "0000"))
        XCTAssertEqual(ModelCatalogue(bundle: nil, folders: [folder]).poseModels.first?.findsEverybody, false)
        try write(document(sha256: "0000").replacingOccurrences(of: "top_down", with: "segmentation"))
        let catalogue = ModelCatalogue(bundle: nil, folders: [folder])
        XCTAssertEqual(catalogue.poseModels, [])
        XCTAssertEqual(catalogue.problems, ["pose.tflite is a model for segmentation; this app runs pose models and detectors."])
    }

    func testABundleSaysWhichKindItIsOf() throws {
        try write(document(sha256: sha256("a model".utf8)).replacingOccurrences(of: "top_down", with: "bottom_up"))
        try writeManifest("\"task\": \"bottom_up\", ")
        let rows = ModelCatalogue(bundle: try ModelBundle(folder: folder)).poseModels
        XCTAssertEqual(rows.map(\.task), ["bottom_up"])
        // Bundles of the first versions are all of a pair.
        for said in ["\"task\": \"one_stage\", ", ""] {
            try writeManifest(said)
            let catalogue = ModelCatalogue(bundle: try ModelBundle(folder: folder))
            XCTAssertEqual(catalogue.poseModels, [])
            let task = said.isEmpty ? "top_down" : "one_stage"
            XCTAssertTrue(
                catalogue.problems[0].contains("manifest.json is of a model for \(task), and pose.tflite is one for bottom_up"),
                catalogue.problems[0]
            )
        }
    }

    private func writeManifest(_ task: String) throws {
        let manifest = """
            {"format": "keras_pose mobile bundle", "format_version": "1.2", \(task)"models": {"pose": "pose.tflite"},
             "files": {"pose.tflite": {"bytes": 7, "sha256": "\(sha256("a model".utf8))"}}}
            """
        try Data(manifest.utf8).write(to: folder.appendingPathComponent("manifest.json"))
    }

    func testAFolderThatCannotBeReadIsSaid() throws {
        XCTAssertEqual(ModelCatalogue(bundle: nil, folders: [folder]).problems, [], "a folder without models is none")
        try write("{")
        let problems = ModelCatalogue(bundle: nil, folders: [folder]).problems
        XCTAssertEqual(problems.count, 1)
        XCTAssertTrue(problems[0].contains("This is not JSON"), problems[0])
    }
}
