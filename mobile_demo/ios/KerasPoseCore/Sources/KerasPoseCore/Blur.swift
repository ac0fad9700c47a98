import Foundation

/// Smoothed heatmaps near their peaks, and the logarithm of them; SPEC.md, section 6.

/// One channel of heatmaps (height, width, channels).
struct HeatmapView {
    let maps: [Float]
    let height: Int
    let width: Int
    let channels: Int
    let channel: Int

    func at(_ y: Int, _ x: Int) -> Float { maps[(y * width + x) * channels + channel] }
}

/// What stands beyond the border of a map.
enum MapBorder {
    case zero
    /// d c b | a b c d | c b a
    case mirrored

    /// Which pixel stands at an index of the extended map; nil where it is 0.
    func source(of index: Int, size: Int) -> Int? {
        if index >= 0, index < size { return index }
        guard self == .mirrored else { return nil }
        return min(size - 1, max(0, index < 0 ? -index : 2 * (size - 1) - index))
    }
}

private let smallKernels: [Int: [Double]] = [
    1: [1],
    3: [1, 2, 1],
    5: [1, 4, 6, 4, 1],
    7: [2, 7, 14, 18, 14, 7, 2],
    9: [4, 13, 30, 51, 60, 51, 30, 13, 4],
]

/// The smoothing kernel of a size: OpenCV's where no sigma is given.
func gaussianKernel(_ size: Int) -> [Double] {
    let middle = Double(size - 1) / 2
    let sigma = 0.3 * (middle - 1) + 0.8
    let heights = smallKernels[size] ?? (0..<size).map { exp(-pow(Double($0) - middle, 2) / (2 * sigma * sigma)) }
    let sum = heights.reduce(0, +)
    return heights.map { $0 / sum }
}

/// The smoothed map at (2 reach + 1)^2 places around a position, rows first.
func blurAround(_ view: HeatmapView, x: Int, y: Int, kernel: [Double], reach: Int, border: MapBorder) -> [Double] {
    let side = 2 * reach + 1
    let radius = reach + (kernel.count - 1) / 2
    var near = [Double](repeating: 0, count: side * side)
    for j in -radius...radius {
        guard let row = border.source(of: y + j, size: view.height) else { continue }
        for i in 0..<side {
            var sum = 0.0
            for (t, weight) in kernel.enumerated() {
                guard let column = border.source(of: x - radius + i + t, size: view.width) else { continue }
                sum += weight * Double(view.at(row, column))
            }
            // This row counts for those places whose kernel covers it.
            for place in 0..<side where kernel.indices.contains(j + radius - place) {
                near[place * side + i] += kernel[j + radius - place] * sum
            }
        }
    }
    return near
}

private func highestBlurred(_ view: HeatmapView, kernel: [Double]) -> Double {
    var highest = -Double.infinity
    for y in 0..<view.height {
        for x in 0..<view.width {
            highest = max(highest, blurAround(view, x: x, y: y, kernel: kernel, reach: 0, border: .zero)[0])
        }
    }
    return highest
}

/// The logarithm of the smoothed map around its peak, up to a constant.
///
/// The smoothed map is scaled back to its old maximum and clipped. Differences of logarithms do not see the scale; so
/// it is only worked out where clipping could show it.
///
/// - Parameters:
///   - peak: the map's maximum, at (x, y).
///   - limits: what values are clipped to.
func logAround(
    _ view: HeatmapView, x: Int, y: Int, peak: Float, kernel: [Double], reach: Int, limits: ClosedRange<Double>
) -> [Double] {
    let near = blurAround(view, x: x, y: y, kernel: kernel, reach: reach, border: .zero)
    var scale = 1.0
    if Double(peak) > limits.upperBound || near.contains(where: { $0 <= limits.lowerBound }) {
        let highest = highestBlurred(view, kernel: kernel)
        scale = Double(peak) / (highest > 0 ? highest : 1)
    }
    return near.map { log(min(limits.upperBound, max(limits.lowerBound, $0 * scale))) }
}
