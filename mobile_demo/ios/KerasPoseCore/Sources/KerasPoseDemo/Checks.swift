import Foundation
import KerasPoseCore
import KerasPoseParity

/// Whether what runs a file computes what Python did.

/// What outputs may be off by, root of the mean square: a share of their standard deviation, and steps of integers. On a
/// person the shipped int8 file is off its network by 0.07, a heatmap that is shifted by one pixel by 0.33
/// (tests/mobile/test_android.py); as in the Android app.
private let mostOff = 0.1
private let mostStepsOff = 1.0

/// What the packs of a bundle record of its files, by the SHA-256 of the file.
public func recordedRuns(of bundle: ModelBundle) throws -> [String: [RecordedRun]] {
    try bundle.parity.values.reduce(into: [:]) { runs, folder in
        runs.merge(try ParityPack(folder: folder).recordedRuns()) { $0 + $1 }
    }
}

/// Says what is wrong with a network's raw outputs; nil: nothing is.
///
/// - Parameter expected: by name; empty: only what no network returns is looked for.
public func difference(_ specs: [TensorSpec], _ outputs: [String: [Float]], from expected: [String: [Float]]) -> String? {
    for spec in specs {
        guard let values = outputs[spec.name] else { return "it returns no \(spec.name)" }
        let numBroken = values.filter { !$0.isFinite }.count
        if numBroken > 0 { return "it returns NaN or infinity: \(numBroken) of \(values.count) numbers of \(spec.name)" }
        let wanted = expected[spec.name]
        if let wanted, wanted.count != values.count {
            return "it returns \(values.count) numbers of \(spec.name), not \(wanted.count)"
        }
        if values.count > 1, isConstant(values), wanted.map({ !isConstant($0) }) ?? true {
            return "it returns the same number everywhere in \(spec.name)"
        }
        if let wanted, let words = distance(toReal(values, spec: spec), from: toReal(wanted, spec: spec), spec) { return words }
    }
    return nil
}

private func isConstant(_ values: [Float]) -> Bool { values.allSatisfy { $0 == values[0] } }

private func distance(_ values: [Float], from wanted: [Float], _ spec: TensorSpec) -> String? {
    let count = Double(wanted.count)
    let mean = wanted.reduce(0) { $0 + Double($1) } / count
    let deviation = (wanted.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / count).squareRoot()
    let off = zip(values, wanted).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    let distance = (off / count).squareRoot()
    if distance <= mostOff * deviation + mostStepsOff * (spec.scale ?? 0) { return nil }
    let share = String(format: "%.2f", distance / deviation)
    return "it computes something else than it should: \(spec.name) is off by \(share) of its standard deviation"
}

/// What a file takes for a picture of noise, the same every time.
func noise(for contract: Contract) throws -> [Float] {
    var state: UInt32 = 1
    let pixels = (0..<contract.input.count).map { _ -> UInt8 in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(state >> 24)
    }
    return try toInput(pixels, spec: contract.input, normalization: contract.normalization)
}
