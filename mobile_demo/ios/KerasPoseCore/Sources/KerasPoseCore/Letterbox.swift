/// Fitting whole images into a detector's input; SPEC.md, section 5.

/// Grey that fills what the image leaves free.
private let padValue: UInt8 = 114

/// Shares of a pixel are counted in these: 11 bits.
private let units: Float = 2048

/// An image in a detector's input.
public struct Letterboxed: Equatable, Sendable {
    /// RGB, of the input's size.
    public let pixels: [UInt8]
    /// The part that is image.
    public let content: ImageSize
    /// Input pixels per image pixel.
    public let scaleX: Double
    public let scaleY: Double
}

/// The size to which an image shrinks or grows to fit into the input.
public func letterboxSize(of image: ImageSize, in input: ImageSize) -> ImageSize {
    let scale = min(Double(input.height) / Double(image.height), Double(input.width) / Double(image.width))
    func fit(_ side: Int) -> Int { max(1, Int((Double(side) * scale + 0.5).rounded(.down))) }
    return ImageSize(height: fit(image.height), width: fit(image.width))
}

/// Fits an image into the top left of the input, with grey beside it.
public func letterbox(_ image: Picture, into input: ImageSize) -> Letterboxed {
    let content = letterboxSize(of: image.size, in: input)
    let rows = taps(from: image.size.height, to: content.height, isWholeAtEdges: false)
    var resizer = RowResizer(image: image, columns: taps(from: image.size.width, to: content.width, isWholeAtEdges: true))
    var pixels = [UInt8](repeating: padValue, count: input.height * input.width * 3)
    for (row, tap) in rows.enumerated() {
        let (upper, lower) = resizer.rows(tap.first, tap.second)
        let start = row * input.width * 3
        for i in upper.indices {
            let sum = (tap.firstShare * (upper[i] >> 4)) >> 16 + (tap.secondShare * (lower[i] >> 4)) >> 16
            pixels[start + i] = UInt8(truncatingIfNeeded: (sum + 2) >> 2)
        }
    }
    return Letterboxed(
        pixels: pixels,
        content: content,
        scaleX: Double(content.width) / Double(image.size.width),
        scaleY: Double(content.height) / Double(image.size.height)
    )
}

/// Resizes rows along x, and keeps the last two: a lower row is often the next one's upper.
private struct RowResizer {
    let image: Picture
    let columns: [Tap]
    private var kept: [(index: Int, values: [Int])] = []

    init(image: Picture, columns: [Tap]) {
        self.image = image
        self.columns = columns
    }

    mutating func rows(_ first: Int, _ second: Int) -> (upper: [Int], lower: [Int]) {
        let upper = row(first)
        let lower = second == first ? upper : row(second)
        kept = [(first, upper), (second, lower)]
        return (upper, lower)
    }

    /// Weighted sums, below 2^20, of three channels a pixel.
    private func row(_ index: Int) -> [Int] {
        if let known = kept.first(where: { $0.index == index }) { return known.values }
        let start = index * image.size.width * image.channels
        var sums = [Int](repeating: 0, count: columns.count * 3)
        image.pixels.withUnsafeBufferPointer { pixels in
            for (i, tap) in columns.enumerated() {
                let (first, second) = (start + tap.first * image.channels, start + tap.second * image.channels)
                for k in 0..<3 {
                    sums[3 * i + k] = Int(pixels[first + k]) * tap.firstShare + Int(pixels[second + k]) * tap.secondShare
                }
            }
        }
        return sums
    }
}

/// Which two source pixels a pixel is mixed from, and their shares of 2048.
private struct Tap {
    let first: Int
    let second: Int
    let firstShare: Int
    let secondShare: Int
}

/// - Parameter isWholeAtEdges: whether pixels beyond the edge's centre are the edge's alone. (Along y they are mixed
///   of it twice, which rounds differently.)
private func taps(from sourceSize: Int, to size: Int, isWholeAtEdges: Bool) -> [Tap] {
    (0..<size).map { i in
        // Here, and only here, pixels are counted by their edges: half a pixel each way.
        let position = Float((Double(i) + 0.5) * (1 / (Double(size) / Double(sourceSize))) - 0.5)
        let floor = position.rounded(.down)
        let index = Int(floor)
        let isBeyond = index < 0 || index >= sourceSize - 1
        let share = isBeyond && isWholeAtEdges ? 0 : position - floor
        let first = min(max(0, index), sourceSize - 1)
        return Tap(
            first: first,
            second: isBeyond ? first : index + 1,
            firstShare: Int(((1 - share) * units).rounded(.toNearestOrEven)),
            secondShare: Int((share * units).rounded(.toNearestOrEven))
        )
    }
}
