import XCTest

@testable import KerasPoseCore

final class TensorTests: XCTestCase {
    func testNumbersSurviveEveryType() throws {
        let values: [TensorType: [Float]] = [
            .uint8: [0, 1, 255], .int8: [-128, 0, 127], .int16: [-32768, 5, 32767], .int32: [-70000, 0, 70000],
            .float32: [-1.5, 0, 3e38],
        ]
        for (type, numbers) in values {
            let data = tensorBytes(numbers, as: type)
            XCTAssertEqual(data.count, numbers.count * type.byteCount)
            XCTAssertEqual(try tensorValues(data, as: type), numbers, type.rawValue)
        }
    }

    func testBytesAreLittleEndianAndMayBeASlice() throws {
        XCTAssertEqual(Array(tensorBytes([1], as: .int32)), [1, 0, 0, 0])
        XCTAssertEqual(Array(tensorBytes([1], as: .float32)), [0, 0, 0x80, 0x3F])
        // A part of other data begins at any index.
        let part = Data([9, 9, 9, 1, 0, 2, 0])[3...]
        XCTAssertEqual(try tensorValues(part, as: .int16), [1, 2])
        XCTAssertThrowsError(try tensorValues(Data([1, 2, 3]), as: .int16))
    }

    func testPixelsOfAnOddScaleAreRoundedToTheNearestStep() throws {
        let spec = TensorSpec(name: "image", shape: [1, 1, 1, 3], type: .int8, scale: 2, zeroPoint: -100)
        // 1 / 2 and 5 / 2 go to the even step; 255 / 2 - 100 = 27.5 goes to 28; nothing leaves the type.
        XCTAssertEqual(try toInput([1, 5, 255], spec: spec, normalization: nil), [-100, -98, 28])
        let wide = TensorSpec(name: "image", shape: [1, 1, 1, 3], type: .int8, scale: 1, zeroPoint: 0)
        XCTAssertEqual(try toInput([0, 127, 255], spec: wide, normalization: nil), [0, 127, 127])
    }
}
