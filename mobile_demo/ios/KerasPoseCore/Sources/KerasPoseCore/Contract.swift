import Foundation

/// Reading `pose_model.json`: what must be known of a model file; SPEC.md, section 12.

/// The version of contracts that is read here.
public let schemaVersion = 1

/// What is said of a file that cannot be used; to be shown as it is.
public struct ContractError: Error, LocalizedError, CustomStringConvertible, Equatable {
    public let description: String

    public init(_ description: String) { self.description = description }

    public var errorDescription: String? { description }
}

/// What a file is for.
public enum Contract: Equatable, Sendable {
    case pose(PoseContract)
    case detector(DetectorContract)
    case oneStage(OneStageContract)
    case bottomUp(BottomUpContract)

    /// Reads a file's contract, and holds the file against it. What stands beside the file is preferred to what stands
    /// inside.
    ///
    /// - Parameters:
    ///   - document: content of the `pose_model.json` beside the file; nil: there is none.
    ///   - fileName: key of its "models".
    ///   - bytes: the file's; nil: its hash is not checked, and only what stands beside it is read.
    /// - Throws: `ContractError` that names what is missing, or does not fit.
    public init(document: JSON?, fileName: String, bytes: Data?) throws {
        let models = try document.map(contractEntries)
        if let entry = models?[fileName] {
            if let bytes { try checkFile(entry, fileName: fileName, bytes: bytes) }
            try self.init(entry: entry)
        } else if let bytes, let embedded = try embeddedContract(in: bytes, fileName: fileName) {
            try self.init(entry: embedded)
        } else {
            let beside = models.map { "The contract describes \($0.keys.joined(separator: ", ")), but not \(fileName)" }
            let inside = bytes == nil ? "" : ", and there is no contract inside \(fileName)"
            throw ContractError("\(beside ?? "There is no pose_model.json")\(inside).")
        }
    }

    /// Reads one entry of a contract.
    public init(entry: JSON) throws {
        switch try entry["task"]?.text() ?? "top_down" {
        case "top_down": self = .pose(try PoseContract(entry))
        case "detection": self = .detector(try DetectorContract(entry))
        case "one_stage": self = .oneStage(try OneStageContract(entry))
        case "bottom_up": self = .bottomUp(try BottomUpContract(entry))
        case let task: throw ContractError("This app runs pose models and detectors, not models for \(task).")
        }
    }

    public var model: String { common.model }
    public var quantization: String { common.quantization }
    public var input: TensorSpec { common.input }
    public var normalization: Normalization? { common.normalization }
    public var signature: String? { common.signature }
    public var operatorAudit: [String: OperatorShare] { common.operatorAudit }

    /// What the file is for, as its contract says it.
    public var task: String {
        switch self {
        case .pose: return "top_down"
        case .detector: return "detection"
        case .oneStage: return "one_stage"
        case .bottomUp: return "bottom_up"
        }
    }

    /// Of the people that the network finds; nil: it is a detector.
    public var skeleton: Skeleton? {
        switch self {
        case .pose(let contract): return contract.skeleton
        case .detector: return nil
        case .oneStage(let contract): return contract.skeleton
        case .bottomUp(let contract): return contract.skeleton
        }
    }

    /// All outputs: of a pose model that of visibility is the second, if it has one; of a detector the scores level by
    /// level, then the distances.
    public var outputs: [TensorSpec] {
        switch self {
        case .pose(let contract): return [contract.output] + (contract.visibility.map { [$0.output] } ?? [])
        case .detector(let contract): return contract.levels.map(\.scores) + contract.levels.map(\.distances)
        case .oneStage(let contract): return contract.outputs
        case .bottomUp(let contract): return contract.outputs
        }
    }

    private var common: ContractHead {
        switch self {
        case .pose(let contract): return contract.head
        case .detector(let contract): return contract.head
        case .oneStage(let contract): return contract.head
        case .bottomUp(let contract): return contract.head
        }
    }
}

/// The "models" of a `pose_model.json` of a version that is known here.
///
/// - Throws: `ContractError` for one of another version.
public func contractEntries(of document: JSON) throws -> JSON {
    try checkVersion(document)
    return try document.member("models")
}

