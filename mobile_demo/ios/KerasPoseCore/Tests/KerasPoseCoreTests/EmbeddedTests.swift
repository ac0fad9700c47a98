import Foundation
import XCTest

@testable import KerasPoseCore

/// A contract inside a file is found, and believed only of its own file.
final class EmbeddedTests: XCTestCase {
    /// A `.tflite` file of one empty buffer, into which `keras_pose.modelfiles.embedded.embed` has written the contract of
    /// `Fixtures.swift`, in base 64.
    private let file = Data(base64Encoded: """
        HAAAAFRGTDMSACAABAAAAAAAEAAUAAAAHAAAABQAAAADAAAAAAAAAAAAAACEAwAADAAAAAAAAAAQAAAAAgAAAIgDAAAUAAAAAQAAABwAAAAGAA\
        gABAAAAAgAAAAgAAAACAAMAAQACAAIAAAA0AIAAAEAAAAAAAAAAAAAALkCAAB7InNjaGVtYV92ZXJzaW9uIjoxLCJzY2hlbWFfbWlub3IiOjEs\
        InRhc2siOiJ0b3BfZG93biIsIm1vZGVsIjoicG9zZV9zbGltIEFcbiIsInF1YW50aXphdGlvbiI6ImludDgiLCJzaWduYXR1cmUiOiJzZXJ2ZS\
        IsImlucHV0Ijp7Im5hbWUiOiJpbWFnZSIsInNoYXBlIjpbMSw2NCw0OCwzXSwiZHR5cGUiOiJ1aW50OCIsInNjYWxlIjpudWxsLCJ6ZXJvX3Bv\
        aW50IjpudWxsLCJjaGFubmVsX29yZGVyIjoiUkdCIiwibm9ybWFsaXphdGlvbiI6bnVsbH0sIm91dHB1dCI6eyJuYW1lIjoiaGVhdG1hcHMiLC\
        JzaGFwZSI6W251bGwsMTYsMTIsM10sImR0eXBlIjoiaW50OCIsInNjYWxlIjowLjAwNCwiemVyb19wb2ludCI6LTEyOH0sImNyb3AiOnsiYm94\
        X3BhZGRpbmciOjEuMjV9LCJjb2RlYyI6eyJraW5kIjoiZ2F1c3NpYW4iLCJpbnB1dF9odyI6WzY0LDQ4XSwic3RyaWRlIjo0LCJzaWdtYSI6Mi\
        4wfSwic2tlbGV0b24iOnsibmFtZSI6ImFybXMiLCJuYW1lcyI6WyJub3NlIiwibGVmdF93cmlzdCIsInJpZ2h0X3dyaXN0Il0sImxpbWJfcGFp\
        cnMiOltbMCwxXV0sIm1pcnJvcl9wYWlycyI6W1sxLDJdXSwib2tzX3NpZ21hcyI6W119LCJlbWJlZGRlZCI6eyJzaGEyNTZfd2l0aF90aGlzX3\
        RleHRfYXNfemVyb3MiOiIwMDkyYzhiOWMzNDkyNjA4MzUwYzkwNmI0MWI0Y2YxZGUyNzRhYmEzOGU3NDJiOTg2NDE1OWQwNDFmZmQ5M2RmIn19\
        AAAAEwAAAEtFUkFTX1BPU0VfQ09OVFJBQ1QAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAYAAAAVEZMMw4AGA\
        AEAAAAAAAQABQAAAAQAAAAAwAAAAAAAAAAAAAACAAAABAAAAAEAAAAdGlueQAAAAABAAAACAAAAAQABAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==
        """)!

    func testAFileTravelsAlone() throws {
        for beside in [nil, try JSON(contractText)] {
            guard case .pose(let contract) = try Contract(document: beside, fileName: "tiny.tflite", bytes: file) else {
                return XCTFail("not of a pose model")
            }
            XCTAssertEqual(contract.head.model, "pose_slim A\n")
            XCTAssertEqual(contract.skeleton.names.count, 3)
        }
    }

    func testAChangedFileIsRefused() {
        var changed = file
        changed[changed.count - 1] ^= 1
        XCTAssertThrowsError(try embeddedContract(in: changed, fileName: "tiny.tflite")) {
            XCTAssertTrue("\($0)".contains("not the file that the contract inside was written for"), "\($0)")
        }
    }

    func testAContractOfANewerVersionIsRefusedWithWhatToDo() throws {
        // The hash leaves the text of the contract out, so it stays right.
        var newer = file
        let version = try XCTUnwrap(newer.range(of: Data("\"schema_version\":1".utf8)))
        newer[version.upperBound - 1] = UInt8(ascii: "2")
        XCTAssertThrowsError(try embeddedContract(in: newer, fileName: "tiny.tflite")) {
            XCTAssertEqual(
                "\($0)", "The contract has schema version 2; this app reads 1. A newer version of keras_pose wrote it: update this app."
            )
        }
    }

    func testNoDamageIsBelieved() {
        // Whatever is cut off, and whichever byte of the tables is another: a message or nothing, and never a trap.
        for length in stride(from: 0, to: file.count, by: 7) {
            let cut = try? embeddedContract(in: file.prefix(length), fileName: "cut.tflite")
            XCTAssertNil(cut ?? nil, "\(length) bytes")
        }
        for place in 0..<120 {
            var damaged = file
            damaged[place] = 0xFF
            let found = try? embeddedContract(in: damaged, fileName: "damaged.tflite")
            XCTAssertNil(found ?? nil, "byte \(place)")
        }
    }

    func testAFileWithoutAContractHasNone() throws {
        XCTAssertNil(try embeddedContract(in: modelBytes, fileName: "pose_model.tflite"))
        XCTAssertThrowsError(try Contract(document: nil, fileName: "pose_model.tflite", bytes: modelBytes)) {
            XCTAssertEqual("\($0)", "There is no pose_model.json, and there is no contract inside pose_model.tflite.")
        }
    }
}
