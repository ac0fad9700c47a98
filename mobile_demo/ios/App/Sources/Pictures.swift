import CoreGraphics
import CoreVideo
import Foundation
import ImageIO
import KerasPoseCore
import KerasPoseDemo

/// The longer side of pictures, pixels: what networks see is smaller still.
private let longestSide = 1280

extension Picture {
    /// Copies a camera's frame.
    init(_ buffer: CVPixelBuffer) throws {
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else { throw CameraProblem.notUsable }
        let bytes = UnsafeRawBufferPointer(start: base, count: CVPixelBufferGetDataSize(buffer))
        let size = ImageSize(height: CVPixelBufferGetHeight(buffer), width: CVPixelBufferGetWidth(buffer))
        try self.init(copying: bytes, size: size, bytesPerRow: CVPixelBufferGetBytesPerRow(buffer), order: .bgra)
    }

    /// Reads a photo of any format that iOS knows, turned as its EXIF orientation says.
    ///
    /// - Throws: `ContractError` for what is no picture.
    init(photo: Data) throws {
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: true,
            kCGImageSourceThumbnailMaxPixelSize: longestSide,
        ]
        guard let source = CGImageSourceCreateWithData(photo as CFData, nil),
            let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
        else { throw ContractError("This picture cannot be read.") }
        try self.init(image)
    }

    /// Transparent parts of pictures are black to networks.
    private init(_ image: CGImage) throws {
        let size = ImageSize(height: image.height, width: image.width)
        guard let space = CGColorSpace(name: CGColorSpace.sRGB),
            let context = CGContext(
                data: nil, width: size.width, height: size.height, bitsPerComponent: 8, bytesPerRow: 0, space: space,
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue
            ), let data = context.data
        else { throw ContractError("This picture cannot be drawn.") }
        context.draw(image, in: CGRect(x: 0, y: 0, width: size.width, height: size.height))
        let bytes = UnsafeRawBufferPointer(start: data, count: context.bytesPerRow * size.height)
        try self.init(copying: bytes, size: size, bytesPerRow: context.bytesPerRow, order: .rgbx)
    }

    /// The same pixels, to be shown.
    var cgImage: CGImage? {
        guard let provider = CGDataProvider(data: Data(pixels) as CFData), let space = CGColorSpace(name: CGColorSpace.sRGB) else {
            return nil
        }
        return CGImage(
            width: size.width, height: size.height, bitsPerComponent: 8, bitsPerPixel: 8 * channels,
            bytesPerRow: channels * size.width, space: space, bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue),
            provider: provider, decode: nil, shouldInterpolate: true, intent: .defaultIntent
        )
    }
}
