/// The shapes that the parts of the core hand to each other; see mobile_demo/SPEC.md.

/// The track of people who have none.
public let noTrack = -1

/// What OKS needs of skeletons that have no sigmas of their own.
public let usualSigma = 0.07

/// Height and width, pixels.
public struct ImageSize: Equatable, Sendable {
    public let height: Int
    public let width: Int

    public init(height: Int, width: Int) {
        self.height = height
        self.width = width
    }
}

/// An image: `channels` bytes a pixel, red, green and blue first, row by row.
public struct Picture: Equatable, Sendable {
    public let size: ImageSize
    public let channels: Int
    public let pixels: [UInt8]

    /// - Precondition: `pixels` has `height * width * channels` bytes; at least 3 channels.
    public init(size: ImageSize, channels: Int = 3, pixels: [UInt8]) {
        precondition(
            channels >= 3 && pixels.count == size.height * size.width * channels,
            "A picture of \(size.width)x\(size.height) with \(channels) channels has another size than \(pixels.count) bytes."
        )
        self.size = size
        self.channels = channels
        self.pixels = pixels
    }
}

/// Two corners, image pixels.
public struct Box: Equatable, Sendable {
    public var x1: Double
    public var y1: Double
    public var x2: Double
    public var y2: Double

    public init(x1: Double, y1: Double, x2: Double, y2: Double) {
        self.x1 = x1
        self.y1 = y1
        self.x2 = x2
        self.y2 = y2
    }

    public var width: Double { x2 - x1 }
    public var height: Double { y2 - y1 }
    public var corners: [Double] { [x1, y1, x2, y2] }

    /// The same in the precision that results are kept in.
    public var rounded: Box {
        Box(x1: Double(Float(x1)), y1: Double(Float(y1)), x2: Double(Float(x2)), y2: Double(Float(y2)))
    }
}

/// A box that a detector found; `label` is the number of the class.
public struct Detection: Equatable, Sendable {
    public var box: Box
    public let score: Float
    public let label: Int

    public init(box: Box, score: Float, label: Int) {
        self.box = box
        self.score = score
        self.label = label
    }
}

/// One person of a frame.
public struct Person: Equatable, Sendable {
    /// Where the person was looked for.
    public let box: Box
    /// x, y, x, y, ... of the K keypoints, image pixels.
    public var keypointsXY: [Float]
    /// Of the K keypoints.
    public let keypointScores: [Float]
    /// Confidence in the person as a whole.
    public let score: Float
    /// `noTrack` for people who are not followed.
    public var trackID: Int
    /// Probabilities that a keypoint is visible, hidden or outside the picture, three a keypoint; nil for files that do
    /// not say.
    public let visibility: [Float]?

    public init(
        box: Box, keypointsXY: [Float], keypointScores: [Float], score: Float, trackID: Int = noTrack,
        visibility: [Float]? = nil
    ) {
        self.box = box
        self.keypointsXY = keypointsXY
        self.keypointScores = keypointScores
        self.score = score
        self.trackID = trackID
        self.visibility = visibility
    }

    /// Whether a keypoint is more likely outside the picture than in it.
    public func isOutside(_ keypoint: Int) -> Bool {
        visibility.map { $0[visibilityKinds.count * keypoint + 2] > outsideThreshold } ?? false
    }

    /// Whether a keypoint is finite, and its score above the threshold.
    public func isSure(_ keypoint: Int, threshold: Float) -> Bool {
        keypointScores[keypoint] > threshold
            && keypointsXY[2 * keypoint].isFinite && keypointsXY[2 * keypoint + 1].isFinite
    }
}

/// Which keypoints there are.
public struct Skeleton: Equatable, Sendable {
    public let name: String
    public let names: [String]
    /// Indices of keypoints to draw a line between.
    public let limbPairs: [[Int]]
    /// Indices that change places in a mirror.
    public let mirrorPairs: [[Int]]
    /// One a keypoint, also of skeletons that say none.
    public let sigmas: [Double]

    public init(name: String, names: [String], limbPairs: [[Int]], mirrorPairs: [[Int]], oksSigmas: [Double]) {
        self.name = name
        self.names = names
        self.limbPairs = limbPairs
        self.mirrorPairs = mirrorPairs
        sigmas = oksSigmas.isEmpty ? Array(repeating: usualSigma, count: names.count) : oksSigmas
    }
}

/// Points with 0 for what is no number.
func finite(_ points: [Float]) -> [Double] {
    points.map { $0.isFinite ? Double($0) : 0 }
}
