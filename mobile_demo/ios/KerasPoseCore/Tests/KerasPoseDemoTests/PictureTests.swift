import KerasPoseCore
import XCTest

@testable import KerasPoseDemo

final class PixelFormatTests: XCTestCase {
    private let size = ImageSize(height: 2, width: 2)
    // Rows of three pixels, of which the last is padding, and cut off after the last row's last pixel.
    private let bgra: [UInt8] = [1, 2, 3, 255, 4, 5, 6, 255, 99, 99, 99, 99, 7, 8, 9, 255, 10, 11, 12, 255]

    func testACamerasRowsAreLongerThanItsPicture() throws {
        let picture = try bgra.withUnsafeBytes { try Picture(copying: $0, size: size, bytesPerRow: 12, order: .bgra) }
        XCTAssertEqual(picture.pixels, [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10])
    }

    func testBitmapsHaveRedFirst() throws {
        let picture = try bgra.withUnsafeBytes { try Picture(copying: $0, size: size, bytesPerRow: 12, order: .rgbx) }
        XCTAssertEqual(picture.pixels, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    }

    func testTooFewBytesAreRefused() {
        for (count, bytesPerRow) in [(19, 12), (20, 4)] {
            XCTAssertThrowsError(
                try bgra.prefix(count).withUnsafeBytes { try Picture(copying: $0, size: size, bytesPerRow: bytesPerRow, order: .bgra) }
            )
        }
    }
}

final class PictureViewTests: XCTestCase {
    private func view(isMirrored: Bool) -> PictureView {
        // 100x50 pixels in 400x400 points: four points a pixel, 100 points free above and below.
        PictureView(picture: ImageSize(height: 50, width: 100), viewWidth: 400, viewHeight: 400, isMirrored: isMirrored)
    }

    func testAPixelIsSeenWhereItsMiddleIs() {
        XCTAssertEqual(view(isMirrored: false).point(x: 0, y: 0), ViewPoint(x: 2, y: 102))
        XCTAssertEqual(view(isMirrored: false).point(x: 99, y: 49), ViewPoint(x: 398, y: 298))
    }

    func testAFrontCameraIsAMirror() {
        let mirror = view(isMirrored: true)
        XCTAssertEqual(mirror.point(x: 0, y: 0), ViewPoint(x: 398, y: 102))
        XCTAssertEqual(mirror.point(x: 99, y: 0), ViewPoint(x: 2, y: 102))
        // The picture itself, drawn from its middle, covers the same place either way.
        XCTAssertEqual(mirror.left, 0)
        XCTAssertEqual(mirror.width, 400)
    }

    func testAMirroredBoxHasItsLeftOnTheLeft() {
        let (topLeft, bottomRight) = view(isMirrored: true).corners(of: Box(x1: 10, y1: 5, x2: 30, y2: 25))
        XCTAssertEqual(topLeft, ViewPoint(x: 278, y: 122))
        XCTAssertEqual(bottomRight, ViewPoint(x: 358, y: 202))
    }

    func testUnsureKeypointsAndTheirLimbsAreNotDrawn() {
        let skeleton = Skeleton(
            name: "three", names: ["nose", "left_wrist", "right_wrist"], limbPairs: [[0, 1], [1, 2]], mirrorPairs: [], oksSigmas: []
        )
        let person = Person(
            box: Box(x1: 0, y1: 0, x2: 9, y2: 9), keypointsXY: [0, 0, 10, 0, .nan, 0], keypointScores: [0.9, 0.9, 0.9], score: 1
        )
        let drawn = DrawnSkeleton(of: person, skeleton: skeleton, in: view(isMirrored: true))
        // The person's left stays left in a mirror.
        XCTAssertEqual(drawn.joints.map(\.side), [.middle, .left])
        XCTAssertEqual(drawn.limbs, [Limb(start: ViewPoint(x: 398, y: 102), end: ViewPoint(x: 358, y: 102), side: .middle)])
        let unsure = Person(box: person.box, keypointsXY: [0, 0, 1, 1, 2, 2], keypointScores: [0.2, 0.21, 0], score: 0)
        XCTAssertEqual(DrawnSkeleton(of: unsure, skeleton: skeleton, in: view(isMirrored: false)).joints.count, 1)
    }
}
