import Foundation

/// The contract inside a `.tflite` file, by which one file travels alone; docs/contract.md, "Where it is".
///
/// The file is not trusted: every offset is checked. A flatbuffer's numbers are little-endian. A table begins with the
/// signed way back to its vtable, which says where in the table its fields are; a reference is the way forward.

private let identifier = "TFL3"
private let contractKey = "KERAS_POSE_CONTRACT"
/// Contracts have some thousand bytes.
private let maxBytes = 1 << 20

/// Fields of Model, of Metadata and of Buffer (TFLite's schema, version 3).
private enum Field {
    static let buffers = 4
    static let metadata = 6
    static let metadataName = 0
    static let metadataBuffer = 1
    static let bufferData = 0
}

/// Reads the contract that a file carries.
///
/// - Returns: the document; nil for a file without one.
/// - Throws: `ContractError` for a damaged file, one whose contract was written for other bytes, and a contract of another version.
public func embeddedContract(in file: Data, fileName: String) throws -> JSON? {
    let bytes = [UInt8](file)
    let (text, document): (Range<Int>, JSON)
    do {
        guard let found = try findText(in: bytes) else { return nil }
        (text, document) = (found, try JSON(bytes: bytes[found]))
    } catch let error as ContractError {
        throw ContractError("\(fileName) is damaged: \(error)")
    }
    // First: where another version says what of the file, is not known.
    try checkVersion(document)
    do {
        var blank = bytes
        for i in text { blank[i] = 0 }
        let promised = try document.member("embedded").member("sha256_with_this_text_as_zeros", of: "embedded").text()
        if promised == sha256(blank) { return document }
    } catch let error as ContractError {
        throw ContractError("\(fileName) is damaged: \(error)")
    }
    throw ContractError("\(fileName) is not the file that the contract inside was written for. Export it anew.")
}

private func findText(in bytes: [UInt8]) throws -> Range<Int>? {
    guard bytes.count >= 8, bytes[4..<8].elementsEqual(identifier.utf8) else { return nil }
    let reader = FlatReader(bytes: bytes)
    let root = try reader.follow(0)
    for entry in try reader.tables(root, Field.metadata) {
        let name = try reader.vector(entry, Field.metadataName, itemSize: 1)
        guard bytes[name].elementsEqual(contractKey.utf8) else { continue }
        let number = try reader.field(entry, Field.metadataBuffer).map(reader.unsigned) ?? 0
        let buffers = try reader.tables(root, Field.buffers)
        guard number < buffers.count else { throw ContractError("Buffer \(number) is not there.") }
        let text = try reader.vector(buffers[number], Field.bufferData, itemSize: 1)
        guard text.count <= maxBytes else { throw ContractError("A contract of \(text.count) bytes is too long.") }
        return text
    }
    return nil
}

/// Positions count from the beginning of the bytes.
private struct FlatReader {
    let bytes: [UInt8]

    private func number(at position: Int, size: Int) throws -> Int {
        guard position >= 0, position + size <= bytes.count else {
            throw ContractError("\(size) bytes at \(position) of \(bytes.count) are not there.")
        }
        return (0..<size).reduce(0) { $0 | Int(bytes[position + $1]) << (8 * $1) }
    }

    func unsigned(_ position: Int) throws -> Int { try number(at: position, size: 4) }

    private func signed(_ position: Int) throws -> Int {
        Int(Int32(truncatingIfNeeded: try number(at: position, size: 4)))
    }

    /// Where a reference leads.
    func follow(_ position: Int) throws -> Int { position + (try unsigned(position)) }

    /// Where a table's field is; nil where it is left out.
    func field(_ table: Int, _ index: Int) throws -> Int? {
        let vtable = table - (try signed(table))
        let slot = 4 + 2 * index
        guard slot + 2 <= (try number(at: vtable, size: 2)) else { return nil }
        let offset = try number(at: vtable + slot, size: 2)
        return offset == 0 ? nil : table + offset
    }

    /// The bytes of a field that is a vector, or a string; none where it is left out.
    func vector(_ table: Int, _ index: Int, itemSize: Int) throws -> Range<Int> {
        guard let position = try field(table, index) else { return 0..<0 }
        let start = try follow(position)
        let end = start + 4 + (try unsigned(start)) * itemSize
        guard end <= bytes.count else { throw ContractError("A vector at \(start) reaches beyond the \(bytes.count) bytes.") }
        return start + 4..<end
    }

    /// The tables of a field that is a vector of them.
    func tables(_ table: Int, _ index: Int) throws -> [Int] {
        let places = try vector(table, index, itemSize: 4)
        return try stride(from: places.lowerBound, to: places.upperBound, by: 4).map(follow)
    }
}
