import Foundation

/// Numbers to the bytes of a file's tensors, and back; little-endian, as on every phone.

/// Lays numbers out as a tensor's type. Integers must be whole and within the type, which `toInput` sees to.
public func tensorBytes(_ values: [Float], as type: TensorType) -> Data {
    func data<Value>(_ converted: [Value]) -> Data { converted.withUnsafeBytes { Data($0) } }
    switch type {
    case .uint8: return Data(values.map { UInt8($0) })
    case .int8: return data(values.map { Int8($0) })
    case .int16: return data(values.map { Int16($0).littleEndian })
    case .int32: return data(values.map { Int32($0).littleEndian })
    case .float32: return data(values.map { $0.bitPattern.littleEndian })
    }
}

/// Reads what a tensor holds.
///
/// - Throws: `ContractError` where the bytes are not those of whole numbers of the type.
public func tensorValues(_ data: Data, as type: TensorType) throws -> [Float] {
    guard data.count % type.byteCount == 0 else {
        throw ContractError("A tensor of \(type.rawValue) has \(data.count) bytes.")
    }
    let count = data.count / type.byteCount
    return data.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) -> [Float] in
        func values<Raw>(_ raw: Raw.Type, _ number: (Raw) -> Float) -> [Float] {
            (0..<count).map { number(bytes.loadUnaligned(fromByteOffset: $0 * type.byteCount, as: raw)) }
        }
        switch type {
        case .uint8: return bytes.map { Float($0) }
        case .int8: return values(Int8.self) { Float($0) }
        case .int16: return values(Int16.self) { Float(Int16(littleEndian: $0)) }
        case .int32: return values(Int32.self) { Float(Int32(littleEndian: $0)) }
        case .float32: return values(UInt32.self) { Float(bitPattern: UInt32(littleEndian: $0)) }
        }
    }
}
