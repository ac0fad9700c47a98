import KerasPoseCore

/// What a model file took, in numbers of its input's type, and what it answered in Python: raw outputs by name.
public struct RecordedRun: Equatable, Sendable {
    public let input: [Float]
    public let outputs: [String: [Float]]

    public init(input: [Float], outputs: [String: [Float]]) {
        self.input = input
        self.outputs = outputs
    }
}

extension ParityPack {
    /// The runs of model files that the pack records, by the SHA-256 of the file.
    public func recordedRuns() throws -> [String: [RecordedRun]] {
        var runs: [String: [RecordedRun]] = [:]
        for recorded in cases where recorded.kind == "model" {
            let task = try recorded.given.member("model").text()
            guard let contract = models[task], let hash = hashes[task] else {
                throw ContractError("The parity pack has runs of \(task), of which it does not say what file it is.")
            }
            let raw = try recorded.expected.tensors("raw").map(\.floats)
            guard raw.count == contract.outputs.count else {
                throw ContractError("The parity pack has \(raw.count) outputs of \(contract.model), which gives \(contract.outputs.count).")
            }
            let outputs = Dictionary(uniqueKeysWithValues: zip(contract.outputs.map(\.name), raw))
            runs[hash, default: []].append(RecordedRun(input: try recorded.given.tensor("input").floats, outputs: outputs))
        }
        return runs
    }
}
