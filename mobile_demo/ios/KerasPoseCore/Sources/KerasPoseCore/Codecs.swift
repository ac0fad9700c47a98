/// A network's outputs to keypoints of the crop; SPEC.md, section 6.

private let float32Epsilon = 1.1920928955078125e-7
private let darkLimits = 1e-10...Double.infinity
private let udpLimits = 1e-3...50.0

/// Keypoints of a crop.
public struct CropKeypoints: Equatable, Sendable {
    /// x, y, x, y, ..., input pixels.
    public var keypointsXY: [Float]
    public var scores: [Float]
}

/// How outputs become keypoints, as it stands in contracts.
public struct Codec: Equatable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        case gaussian, dark, udp, simcc, regression, decoded
        case udpOffset = "udp_offset"
    }

    public let kind: Kind
    public let input: ImageSize
    /// Input pixels per heatmap pixel; 1 where there are no maps.
    let stride: Int
    /// Side of the smoothing kernel; 0 where nothing is smoothed.
    let blurKernel: Int
    let offsetBlurKernel: Int
    /// Of the discs of `udpOffset`, heatmap pixels.
    let radius: Double
    /// Bins per input pixel, of `simcc`.
    let splitRatio: Double
    /// Whether crops are cut as UDP does.
    public let isUnbiased: Bool

    private var mapWidth: Int { input.width / stride }
    private var mapHeight: Int { input.height / stride }
    // Halves to the even one, as in Python.
    private var binsX: Int { Int((Double(input.width) * splitRatio).rounded(.toNearestOrEven)) }
    private var binsY: Int { Int((Double(input.height) * splitRatio).rounded(.toNearestOrEven)) }
    private var pixelX: Double { isUnbiased ? Double(input.width - 1) / Double(mapWidth - 1) : Double(stride) }
    private var pixelY: Double { isUnbiased ? Double(input.height - 1) / Double(mapHeight - 1) : Double(stride) }

    /// What a file's output must look like, without batch.
    public func outputShape(numKeypoints: Int) -> [Int] {
        switch kind {
        case .regression: return [numKeypoints, 2]
        case .decoded: return [numKeypoints, 3]
        case .simcc: return [numKeypoints, binsX + binsY]
        case .udpOffset: return [mapHeight, mapWidth, 3 * numKeypoints]
        case .gaussian, .dark, .udp: return [mapHeight, mapWidth, numKeypoints]
        }
    }

    /// Finds the keypoints of one crop.
    ///
    /// - Parameter outputs: real numbers, of `outputShape`.
    /// - Throws: `ContractError` for another number of values.
    public func decode(_ outputs: [Float], numKeypoints: Int) throws -> CropKeypoints {
        let shape = outputShape(numKeypoints: numKeypoints)
        guard outputs.count == shape.reduce(1, *) else {
            throw ContractError("The codec \(kind.rawValue) takes \(crossed(shape)) values, got \(outputs.count).")
        }
        var found = CropKeypoints(keypointsXY: [], scores: [])
        for k in 0..<numKeypoints {
            let point = decodeOne(outputs, numKeypoints: numKeypoints, k: k)
            found.keypointsXY += [Float(point.x), Float(point.y)]
            found.scores.append(point.score)
        }
        return found
    }

    private typealias Point = (x: Double, y: Double, score: Float)
    private typealias Step = (x: Double, y: Double)

    private func decodeOne(_ outputs: [Float], numKeypoints: Int, k: Int) -> Point {
        switch kind {
        case .regression:
            let (x, y) = (outputs[2 * k] * Float(input.width), outputs[2 * k + 1] * Float(input.height))
            return (Double(x), Double(y), 1)
        case .decoded: return (Double(outputs[3 * k]), Double(outputs[3 * k + 1]), outputs[3 * k + 2])
        case .simcc: return decodeBins(outputs, k: k)
        case .udpOffset: return decodeDisc(outputs, numKeypoints: numKeypoints, k: k)
        case .gaussian, .dark, .udp:
            return decodeMap(view(outputs, channels: numKeypoints, channel: k))
        }
    }

    private func view(_ maps: [Float], channels: Int, channel: Int) -> HeatmapView {
        HeatmapView(maps: maps, height: mapHeight, width: mapWidth, channels: channels, channel: channel)
    }

    private func decodeMap(_ view: HeatmapView) -> Point {
        let (x, y) = firstMaximum { view.at($0, $1) }
        let peak = view.at(y, x)
        guard peak > 0 else { return (0, 0, peak) }
        let step: Step
        switch kind {
        case .gaussian: step = quarterPixel(view, x: x, y: y)
        case .dark: step = darkStep(view, x: x, y: y, peak: peak)
        default: step = udpStep(view, x: x, y: y, peak: peak)
        }
        return ((Double(x) + step.x) * pixelX, (Double(y) + step.y) * pixelY, peak)
    }

    /// The first place of the highest value, row by row.
    private func firstMaximum(_ value: (_ row: Int, _ column: Int) -> Float) -> (x: Int, y: Int) {
        var best = (x: 0, y: 0)
        var highest = value(0, 0)
        for y in 0..<mapHeight {
            for x in 0..<mapWidth where value(y, x) > highest {
                highest = value(y, x)
                best = (x, y)
            }
        }
        return best
    }

    /// A quarter pixel towards the higher neighbour, within the outer two pixels.
    private func quarterPixel(_ view: HeatmapView, x: Int, y: Int) -> Step {
        guard x > 1, x < view.width - 1, y > 1, y < view.height - 1 else { return (0, 0) }
        func quarter(_ slope: Float) -> Double { slope > 0 ? 0.25 : slope < 0 ? -0.25 : 0 }
        return (
            quarter(view.at(y, x + 1) - view.at(y, x - 1)),
            quarter(view.at(y + 1, x) - view.at(y - 1, x))
        )
    }

    /// DARK's step to the top of a parabola; derivatives over two pixels each way.
    private func darkStep(_ view: HeatmapView, x: Int, y: Int, peak: Float) -> Step {
        guard x > 1, x < view.width - 2, y > 1, y < view.height - 2 else { return (0, 0) }
        let kernel = gaussianKernel(blurKernel)
        let logs = logAround(view, x: x, y: y, peak: peak, kernel: kernel, reach: 2, limits: darkLimits)
        func at(_ dy: Int, _ dx: Int) -> Double { logs[(dy + 2) * 5 + dx + 2] }
        let top = at(0, 0)
        return newtonStep(
            slope: ((at(0, 1) - at(0, -1)) / 2, (at(1, 0) - at(-1, 0)) / 2),
            bendXX: (at(0, 2) - 2 * top + at(0, -2)) / 4,
            bendYY: (at(2, 0) - 2 * top + at(-2, 0)) / 4,
            bendXY: (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
        )
    }

    /// UDP's step: derivatives over one pixel, also at the border, whose pixels repeat.
    private func udpStep(_ view: HeatmapView, x: Int, y: Int, peak: Float) -> Step {
        let kernel = gaussianKernel(blurKernel)
        let logs = logAround(view, x: x, y: y, peak: peak, kernel: kernel, reach: 1, limits: udpLimits)
        func inside(_ value: Int, _ size: Int) -> Int { min(size - 1, max(0, value)) }
        func at(_ dy: Int, _ dx: Int) -> Double {
            logs[(inside(y + dy, view.height) - y + 1) * 3 + inside(x + dx, view.width) - x + 1]
        }
        let top = at(0, 0)
        let around = at(0, 1) + at(1, 0) + at(0, -1) + at(-1, 0)
        return newtonStep(
            slope: ((at(0, 1) - at(0, -1)) / 2, (at(1, 0) - at(-1, 0)) / 2),
            bendXX: at(0, 1) - 2 * top + at(0, -1) + float32Epsilon,
            bendYY: at(1, 0) - 2 * top + at(-1, 0) + float32Epsilon,
            bendXY: (at(1, 1) + at(-1, -1) + 2 * top - around) / 2
        )
    }

    /// -H^-1 g, for the slopes g and the bends H; no step where H is singular.
    private func newtonStep(slope: Step, bendXX: Double, bendYY: Double, bendXY: Double) -> Step {
        let determinant = bendXX * bendYY - bendXY * bendXY
        guard determinant != 0 else { return (0, 0) }
        return (
            (bendXY * slope.y - bendYY * slope.x) / determinant,
            (bendXY * slope.x - bendXX * slope.y) / determinant
        )
    }

    /// The arg-max of the smoothed disc, and from there the way that the smoothed offsets say.
    private func decodeDisc(_ maps: [Float], numKeypoints: Int, k: Int) -> Point {
        func part(_ i: Int) -> HeatmapView { view(maps, channels: 3 * numKeypoints, channel: 3 * k + i) }
        func blurred(_ view: HeatmapView, x: Int, y: Int, kernel: [Double]) -> Double {
            blurAround(view, x: x, y: y, kernel: kernel, reach: 0, border: .mirrored)[0]
        }
        let kernel = gaussianKernel(blurKernel)
        let disc = (0..<mapHeight * mapWidth).map {
            Float(blurred(part(0), x: $0 % mapWidth, y: $0 / mapWidth, kernel: kernel))
        }
        let (x, y) = firstMaximum { disc[$0 * mapWidth + $1] }
        let score = disc[y * mapWidth + x]
        guard score > 0 else { return (0, 0, score) }
        let offsetKernel = gaussianKernel(offsetBlurKernel)
        let offsetX = radius * blurred(part(1), x: x, y: y, kernel: offsetKernel)
        let offsetY = radius * blurred(part(2), x: x, y: y, kernel: offsetKernel)
        return ((Double(x) + offsetX) * pixelX, (Double(y) + offsetY) * pixelY, score)
    }

    /// The highest bins along x and along y; the score is the lower of the two maxima.
    private func decodeBins(_ outputs: [Float], k: Int) -> Point {
        let start = k * (binsX + binsY)
        func highest(_ range: Range<Int>) -> Int {
            range.reduce(range.lowerBound) { outputs[$1] > outputs[$0] ? $1 : $0 }
        }
        let x = highest(start..<start + binsX)
        let y = highest(start + binsX..<start + binsX + binsY)
        let score = min(outputs[x], outputs[y])
        guard score > 0 else { return (-1 / splitRatio, -1 / splitRatio, score) }
        return (Double(x - start) / splitRatio, Double(y - start - binsX) / splitRatio, score)
    }
}

