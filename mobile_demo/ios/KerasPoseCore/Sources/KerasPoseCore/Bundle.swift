import Foundation

/// What `export/bundle_mobile.py` filled an app with; docs/contract.md, "A bundle for apps".

/// A folder of models, checked.
public struct ModelBundle: Equatable, Sendable {
    /// Where it lies.
    public let folder: URL
    /// What the pose model is for: "top_down", behind a detector, or what finds everybody by itself.
    public let task: String
    /// File name of each model, by "pose" and "detector".
    public let models: [String: String]
    /// Score above which the detector's boxes are believed.
    public let boxThreshold: Float
    /// Folders of parity packs, by "maths" and "models".
    public let parity: [String: URL]

    private static let format = "keras_pose mobile bundle"
    private static let majorVersion = "1"
    private static let remedy = "Run export/bundle_mobile.py and build the app again."

    /// Opens a bundle, and holds every file against its size and hash in the manifest.
    ///
    /// - Throws: `ContractError` that names the file which is missing or another, or what is no bundle.
    public init(folder: URL) throws {
        let path = folder.appendingPathComponent("manifest.json")
        guard let bytes = try? Data(contentsOf: path) else {
            throw ContractError("There are no models in this app: \(folder.lastPathComponent)/manifest.json is missing. \(Self.remedy)")
        }
        let manifest = try JSON(bytes: bytes)
        guard manifest["format"] == .string(Self.format) else {
            throw ContractError("\(folder.lastPathComponent)/manifest.json describes no bundle of models. \(Self.remedy)")
        }
        let version = try manifest.member("format_version", of: "manifest").text()
        guard version.split(separator: ".").first.map(String.init) == Self.majorVersion else {
            throw ContractError("The bundle has version \(version); this app reads \(Self.majorVersion). \(Self.remedy)")
        }
        let files = try manifest.member("files", of: "manifest")
        for name in files.keys { try Self.check(name, promised: files.member(name, of: "files"), in: folder) }
        self.folder = folder
        models = try Self.texts(manifest.member("models", of: "manifest"))
        for name in models.values.sorted() where files[name] == nil {
            throw ContractError("The manifest speaks of \(name), but not of its size and hash. \(Self.remedy)")
        }
        // Those of the first versions were all of one task, and do not say it.
        task = try manifest["task"]?.text() ?? "top_down"
        boxThreshold = try manifest["settings"]?["box_threshold"].map { Float(try $0.number()) } ?? usualBoxThreshold
        parity = try Self.texts(manifest["parity"] ?? .object([:])).mapValues { folder.appendingPathComponent($0) }
    }

    private static func texts(_ values: JSON) throws -> [String: String] {
        Dictionary(uniqueKeysWithValues: try values.keys.map { ($0, try values.member($0).text()) })
    }

    private static func check(_ name: String, promised: JSON, in folder: URL) throws {
        guard !name.split(separator: "/").contains("..") else {
            throw ContractError("A bundle holds its own files only, not \(name).")
        }
        guard let bytes = try? Data(contentsOf: folder.appendingPathComponent(name), options: .mappedIfSafe) else {
            throw ContractError("The bundle lacks \(name). \(remedy)")
        }
        // The size first: it costs nothing.
        let size = try promised.member("bytes", of: name).integer()
        guard bytes.count == size, sha256(bytes) == (try promised.member("sha256", of: name).text()) else {
            throw ContractError("\(name) is not the file of its bundle: its \(bytes.count) bytes are others. \(remedy)")
        }
    }
}
