import Dispatch
import XCTest

@testable import KerasPoseDemo

/// What the worker has seen; written by its queue alone.
private final class Seen: @unchecked Sendable {
    var frames: [Int] = []
}

final class NewestFrameTests: XCTestCase {
    func testOnlyTheNewestFrameWaits() {
        let slot = NewestFrame<Int>()
        XCTAssertTrue(slot.offer(1), "the worker is idle and must be woken")
        XCTAssertEqual(slot.take(), 1)
        XCTAssertFalse(slot.offer(2), "the worker has frame 1")
        XCTAssertFalse(slot.offer(3))
        XCTAssertEqual(slot.take(), 3)
        XCTAssertEqual(slot.numDropped, 1)
        XCTAssertNil(slot.take())
        XCTAssertTrue(slot.offer(4), "the worker went to sleep")
    }

    func testAFrameOfAnotherCameraIsForgotten() {
        let slot = NewestFrame<Int>()
        _ = slot.offer(1)
        slot.clear()
        XCTAssertNil(slot.take())
        XCTAssertTrue(slot.offer(2))
    }

    func testEveryWakeIsFollowedByASleep() {
        // A camera on one thread, the worker on another: it never works twice at a time, and sees the last frame.
        let slot = NewestFrame<Int>()
        let worker = DispatchQueue(label: "worker")
        let seen = Seen()
        for frame in 1...2000 where slot.offer(frame) {
            worker.async {
                while let frame = slot.take() { seen.frames.append(frame) }
            }
        }
        worker.sync {}
        XCTAssertEqual(seen.frames, seen.frames.sorted())
        XCTAssertEqual(seen.frames.last, 2000)
        XCTAssertEqual(seen.frames.count + slot.numDropped, 2000)
    }
}