func checkVersion(_ document: JSON) throws {
    guard document["schema_version"] == .number(Double(schemaVersion)) else {
        let version = try? document["schema_version"]?.number()
        let shown = version.map { String(format: "%g", $0) } ?? "none"
        let isNewer = version.map { $0 > Double(schemaVersion) } ?? false
        let remedy = isNewer ? " A newer version of keras_pose wrote it: update this app." : ""
        throw ContractError("The contract has schema version \(shown); this app reads \(schemaVersion).\(remedy)")
    }
}

private func checkFile(_ entry: JSON, fileName: String, bytes: Data) throws {
    let actual = sha256(bytes)
    let promised = try entry["file"]?["sha256"]?.text()
    guard promised == actual else {
        throw ContractError(
            "\(fileName) is not the file its contract describes: its SHA-256 begins \(actual.prefix(12)), "
                + "the contract says \(promised.map { String($0.prefix(12)) } ?? "none"). Export it anew."
        )
    }
}

/// What contracts of all tasks have.
public struct ContractHead: Equatable, Sendable {
    public let model: String
    public let quantization: String
    /// Of the TFLite signature; nil: the file has none.
    public let signature: String?
    public let input: TensorSpec
    /// nil: it is inside the file.
    public let normalization: Normalization?
    /// What accelerators are expected to take of the file, by their names, such as "GPU"; none: the contract does not say it.
    public let operatorAudit: [String: OperatorShare]

    fileprivate init(_ entry: JSON) throws {
        model = try entry.member("model").text()
        quantization = try entry.member("quantization").text()
        signature = try entry["signature"]?.text()
        let values = try entry.member("input")
        let order = try values.member("channel_order", of: "input").text()
        guard order == "RGB" else { throw ContractError("This model wants \(order) images; this app gives RGB.") }
        input = try TensorSpec(values)
        normalization = try Normalization(input: values)
        guard input.shape.count == 4, input.shape[3] == 3, input.shape.allSatisfy({ $0 > 0 }) else {
            throw ContractError("The contract says \(crossed(input.shape)) for the input of \(model), expected 1 x height x width x 3.")
        }
        guard [.uint8, .int8, .float32].contains(input.type) else {
            throw ContractError("Images go in as uint8, int8 or float32, not \(input.type.rawValue).")
        }
        var shares: [String: OperatorShare] = [:]
        if let audit = entry["operator_audit"] {
            for name in audit.keys { shares[name] = try OperatorShare(audit.member(name), "operator_audit.\(name)") }
        }
        operatorAudit = shares
    }

    var inputSize: ImageSize { ImageSize(height: input.shape[1], width: input.shape[2]) }
}

/// What an accelerator is expected to take of a file by its published rules: a prediction, for people.
public struct OperatorShare: Equatable, Sendable {
    /// Those that compute.
    public let numOperators: Int
    public let numTaken: Int
    /// Stretches of the graph on it; each but one costs copies to and fro.
    public let numPartitions: Int
    /// What it leaves to the CPU, the most frequent first.
    public let left: [LeftOperators]

    fileprivate init(_ values: JSON, _ name: String) throws {
        numOperators = try values.member("operators", of: name).integer()
        numTaken = try values.member("taken", of: name).integer()
        numPartitions = try values.member("partitions", of: name).integer()
        left = try values.member("left", of: name).items().map {
            LeftOperators(
                kind: try $0.member("operator", of: "\(name).left").text(), reason: try $0.member("reason", of: "\(name).left").text(),
                count: try $0.member("count", of: "\(name).left").integer()
            )
        }
    }
}

/// Operators of a kind, and why an accelerator does not take them.
public struct LeftOperators: Equatable, Sendable {
    public let kind: String
    public let reason: String
    public let count: Int
}

public struct PoseContract: Equatable, Sendable {
    public let head: ContractHead
    public let output: TensorSpec
    /// Factor from person box to crop.
    public let boxPadding: Double
    public let codec: Codec
    public let skeleton: Skeleton
    /// nil: the file does not say it.
    public let visibility: Visibility?
    /// nil: scores are what they are.
    public let scoreCalibration: ScoreCalibration?

