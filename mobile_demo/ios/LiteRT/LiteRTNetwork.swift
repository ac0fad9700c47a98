import Foundation
import KerasPoseCore
import KerasPoseDemo
import LiteRT

/// A model file that is ready to run, by LiteRT's Swift package: takes the place of `TFLiteNetwork`, which needs a pod. Of one thread at a time.
final class LiteRTNetwork: OpenNetwork {
    /// Files of which the GPU takes a part are refused.
    let takesAllOperators = true

    private let contract: Contract
    private let model: CompiledModel
    private let signatureIndex: Int
    private let inputs: [TensorBuffer]
    private let outputs: [TensorBuffer]
    private let outputNames: [String]

    /// Loads a file and runs it once, so that what cannot work is known now, and the first frame is not the slowest.
    ///
    /// - Throws: in words for the user, when the accelerator does not take the model as a whole.
    init(file: URL, contract: Contract, accelerator: KerasPoseDemo.Accelerator) throws {
        let name = file.lastPathComponent
        let environment = try Environment()
        let options = try Options()
        try options.setHardwareAccelerators([try kind(of: accelerator)])
        let file = try Model(filePath: file.path, environment: environment)
        guard let signature = contract.signature, let index = try file.signatureKeys().firstIndex(of: signature) else {
            throw ContractError("\(name) has no signature \(contract.signature ?? "at all"), by which its tensors are found.")
        }
        let model = try CompiledModel(environment: environment, model: file, options: options)
        // LiteRT would run the rest on the CPU without a word, and the screen would name the accelerator alone.
        if accelerator == .metal, try !model.isFullyAccelerated() { throw ContractError("it takes only a part of \(name).") }
        try check(contract.input, against: inputsOf(model, index), of: contract)
        let found = try outputsOf(model, index)
        for spec in contract.outputs { try check(spec, against: found, of: contract) }
        (self.contract, self.model, signatureIndex) = (contract, model, index)
        outputNames = found.map { $0.name }
        inputs = try model.createInputBuffers(signatureIndex: index)
        outputs = try model.createOutputBuffers(signatureIndex: index)
        _ = try run([Float](repeating: 0, count: contract.input.count))
    }

    /// Runs the network on one image; see `RunNetwork`.
    func run(_ values: [Float]) throws -> [String: [Float]] {
        guard let input = inputs.first, inputs.count == 1 else { throw ContractError("\(contract.model) takes \(inputs.count) inputs, not one.") }
        try input.write([UInt8](tensorBytes(values, as: contract.input.type)))
        try model.run(inputs: inputs, outputs: outputs, signatureIndex: signatureIndex)
        return try Dictionary(uniqueKeysWithValues: contract.outputs.map { ($0.name, try output($0)) })
    }

    private func output(_ spec: TensorSpec) throws -> [Float] {
        guard let index = outputNames.firstIndex(of: spec.name) else { throw ContractError("\(contract.model) gave no output \(spec.name).") }
        let bytes: [UInt8] = try outputs[index].read()
        return try tensorValues(Data(bytes), as: spec.type)
    }
}

private typealias Found = (name: String, type: LiteRT.TensorType)

private func inputsOf(_ model: CompiledModel, _ signature: Int) throws -> [Found] {
    try (0..<model.inputCount(signatureIndex: signature)).map {
        (try model.inputName(inputIndex: $0, signatureIndex: signature), try model.getInputTensorType(inputIndex: $0, signatureIndex: signature))
    }
}

private func outputsOf(_ model: CompiledModel, _ signature: Int) throws -> [Found] {
    try (0..<model.outputCount(signatureIndex: signature)).map {
        (try model.outputName(outputIndex: $0, signatureIndex: signature), try model.getOutputTensorType(outputIndex: $0, signatureIndex: signature))
    }
}

/// Holds a tensor of the file against what the contract says of it.
private func check(_ spec: TensorSpec, against found: [Found], of contract: Contract) throws {
    let types: [KerasPoseCore.TensorType: ElementType] = [.uint8: .uint8, .int8: .int8, .int16: .int16, .int32: .int32, .float32: .float32]
    guard let type = found.first(where: { $0.name == spec.name })?.type else {
        throw ContractError("The contract speaks of a tensor \(spec.name), which \(contract.model) does not have.")
    }
    guard type.layout.dimensions == spec.shape, type.elementType == types[spec.type] else {
        throw ContractError(
            "The contract says \(spec.shape) of \(spec.type.rawValue) for the tensor \(spec.name); the file has \(type.layout.dimensions) of \(type.elementType)."
        )
    }
}

/// What LiteRT calls an accelerator of the app.
private func kind(of accelerator: KerasPoseDemo.Accelerator) throws -> LiteRT.Accelerator {
    switch accelerator {
    case .coreML: throw ContractError("LiteRT's package has no Core ML")
    case .metal: return .gpu
    case .automatic, .cpu: return .cpu
    }
}