extension Codec {
    /// Reads the entry "codec" of a contract.
    ///
    /// - Throws: `ContractError` for what cannot be decoded here.
    public init(_ values: JSON) throws {
        let name = try values.member("kind", of: "codec").text()
        guard let kind = Kind(rawValue: name) else {
            let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw ContractError("These apps decode the codecs \(known), not \(name).")
        }
        if try values["stretches"]?.flag() == true {
            throw ContractError("These apps do not stretch smoothed maps (codec udp).")
        }
        let size = try values.member("input_hw", of: "codec").size()
        let sigma = try values["sigma"]?.number() ?? 0
        let usual = kind == .dark ? 2 * Int(3 * sigma) - 1 : 0
        self.init(
            kind: kind,
            input: size,
            stride: try values["stride"]?.integer() ?? 1,
            blurKernel: try values["blur_kernel"]?.integer() ?? usual,
            offsetBlurKernel: try values["offset_blur_kernel"]?.integer() ?? 0,
            radius: try values["radius"]?.number() ?? 0,
            splitRatio: try values["split_ratio"]?.number() ?? 1,
            isUnbiased: try values["is_unbiased"]?.flag() ?? name.hasPrefix("udp")
        )
        try checkKernels()
    }

    /// A kernel of an even size, or of none, has no middle to smooth around; cells need a size.
    private func checkKernels() throws {
        let isSmoothed = kind == .dark || kind == .udp || kind == .udpOffset
        let kernels = (isSmoothed ? [blurKernel] : []) + (kind == .udpOffset ? [offsetBlurKernel] : [])
        for size in kernels where size < 1 || size % 2 == 0 {
            throw ContractError("A smoothing kernel has an odd size, got \(size) for the codec \(kind.rawValue).")
        }
        guard stride > 0, input.height >= stride, input.width >= stride else {
            throw ContractError("The codec says a stride of \(stride) for an input of \(input.width)x\(input.height).")
        }
    }
}
