import Foundation
import KerasPoseCore

/// A model file that a picker can offer.
public struct ModelRow: Identifiable, Hashable {
    /// The file.
    public let url: URL
    /// Of the network, such as "pose_slim, int8, 128x192, 1.9 MB".
    public let title: String
    /// What it is for, as the contract says it.
    public let task: String
    /// Score above which this detector's boxes are believed, where somebody measured it.
    public let boxThreshold: Float?

    public var id: URL { url }
    public var isDetector: Bool { task == "detection" }
    /// Whether it sees whole pictures: it takes no detector, and follows no regions.
    public var findsEverybody: Bool { KerasPoseCore.findsEverybody(task: task) }

    /// Reads the contract beside the file, or else inside, and holds the file against it.
    ///
    /// - Throws: `ContractError` in words for the user.
    public func contract() throws -> Contract {
        let document = try besideDocument(in: url.deletingLastPathComponent())
        return try Contract(document: document, fileName: url.lastPathComponent, bytes: try readable(url))
    }
}

/// What pickers offer, and what of the folders could not be used.
public struct ModelCatalogue: Equatable {
    public let poseModels: [ModelRow]
    public let detectors: [ModelRow]
    public let problems: [String]

    /// Lists the `.tflite` files of folders. Only those that no `pose_model.json` describes are read.
    ///
    /// - Parameters:
    ///   - bundle: what the app came with; nil: nothing that can be used.
    ///   - folders: others, such as one that the user puts files into.
    public init(bundle: ModelBundle?, folders: [URL] = []) {
        var (rows, problems): ([ModelRow], [String]) = ([], [])
        for folder in (bundle.map { [$0.folder] } ?? []) + folders {
            let own = folder == bundle?.folder ? bundle : nil
            do {
                let described = try besideDocument(in: folder).map(contractEntries)
                for file in try modelFiles(in: folder) {
                    do {
                        rows.append(try Self.row(file, described: described, bundle: own))
                    } catch {
                        problems.append("\(error)")
                    }
                }
            } catch {
                problems.append("\(folder.lastPathComponent): \(error)")
            }
        }
        poseModels = rows.filter { !$0.isDetector }
        detectors = rows.filter(\.isDetector)
        self.problems = problems
    }

    /// - Parameter bundle: the one that the file is of, if it is of one.
    private static func row(_ url: URL, described: JSON?, bundle: ModelBundle?) throws -> ModelRow {
        let name = url.lastPathComponent
        guard let entry = try described?[name] ?? embeddedContract(in: try readable(url), fileName: name) else {
            throw ContractError("\(name) has no contract, neither in \(contractName) nor inside.")
        }
        let task = try entry["task"]?.text() ?? "top_down"
        guard task == "top_down" || task == "detection" || KerasPoseCore.findsEverybody(task: task) else {
            throw ContractError("\(name) is a model for \(task); this app runs pose models and detectors.")
        }
        if let bundle, bundle.models["pose"] == name, bundle.task != task {
            throw ContractError("manifest.json is of a model for \(bundle.task), and \(name) is one for \(task). Run export/bundle_mobile.py and build the app again.")
        }
        let shape = try entry.member("input").member("shape", of: "input").items()
        let size = shape.count == 4 ? "\(try shape[2].integer())x\(try shape[1].integer())" : "?"
        let bytes = try url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
        let title = [
            try entry.member("model").text(), try entry.member("quantization").text(), size,
            String(format: "%.1f MB", Double(bytes) / 1e6),
        ].joined(separator: ", ")
        return ModelRow(url: url, title: title, task: task, boxThreshold: task == "detection" ? bundle?.boxThreshold : nil)
    }
}

private let contractName = "pose_model.json"

private func modelFiles(in folder: URL) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: [.fileSizeKey])
        .filter { $0.pathExtension == "tflite" }
        .sorted { $0.lastPathComponent < $1.lastPathComponent }
}

/// The `pose_model.json` of a folder; nil where there is none.
private func besideDocument(in folder: URL) throws -> JSON? {
    let path = folder.appendingPathComponent(contractName)
    guard FileManager.default.fileExists(atPath: path.path) else { return nil }
    return try JSON(bytes: try readable(path))
}

private func readable(_ url: URL) throws -> Data {
    do {
        return try Data(contentsOf: url, options: .mappedIfSafe)
    } catch {
        throw ContractError("\(url.lastPathComponent) cannot be read.")
    }
}
