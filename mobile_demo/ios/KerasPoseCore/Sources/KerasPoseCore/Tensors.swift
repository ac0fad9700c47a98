/// Pixels to what a file takes, and what it gives to real numbers; SPEC.md, section 4.

/// Types of tensors that these apps read and write.
public enum TensorType: String, Sendable {
    case uint8, int8, int16, int32, float32

    public var byteCount: Int {
        switch self {
        case .uint8, .int8: return 1
        case .int16: return 2
        case .int32, .float32: return 4
        }
    }
}

/// One input or output of a model file.
public struct TensorSpec: Equatable, Sendable {
    /// In the file's signature; tensors are found by it.
    public let name: String
    /// With batch; NHWC.
    public let shape: [Int]
    public let type: TensorType
    /// Real value of one integer step; nil: not quantized.
    public let scale: Double?
    /// The integer that stands for 0.
    public let zeroPoint: Int?

    public var count: Int { shape.reduce(1, *) }
}

/// Network input = (image / 255 - mean) / std; one number per network channel.
public struct Normalization: Equatable, Sendable {
    public let mean: [Double]
    public let std: [Double]
    public let isBGR: Bool
}

/// Turns RGB pixels into what the file's input takes: numbers of its type, to be written into its buffer.
///
/// - Parameter normalization: nil: it is inside the file.
/// - Throws: `ContractError` for inputs of a type that no image fits in.
public func toInput(_ pixels: [UInt8], spec: TensorSpec, normalization: Normalization?) throws -> [Float] {
    let values = normalization.map { normalized(pixels, by: $0) } ?? pixels.map { Float($0) }
    let limits: ClosedRange<Float>
    switch spec.type {
    case .float32: return values
    case .uint8: limits = 0...255
    case .int8: limits = -128...127
    default: throw ContractError("Images go in as uint8, int8 or float32, not \(spec.type.rawValue).")
    }
    let zeroPoint = Float(spec.zeroPoint ?? 0)
    let scale = spec.scale ?? 1
    if scale == 1, zeroPoint == 0, normalization == nil, spec.type == .uint8 { return values }
    return values.map { value in
        let steps = (Double(value) / scale).rounded(.toNearestOrEven)
        return min(limits.upperBound, max(limits.lowerBound, Float(steps) + zeroPoint))
    }
}

private func normalized(_ pixels: [UInt8], by normalization: Normalization) -> [Float] {
    let factors = normalization.std.map { 1 / (255 * Float($0)) }
    let offsets = zip(normalization.mean, normalization.std).map { Float($0) / Float($1) }
    return pixels.indices.map { i in
        let k = i % 3
        let source = normalization.isBGR ? i - k + 2 - k : i
        return Float(pixels[source]) * factors[k] - offsets[k]
    }
}

/// Turns what a file gives into real numbers: (value - zero point) * scale.
public func toReal(_ values: [Float], spec: TensorSpec) -> [Float] {
    guard let scale = spec.scale.map({ Float($0) }) else { return values }
    let zeroPoint = Float(spec.zeroPoint ?? 0)
    return values.map { ($0 - zeroPoint) * scale }
}
