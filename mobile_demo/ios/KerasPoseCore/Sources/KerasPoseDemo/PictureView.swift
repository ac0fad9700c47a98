import KerasPoseCore

/// How a picture and its people are shown: as large as fits, in the middle, a front camera's as a mirror.

public struct ViewPoint: Equatable {
    public let x: Double
    public let y: Double
}

public struct PictureView: Equatable {
    /// Points of the view per pixel.
    public let scale: Double
    /// Left and top of the picture in the view, points.
    public let left: Double
    public let top: Double
    /// Of the picture, points.
    public let width: Double
    public let height: Double
    public let isMirrored: Bool

    /// - Parameters:
    ///   - picture: its size, pixels.
    ///   - viewWidth: of the view, points; likewise its height.
    public init(picture: ImageSize, viewWidth: Double, viewHeight: Double, isMirrored: Bool) {
        scale = min(viewWidth / Double(picture.width), viewHeight / Double(picture.height))
        width = scale * Double(picture.width)
        height = scale * Double(picture.height)
        left = (viewWidth - width) / 2
        top = (viewHeight - height) / 2
        self.isMirrored = isMirrored
    }

    /// Where a place of the picture is seen. A pixel's centre has whole coordinates there, its corner has here.
    public func point(x: Double, y: Double) -> ViewPoint {
        let across = scale * (x + 0.5)
        return ViewPoint(x: left + (isMirrored ? width - across : across), y: top + scale * (y + 0.5))
    }

    /// Left, top, right and bottom of a box, as seen.
    public func corners(of box: Box) -> (topLeft: ViewPoint, bottomRight: ViewPoint) {
        let (one, other) = (point(x: box.x1, y: box.y1), point(x: box.x2, y: box.y2))
        return (
            ViewPoint(x: min(one.x, other.x), y: min(one.y, other.y)),
            ViewPoint(x: max(one.x, other.x), y: max(one.y, other.y))
        )
    }

    /// Thickness of lines that looks the same on every picture, points.
    public var unit: Double { max(width, height) / 320 }
}

/// The person's own left and right, as the names of keypoints say.
public enum BodySide {
    case left, right, middle

    public init(keypoint name: String) {
        self = name.hasPrefix("left_") ? .left : name.hasPrefix("right_") ? .right : .middle
    }
}

/// A line between two keypoints.
public struct Limb: Equatable {
    public let start: ViewPoint
    public let end: ViewPoint
    public let side: BodySide
}

/// A keypoint, as seen.
public struct Joint: Equatable {
    public let point: ViewPoint
    public let side: BodySide
}

/// What of a skeleton is drawn: keypoints with a score above 0.2, and limbs between such.
public struct DrawnSkeleton: Equatable {
    public static let drawnScore: Float = 0.2

    public let joints: [Joint]
    public let limbs: [Limb]

    public init(of person: Person, skeleton: Skeleton, in view: PictureView) {
        func isDrawn(_ k: Int) -> Bool { person.isSure(k, threshold: Self.drawnScore) && !person.isOutside(k) }
        func seen(_ k: Int) -> ViewPoint {
            view.point(x: Double(person.keypointsXY[2 * k]), y: Double(person.keypointsXY[2 * k + 1]))
        }
        let sides = skeleton.names.map { BodySide(keypoint: $0) }
        joints = skeleton.names.indices.filter(isDrawn).map { Joint(point: seen($0), side: sides[$0]) }
        limbs = skeleton.limbPairs.filter { $0.allSatisfy(isDrawn) }.map { pair in
            let side = sides[pair[0]] == sides[pair[1]] ? sides[pair[0]] : .middle
            return Limb(start: seen(pair[0]), end: seen(pair[1]), side: side)
        }
    }
}
