import KerasPoseCore

/// What cameras and picture readers give, to the RGB that networks take.

/// Where the colours of a pixel of four bytes are.
public enum PixelOrder: Sendable {
    /// Of cameras (kCVPixelFormatType_32BGRA).
    case bgra
    /// Of bitmaps drawn by Core Graphics.
    case rgbx

    var red: Int { self == .bgra ? 2 : 0 }
    var blue: Int { self == .bgra ? 0 : 2 }
}

extension Picture {
    /// Copies an image of four bytes a pixel, whose rows may be longer than its width.
    ///
    /// - Parameters:
    ///   - bytes: of the first row on; `bytesPerRow` of each but the last row, which may end with its last pixel.
    ///   - bytesPerRow: at least four times the width; cameras pad rows to multiples of 64 bytes.
    /// - Throws: `ContractError` for rows that are too short, or too few.
    public init(copying bytes: UnsafeRawBufferPointer, size: ImageSize, bytesPerRow: Int, order: PixelOrder) throws {
        guard bytesPerRow >= 4 * size.width, bytes.count >= (size.height - 1) * bytesPerRow + 4 * size.width else {
            throw ContractError(
                "An image of \(size.width)x\(size.height) needs rows of \(4 * size.width) bytes; there are \(bytes.count) bytes in rows of \(bytesPerRow)."
            )
        }
        let count = 3 * size.width * size.height
        let pixels = [UInt8](unsafeUninitializedCapacity: count) { output, initialized in
            var to = 0
            for row in 0..<size.height {
                var from = row * bytesPerRow
                for _ in 0..<size.width {
                    output[to] = bytes[from + order.red]
                    output[to + 1] = bytes[from + 1]
                    output[to + 2] = bytes[from + order.blue]
                    from += 4
                    to += 3
                }
            }
            initialized = count
        }
        self.init(size: size, pixels: pixels)
    }
}
