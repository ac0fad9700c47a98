import XCTest

@testable import KerasPoseDemo

final class MeterTests: XCTestCase {
    func testTheRateIsThatOfTheLastThirtyFrames() {
        var meter = RateMeter()
        XCTAssertNil(meter.add(100))
        XCTAssertEqual(meter.add(101), 1)
        var rate: Double?
        for frame in 1...30 { rate = meter.add(101 + Double(frame) / 25) }
        XCTAssertEqual(rate ?? 0, 25, accuracy: 1e-9)
    }

    func testStagesAreAveragedOverAllFramesInTheOrderOfTheWork() {
        var meter = StageMeter()
        meter.add(["pose": 0.010, "detect": 0.030])
        meter.add(["pose": 0.020, "convert": 0.002])
        XCTAssertEqual(meter.costs.map(\.stage), ["convert", "detect", "pose"])
        for (cost, expected) in zip(meter.costs, [1, 15, 15]) {
            XCTAssertEqual(cost.milliseconds, Double(expected), accuracy: 1e-9)
        }
    }
}
