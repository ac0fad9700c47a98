import Foundation
import KerasPoseCore

/// Reading a parity pack; docs/parity_pack.md says what is in it.

/// An array of the pack; of what is expected, with a tolerance and the entries that are compared.
struct Tensor {
    let shape: [Int]
    let values: [Double]
    let tolerance: Double
    let unit: String
    /// Of the shape of the first axes; nil: all entries.
    let isCompared: [Bool]?

    var floats: [Float] { values.map { Float($0) } }
    var bytes: [UInt8] { values.map { UInt8($0) } }
    var integers: [Int] { values.map { Int($0) } }

    /// The entries of the first axis, one by one.
    var parts: [[Double]] {
        let size = shape.dropFirst().reduce(1, *)
        return (0..<shape[0]).map { Array(values[$0 * size..<($0 + 1) * size]) }
    }

    /// An RGB image (height, width, 3).
    var picture: Picture { Picture(size: ImageSize(height: shape[0], width: shape[1]), pixels: bytes) }

    /// (N, 4) boxes xyxy.
    var boxes: [Box] { parts.map { Box(x1: $0[0], y1: $0[1], x2: $0[2], y2: $0[3]) } }
}

/// What goes into a case, or must come out of it.
struct Fields {
    let json: JSON
    let arrays: Data

    func member(_ key: String) throws -> JSON { try json.member(key) }
    func has(_ key: String) -> Bool { json[key] != nil }
    func tensor(_ key: String) throws -> Tensor { try read(try member(key)) }
    func tensors(_ key: String) throws -> [Tensor] { try member(key).items().map(read) }
    func fields(_ key: String) throws -> Fields { Fields(json: try member(key), arrays: arrays) }
    func list(_ key: String) throws -> [Fields] { try member(key).items().map { Fields(json: $0, arrays: arrays) } }
    func size(_ key: String) throws -> ImageSize { try member(key).size() }
    func number(_ key: String) throws -> Double { try member(key).number() }

    private func read(_ array: JSON) throws -> Tensor {
        let shape = try array.member("shape").integers()
        let count = shape.reduce(1, *)
        let values: [Double]
        if let listed = array["values"] {
            // null is NaN.
            values = try listed.items().map { try $0 == .null ? .nan : $0.number() }
        } else {
            let type = try array.member("dtype").text()
            values = try numbers(of: type, from: try array.member("offset").integer(), count: count)
        }
        guard values.count == count else { throw ContractError("An array of \(shape) has \(values.count) values.") }
        return Tensor(
            shape: shape,
            values: values,
            tolerance: try array["tolerance"]?.number() ?? 0,
            unit: try array["unit"]?.text() ?? "",
            isCompared: try array["where"].map { try read($0).values.map { $0 != 0 } }
        )
    }

    private func numbers(of type: String, from offset: Int, count: Int) throws -> [Double] {
        switch type {
        case "uint8": return try loaded(UInt8.self, offset, count) { Double($0) }
        case "int8": return try loaded(Int8.self, offset, count) { Double($0) }
        case "int16": return try loaded(Int16.self, offset, count) { Double(Int16(littleEndian: $0)) }
        case "int32": return try loaded(Int32.self, offset, count) { Double(Int32(littleEndian: $0)) }
        case "float32": return try loaded(UInt32.self, offset, count) { Double(Float(bitPattern: UInt32(littleEndian: $0))) }
        case "float64": return try loaded(UInt64.self, offset, count) { Double(bitPattern: UInt64(littleEndian: $0)) }
        default: throw ContractError("A parity pack has no arrays of the type \(type).")
        }
    }

    private func loaded<Raw>(_ type: Raw.Type, _ offset: Int, _ count: Int, _ number: (Raw) -> Double) throws -> [Double] {
        let size = MemoryLayout<Raw>.size
        guard offset >= 0, offset + count * size <= arrays.count else {
            throw ContractError("An array at \(offset) reaches beyond the \(arrays.count) bytes of arrays.bin.")
        }
        return arrays.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) -> [Double] in
            (0..<count).map { number(bytes.loadUnaligned(fromByteOffset: offset + $0 * size, as: type)) }
        }
    }
}

/// One golden case.
public struct ParityCase {
    /// Unique, such as "crop/beyond_the_left_edge".
    public let name: String
    public let kind: String
    /// The models that must be run: "pose", "detector".
    public let needs: [String]
    let given: Fields
    let expected: Fields
}

/// A folder of golden cases.
public struct ParityPack {
    public let cases: [ParityCase]
    /// The contract that each model's cases were made with, by "pose" and "detector".
    public let models: [String: Contract]
    /// SHA-256 of each model's file.
    public let hashes: [String: String]

    /// - Throws: `ContractError` for what is no pack, of another version, or incomplete.
    public init(folder: URL) throws {
        let index = try JSON(bytes: try Self.content(of: folder, "index.json"))
        guard index["format"] == .string("keras_pose parity pack"),
            try index.member("format_version").text().hasPrefix("1.")
        else { throw ContractError("\(folder.lastPathComponent) is no parity pack of a version that is known here.") }
        let arrays = try Self.content(of: folder, "arrays.bin")
        let promised = try index.member("files").member("arrays.bin").member("sha256").text()
        guard sha256(arrays) == promised else {
            throw ContractError("\(folder.lastPathComponent)/arrays.bin is not the file of its index.")
        }
        cases = try index.member("cases").items().map { values in
            ParityCase(
                name: try values.member("name").text(),
                kind: try values.member("kind").text(),
                needs: try values.member("needs").texts(),
                given: Fields(json: try values.member("given"), arrays: arrays),
                expected: Fields(json: try values.member("expected"), arrays: arrays)
            )
        }
        let described = index["models"] ?? .object([:])
        models = try Dictionary(uniqueKeysWithValues: described.keys.map { task in
            (task, try Contract(entry: try described.member(task).member("contract", of: task)))
        })
        hashes = try Dictionary(uniqueKeysWithValues: described.keys.map { task in
            (task, try described.member(task).member("sha256", of: task).text())
        })
    }

    private static func content(of folder: URL, _ name: String) throws -> Data {
        do {
            return try Data(contentsOf: folder.appendingPathComponent(name))
        } catch {
            throw ContractError("The parity pack \(folder.lastPathComponent) lacks \(name).")
        }
    }
}