    public var input: TensorSpec { head.input }
    public var normalization: Normalization? { head.normalization }
    public var inputSize: ImageSize { head.inputSize }

    init(_ entry: JSON) throws {
        head = try ContractHead(entry)
        output = try TensorSpec(try entry.member("output"))
        codec = try Codec(try entry.member("codec"))
        skeleton = try Skeleton(try entry.member("skeleton"))
        boxPadding = try entry.member("crop").member("box_padding", of: "crop").number()
        visibility = try Visibility(entry, numKeypoints: skeleton.names.count)
        scoreCalibration = try ScoreCalibration(entry)
        let expected = codec.outputShape(numKeypoints: skeleton.names.count)
        try mustBe("output of \(head.model)", Array(output.shape.dropFirst()), expected)
        try mustBe("input of \(head.model)", Array(input.shape.dropFirst()), [codec.input.height, codec.input.width, 3])
    }
}

/// The tensors of one output map.
public struct LevelSpec: Equatable, Sendable {
    /// Input pixels per cell.
    public let stride: Int
    public let scores: TensorSpec
    public let distances: TensorSpec
}

public struct DetectorContract: Equatable, Sendable {
    public let head: ContractHead
    public let levels: [LevelSpec]
    public let classNames: [String]
    public let settings: BoxSettings

    public var input: TensorSpec { head.input }
    public var normalization: Normalization? { head.normalization }
    public var inputSize: ImageSize { head.inputSize }

    init(_ entry: JSON) throws {
        let head = try ContractHead(entry)
        let classNames = try entry.member("class_names").texts()
        let strides = try entry.member("strides").integers()
        let scores = try entry.member("scores").items().map { try TensorSpec($0) }
        let distances = try entry.member("distances").items().map { try TensorSpec($0) }
        guard scores.count == strides.count, distances.count == strides.count, strides.allSatisfy({ $0 > 0 }) else {
            throw ContractError(
                "The contract of \(head.model) has \(strides.count) strides, \(scores.count) scores and "
                    + "\(distances.count) distances; each level needs one of each."
            )
        }
        for (i, stride) in strides.enumerated() {
            let cells = [head.inputSize.height / stride, head.inputSize.width / stride]
            try mustBe("scores of \(head.model)", Array(scores[i].shape.dropFirst()), cells + [classNames.count])
            try mustBe("distances of \(head.model)", Array(distances[i].shape.dropFirst()), cells + [4])
        }
        self.head = head
        self.classNames = classNames
        settings = try BoxSettings(try entry.member("settings"))
        levels = strides.indices.map { LevelSpec(stride: strides[$0], scores: scores[$0], distances: distances[$0]) }
    }
}

/// Tensors of N people: scores (N), boxes (N, 4), keypoints (N, 2 K) and visibility (N, K).
public struct OneStageContract: Equatable, Sendable {
    public let head: ContractHead
    public let scores: TensorSpec
    public let boxes: TensorSpec
    public let keypoints: TensorSpec
    public let visibility: TensorSpec
    public let codec: PeopleCodec
    public let skeleton: Skeleton

    public var input: TensorSpec { head.input }
    public var normalization: Normalization? { head.normalization }
    public var inputSize: ImageSize { head.inputSize }
    public var outputs: [TensorSpec] { [scores, boxes, keypoints, visibility] }

    init(_ entry: JSON) throws {
        head = try ContractHead(entry)
        scores = try TensorSpec(try entry.member("scores"))
        boxes = try TensorSpec(try entry.member("boxes"))
        keypoints = try TensorSpec(try entry.member("keypoints"))
        visibility = try TensorSpec(try entry.member("visibility"))
        codec = try PeopleCodec(try entry.member("codec"))
        skeleton = try Skeleton(try entry.member("skeleton"))
        let numKeypoints = skeleton.names.count
        let people = Array(scores.shape.dropFirst().prefix(1))
        try mustBe("scores of \(head.model)", Array(scores.shape.dropFirst()), people)
        try mustBe("boxes of \(head.model)", Array(boxes.shape.dropFirst()), people + [4])
        try mustBe("keypoints of \(head.model)", Array(keypoints.shape.dropFirst()), people + [2 * numKeypoints])
        try mustBe("visibility of \(head.model)", Array(visibility.shape.dropFirst()), people + [numKeypoints])
    }
}

