/// Boxes, crops and affine maps; SPEC.md, sections 1 to 3. A pixel's centre has whole coordinates.

private let sides = 1e-2...1e6

/// x' = a x + b y + tx, y' = c x + d y + ty.
public struct Affine: Equatable, Sendable {
    public let a: Double, b: Double, tx: Double
    public let c: Double, d: Double, ty: Double

    public var inverse: Affine {
        let share = 1 / (a * d - b * c)
        let (ia, ib) = (d * share, -b * share)
        let (ic, id) = (-c * share, a * share)
        return Affine(a: ia, b: ib, tx: -(ia * tx + ib * ty), c: ic, d: id, ty: -(ic * tx + id * ty))
    }

    /// Row by row: a, b, tx, c, d, ty.
    public var values: [Double] { [a, b, tx, c, d, ty] }

    /// Moves points x, y, x, y, ...
    public func move(_ points: [Double]) -> [Double] {
        stride(from: 0, to: points.count, by: 2).flatMap { i -> [Double] in
            let (x, y) = (points[i], points[i + 1])
            return [a * x + b * y + tx, c * x + d * y + ty]
        }
    }
}

/// What is cut out around a person: of the input's shape, image pixels.
public struct CropRegion: Equatable, Sendable {
    public let centerX: Double
    public let centerY: Double
    public let width: Double
    public let height: Double

    /// - Parameter padding: factor from box to crop.
    public init(around box: Box, input: ImageSize, padding: Double) {
        let aspect = Double(input.width) / Double(input.height)
        centerX = box.x1 + box.width / 2
        centerY = box.y1 + box.height / 2
        width = max(box.width, box.height * aspect) * padding
        height = width / aspect
    }
}

/// Builds the map from image pixels to the pixels of a person's crop.
///
/// - Parameters:
///   - padding: factor from box to crop.
///   - isUnbiased: cut as UDP does.
public func cropMatrix(box: Box, input: ImageSize, padding: Double, isUnbiased: Bool) -> Affine {
    let width = Double(input.width)
    let height = Double(input.height)
    let region = CropRegion(around: box, input: input, padding: padding)
    let lost = isUnbiased ? 1.0 : 0.0
    let zoomX = (width - lost) / width * width / region.width
    let zoomY = (height - lost) / height * width / region.width
    return Affine(
        a: zoomX, b: 0, tx: (width - lost) / 2 - zoomX * region.centerX,
        c: 0, d: zoomY, ty: (height - lost) / 2 - zoomY * region.centerY
    )
}

/// Cuts a crop out of an image: bilinear, black outside; height * width * 3 bytes.
public func warpImage(_ image: Picture, by matrix: Affine, to output: ImageSize) -> [UInt8] {
    let back = matrix.inverse.values.map { Float($0) }
    var crop = [UInt8](repeating: 0, count: output.height * output.width * 3)
    image.pixels.withUnsafeBufferPointer { pixels in
        let sampler = Sampler(pixels: pixels, size: image.size, channels: image.channels)
        crop.withUnsafeMutableBufferPointer { crop in
            for row in 0..<output.height {
                let startX = back[1] * Float(row) + back[2]
                let startY = back[4] * Float(row) + back[5]
                for column in 0..<output.width {
                    let x = fused(Float(column), back[0], startX)
                    let y = fused(Float(column), back[3], startY)
                    sampler.sample(x: x, y: y, into: crop, at: (row * output.width + column) * 3)
                }
            }
        }
    }
    return crop
}

/// Reads between the pixels of an image.
private struct Sampler {
    let pixels: UnsafeBufferPointer<UInt8>
    let size: ImageSize
    let channels: Int

    /// Writes the three channels at a place of the image; leaves black ones as they are.
    func sample(x: Float, y: Float, into output: UnsafeMutableBufferPointer<UInt8>, at index: Int) {
        let left = x.rounded(.down)
        let top = y.rounded(.down)
        // Far outside, and where a number is none, there is no whole number of pixels.
        guard left >= -1, top >= -1, left < Float(size.width), top < Float(size.height) else { return }
        let row = Int(top)
        let column = Int(left)
        for k in 0..<3 {
            let above = mix(level(row, column, k), level(row, column + 1, k), x - left)
            let below = mix(level(row + 1, column, k), level(row + 1, column + 1, k), x - left)
            let value = fused(y - top, below - above, above)
            output[index + k] = UInt8(value.rounded(.toNearestOrEven))
        }
    }

    /// 0 to 255; black outside.
    private func level(_ row: Int, _ column: Int, _ k: Int) -> Float {
        guard row >= 0, column >= 0, row < size.height, column < size.width else { return 0 }
        return Float(pixels[(row * size.width + column) * channels + k])
    }

    private func mix(_ first: Float, _ second: Float, _ share: Float) -> Float {
        fused(share, second - first, first)
    }
}

/// a * b + c, rounded once, as OpenCV's fused operations do.
private func fused(_ a: Float, _ b: Float, _ c: Float) -> Float {
    c.addingProduct(a, b)
}

/// The box from the first pixel's centre to the last one's: the whole image is one person.
public func wholeImageBox(_ image: ImageSize) -> Box {
    Box(x1: 0, y1: 0, x2: Double(max(1, image.width - 1)), y2: Double(max(1, image.height - 1)))
}

/// Whether a person can be cut out by a box: finite, of a sane size, not outside the image.
public func isUsable(_ box: Box, in image: ImageSize) -> Bool {
    let isFinite = box.corners.allSatisfy(\.isFinite)
    let isSane = sides.contains(box.width) && sides.contains(box.height)
    let meets = box.x1 < Double(image.width) && box.y1 < Double(image.height) && box.x2 > 0 && box.y2 > 0
    return isFinite && isSane && meets
}
