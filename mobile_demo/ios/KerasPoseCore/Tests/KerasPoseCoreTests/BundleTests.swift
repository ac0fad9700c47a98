import Foundation
import XCTest

@testable import KerasPoseCore

/// A bundle that is whole is opened; otherwise the file is named.
final class BundleTests: XCTestCase {
    private var folder = URL(fileURLWithPath: "/")

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try modelBytes.write(to: folder.appendingPathComponent("pose.tflite"))
        try writeManifest()
    }

    override func tearDown() { try? FileManager.default.removeItem(at: folder) }

    private func writeManifest(version: String = "1.1", file: String = "pose.tflite", settings: String = "{\"box_threshold\": 0.24}") throws {
        let manifest = """
            {"format": "keras_pose mobile bundle", "format_version": "\(version)", "models": {"pose": "pose.tflite"},
             "parity": {"maths": "parity/maths"}, "settings": \(settings),
             "files": {"\(file)": {"bytes": 7, "sha256": "\(sha256(modelBytes))"}}}
            """
        try Data(manifest.utf8).write(to: folder.appendingPathComponent("manifest.json"))
    }

    private func assertRefused(_ words: String, line: UInt = #line) {
        XCTAssertThrowsError(try ModelBundle(folder: folder), line: line) {
            XCTAssertTrue("\($0)".contains(words), "\($0)", line: line)
            XCTAssertTrue("\($0)".contains("export/bundle_mobile.py") || words.contains(".."), "\($0)", line: line)
        }
    }

    func testAWholeBundleIsOpened() throws {
        let bundle = try ModelBundle(folder: folder)
        XCTAssertEqual(bundle.models, ["pose": "pose.tflite"])
        XCTAssertEqual(bundle.task, "top_down", "those of the first versions do not say it")
        XCTAssertEqual(bundle.boxThreshold, 0.24)
        XCTAssertEqual(bundle.parity["maths"]?.path, folder.path + "/parity/maths")
        try writeManifest(settings: "{\"box_threshold\": null}")
        XCTAssertEqual(try ModelBundle(folder: folder).boxThreshold, usualBoxThreshold)
    }

    func testAFileThatIsAnotherIsNamed() throws {
        try Data("another".utf8).write(to: folder.appendingPathComponent("pose.tflite"))
        assertRefused("pose.tflite is not the file of its bundle")
        try Data("a model, half cop".utf8).write(to: folder.appendingPathComponent("pose.tflite"))
        assertRefused("its 17 bytes")
    }

    func testAFileThatIsMissingIsNamed() throws {
        try FileManager.default.removeItem(at: folder.appendingPathComponent("pose.tflite"))
        assertRefused("lacks pose.tflite")
        try FileManager.default.removeItem(at: folder.appendingPathComponent("manifest.json"))
        assertRefused("no models in this app")
    }

    func testWhatIsNoBundleOfAKnownVersionIsRefused() throws {
        try writeManifest(version: "2.0")
        assertRefused("has version 2.0; this app reads 1")
        try writeManifest(file: "../pose.tflite")
        assertRefused("not ../pose.tflite")
        try Data("{\"format\": \"something\"}".utf8).write(to: folder.appendingPathComponent("manifest.json"))
        assertRefused("no bundle of models")
    }

    func testTheBundleOfTheRepositoryIsWholeWhereThereIsOne() throws {
        let root = (0..<4).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        let filled = root.appendingPathComponent("App/Resources/models")
        guard FileManager.default.fileExists(atPath: filled.appendingPathComponent("manifest.json").path) else {
            throw XCTSkip("export/bundle_mobile.py has not filled App/Resources/models")
        }
        let bundle = try ModelBundle(folder: filled)
        for name in bundle.models.values {
            let document = try JSON(bytes: try Data(contentsOf: filled.appendingPathComponent("pose_model.json")))
            XCTAssertNoThrow(try Contract(document: document, fileName: name, bytes: try Data(contentsOf: filled.appendingPathComponent(name))))
        }
    }
}