/// Tensors of K keypoints and L limbs: heatmaps (h, w, K + 1), the background last, and fields (h, w, 2 L).
public struct BottomUpContract: Equatable, Sendable {
    public let head: ContractHead
    public let heatmaps: TensorSpec
    public let fields: TensorSpec
    public let codec: PartAffinityCodec
    /// Its limbs are those of the fields.
    public let skeleton: Skeleton

    public var input: TensorSpec { head.input }
    public var normalization: Normalization? { head.normalization }
    public var inputSize: ImageSize { head.inputSize }
    public var outputs: [TensorSpec] { [heatmaps, fields] }

    init(_ entry: JSON) throws {
        head = try ContractHead(entry)
        heatmaps = try TensorSpec(try entry.member("heatmaps"))
        fields = try TensorSpec(try entry.member("fields"))
        codec = try PartAffinityCodec(try entry.member("codec"))
        skeleton = try Skeleton(try entry.member("skeleton"))
        guard !skeleton.limbPairs.isEmpty else {
            throw ContractError("The contract of \(head.model): a bottom-up network needs a skeleton with limbs, got \(skeleton.name).")
        }
        let cells = [codec.cells.height, codec.cells.width]
        try mustBe("heatmaps of \(head.model)", Array(heatmaps.shape.dropFirst()), cells + [skeleton.names.count + 1])
        try mustBe("fields of \(head.model)", Array(fields.shape.dropFirst()), cells + [2 * skeleton.limbPairs.count])
        try mustBe("input of \(head.model)", Array(input.shape.dropFirst()), [codec.input.height, codec.input.width, 3])
    }
}

extension TensorSpec {
    /// Reads a tensor's entry.
    public init(_ values: JSON) throws {
        let typeName = try values.member("dtype", of: "tensor").text()
        guard let type = TensorType(rawValue: typeName) else {
            throw ContractError("This app has no tensors of the type \(typeName).")
        }
        self.init(
            name: try values.member("name", of: "tensor").text(),
            // null stands for any number of images.
            shape: try values.member("shape", of: "tensor").items().map { try $0 == .null ? 1 : $0.integer() },
            type: type,
            scale: try values["scale"]?.number(),
            zeroPoint: try values["zero_point"]?.integer()
        )
    }
}

extension Normalization {
    /// Reads the normalisation of an input's entry; nil where it has none.
    public init?(input: JSON) throws {
        guard let values = input["normalization"] else { return nil }
        mean = try values.member("mean", of: "normalization").numbers()
        std = try values.member("std", of: "normalization").numbers()
        isBGR = try values.member("channel_order", of: "normalization").text() == "bgr"
        guard mean.count == 3, std.count == 3 else {
            throw ContractError("A normalization has three means and stds, got \(mean.count) and \(std.count).")
        }
    }
}

extension Skeleton {
    init(_ values: JSON) throws {
        let names = try values.member("names", of: "skeleton").texts()
        func pairs(_ key: String) throws -> [[Int]] {
            let pairs = try values.member(key, of: "skeleton").items().map { try $0.integers() }
            for pair in pairs where pair.count != 2 || !pair.allSatisfy(names.indices.contains) {
                throw ContractError("The contract's skeleton.\(key) must be pairs below \(names.count), got \(pair).")
            }
            return pairs
        }
        let sigmas = try values.member("oks_sigmas", of: "skeleton").numbers()
        guard sigmas.isEmpty || sigmas.count == names.count else {
            throw ContractError("The contract has \(sigmas.count) oks_sigmas for \(names.count) keypoints.")
        }
        self.init(
            name: try values.member("name", of: "skeleton").text(),
            names: names,
            limbPairs: try pairs("limb_pairs"),
            mirrorPairs: try pairs("mirror_pairs"),
            oksSigmas: sigmas
        )
    }
}

func mustBe(_ what: String, _ actual: [Int], _ expected: [Int]) throws {
    guard actual == expected else {
        throw ContractError("The contract says \(crossed(actual)) for the \(what), expected \(crossed(expected)).")
    }
}

/// A shape for people: 64x48x17.
func crossed(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: "x") }
