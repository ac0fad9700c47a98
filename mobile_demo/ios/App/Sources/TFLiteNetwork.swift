import Foundation
import KerasPoseCore
import KerasPoseDemo
import TensorFlowLite

/// A model file that is ready to run: the only place that knows TensorFlow Lite. Of one thread at a time.
final class TFLiteNetwork {
    private let contract: Contract
    private let runner: SignatureRunner

    /// Loads a file and runs it once, so that what cannot work is known now, and the first frame is not the slowest.
    ///
    /// - Throws: in words for the user, when the accelerator does not take the model.
    init(file: URL, contract: Contract, accelerator: Accelerator) throws {
        var options = Interpreter.Options()
        options.threadCount = min(4, ProcessInfo.processInfo.activeProcessorCount)
        options.isXNNPackEnabled = accelerator == .cpu
        let delegates = try Self.delegate(of: accelerator).map { [$0] }
        let interpreter = try Interpreter(modelPath: file.path, options: options, delegates: delegates)
        guard let signature = contract.signature ?? interpreter.signatureKeys.first else {
            throw ContractError("\(file.lastPathComponent) has no signature, by which its tensors are found.")
        }
        self.contract = contract
        runner = try interpreter.signatureRunner(with: signature)
        try check(try runner.input(named: contract.input.name), contract.input)
        _ = try run([Float](repeating: 0, count: contract.input.count))
        for spec in contract.outputs { try check(try runner.output(named: spec.name), spec) }
    }

    /// Runs the network on one image; see `RunNetwork`.
    func run(_ values: [Float]) throws -> [String: [Float]] {
        let input = contract.input
        try runner.invoke(with: [input.name: tensorBytes(values, as: input.type)])
        return try Dictionary(uniqueKeysWithValues: contract.outputs.map { spec in
            (spec.name, try tensorValues(try runner.output(named: spec.name).data, as: spec.type))
        })
    }

    /// nil: the CPU, which needs none.
    private static func delegate(of accelerator: Accelerator) throws -> Delegate? {
        switch accelerator {
        case .coreML:
            guard let delegate = CoreMLDelegate() else { throw ContractError("this device has no Neural Engine") }
            return delegate
        case .metal:
            var options = MetalDelegate.Options()
            options.isPrecisionLossAllowed = true  // float16, which keypoints do not feel
            return MetalDelegate(options: options)
        case .automatic, .cpu: return nil
        }
    }

    /// Holds a tensor of the file against what the contract says of it.
    private func check(_ tensor: Tensor, _ spec: TensorSpec) throws {
        let types: [TensorType: Tensor.DataType] = [
            .uint8: .uInt8, .int8: .int8, .int16: .int16, .int32: .int32, .float32: .float32,
        ]
        guard tensor.shape.dimensions == spec.shape, tensor.dataType == types[spec.type] else {
            throw ContractError(
                "The contract says \(spec.shape) of \(spec.type.rawValue) for the tensor \(spec.name); "
                    + "the file has \(tensor.shape.dimensions) of \(tensor.dataType)."
            )
        }
    }
}
