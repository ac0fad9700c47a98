import XCTest

@testable import KerasPoseCore

final class JSONTests: XCTestCase {
    func testValuesAreWhatTheTextSays() throws {
        let json = try JSON(" {\"a\": [1, -2.5e-3, true, false, null, {}], \"b\": \"\\u00e9\\ud83d\\ude00\\\"\\/\\n\u{e9}\"} ")
        XCTAssertEqual(json["a"], .array([.number(1), .number(-0.0025), .bool(true), .bool(false), .null, .object([:])]))
        XCTAssertEqual(json["b"], .string("\u{e9}\u{1F600}\"/\n\u{e9}"))
        XCTAssertNil(json["c"])
    }

    func testTrueIsNoNumberAndOneIsNotTrue() throws {
        XCTAssertThrowsError(try JSON("[true]").numbers())
        XCTAssertThrowsError(try JSON("1").flag())
        XCTAssertThrowsError(try JSON("1.5").integer())
        XCTAssertEqual(try JSON("[3, 4.0]").size(), ImageSize(height: 3, width: 4))
        XCTAssertThrowsError(try JSON("[0, 4]").size())
    }

    func testWhatIsNoJSONIsRefused() {
        let texts = ["", "{", "[1,]", "[1 2]", "{\"a\" 1}", "{1: 2}", "\"a", "\"\\x\"", "\"\\ud800\"", "tru", "1 2", "--1", "nan"]
        for text in texts { XCTAssertThrowsError(try JSON(text), text) }
    }

    func testAFileOfBracketsDoesNotExhaustTheStack() {
        XCTAssertThrowsError(try JSON(String(repeating: "[", count: 1_000_000)))
    }
}
