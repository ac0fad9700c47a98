import Foundation
import KerasPoseCore
import KerasPoseDemo
import TensorFlowLiteC
import TensorFlowLiteCCoreML
import TensorFlowLiteCMetal

/// A model file that is ready to run: the only place that knows TensorFlow Lite. Of one thread at a time.
///
/// By its C interface: the Swift one (`TensorFlowLiteSwift` 2.17) has no int8 tensors, which integer models put out.
final class TFLiteNetwork: OpenNetwork {
    /// What a delegate leaves is the CPU's, and the C interface has no function that says how much that is.
    let takesAllOperators = false

    private let contract: Contract
    private let delegate: TFLiteDelegate
    private let model: OpaquePointer
    private let interpreter: OpaquePointer
    private let runner: OpaquePointer

    /// Loads a file and runs it once, so that what cannot work is known now, and the first frame is not the slowest.
    ///
    /// - Throws: in words for the user, when the accelerator does not take the model.
    init(file: URL, contract: Contract, accelerator: Accelerator) throws {
        let name = file.lastPathComponent
        let delegate = try TFLiteDelegate(accelerator)
        guard let model = TfLiteModelCreateFromFile(file.path) else { throw ContractError("\(name) is no model that can be read.") }
        guard let interpreter = Self.interpreter(of: model, delegate) else {
            TfLiteModelDelete(model)
            throw ContractError("it does not take \(name).")
        }
        guard let signature = contract.signature, let runner = TfLiteInterpreterGetSignatureRunner(interpreter, signature) else {
            TfLiteInterpreterDelete(interpreter)
            TfLiteModelDelete(model)
            throw ContractError("\(name) has no signature \(contract.signature ?? "at all"), by which its tensors are found.")
        }
        (self.contract, self.delegate, self.model, self.interpreter, self.runner) = (contract, delegate, model, interpreter, runner)
        // From here on `deinit` frees them, also when an error is thrown.
        guard TfLiteSignatureRunnerAllocateTensors(runner) == kTfLiteOk else { throw ContractError("there is no memory for \(name).") }
        for spec in [contract.input] + contract.outputs { try check(spec) }
        _ = try run([Float](repeating: 0, count: contract.input.count))
    }

    deinit {
        TfLiteSignatureRunnerDelete(runner)
        TfLiteInterpreterDelete(interpreter)
        TfLiteModelDelete(model)
    }

    /// Runs the network on one image; see `RunNetwork`.
    func run(_ values: [Float]) throws -> [String: [Float]] {
        let bytes = tensorBytes(values, as: contract.input.type)
        let filled = bytes.withUnsafeBytes { bytes in
            TfLiteTensorCopyFromBuffer(
                TfLiteSignatureRunnerGetInputTensor(runner, contract.input.name), bytes.baseAddress, bytes.count
            )
        }
        guard filled == kTfLiteOk else { throw ContractError("The input takes other than \(bytes.count) bytes.") }
        guard TfLiteSignatureRunnerInvoke(runner) == kTfLiteOk else { throw ContractError("\(contract.model) cannot be run there.") }
        return try Dictionary(uniqueKeysWithValues: contract.outputs.map { ($0.name, try output($0)) })
    }

    private func output(_ spec: TensorSpec) throws -> [Float] {
        guard let tensor = TfLiteSignatureRunnerGetOutputTensor(runner, spec.name), let data = TfLiteTensorData(tensor) else {
            throw ContractError("\(contract.model) gave no output \(spec.name).")
        }
        return try tensorValues(Data(bytes: data, count: TfLiteTensorByteSize(tensor)), as: spec.type)
    }

    private static func interpreter(of model: OpaquePointer, _ delegate: TFLiteDelegate) -> OpaquePointer? {
        guard let options = TfLiteInterpreterOptionsCreate() else { return nil }
        defer { TfLiteInterpreterOptionsDelete(options) }
        TfLiteInterpreterOptionsSetNumThreads(options, numThreads)
        TfLiteInterpreterOptionsAddDelegate(options, delegate.pointer)
        return TfLiteInterpreterCreate(model, options)
    }

    /// Holds a tensor of the file against what the contract says of it.
    private func check(_ spec: TensorSpec) throws {
        let types: [TensorType: TfLiteType] = [
            .uint8: kTfLiteUInt8, .int8: kTfLiteInt8, .int16: kTfLiteInt16, .int32: kTfLiteInt32, .float32: kTfLiteFloat32,
        ]
        let input = TfLiteSignatureRunnerGetInputTensor(runner, spec.name).map { UnsafePointer($0) }
        guard let tensor = input ?? TfLiteSignatureRunnerGetOutputTensor(runner, spec.name) else {
            throw ContractError("The contract speaks of a tensor \(spec.name), which \(contract.model) does not have.")
        }
        let shape = (0..<TfLiteTensorNumDims(tensor)).map { Int(TfLiteTensorDim(tensor, $0)) }
        guard shape == spec.shape, TfLiteTensorType(tensor) == types[spec.type] else {
            throw ContractError(
                "The contract says \(spec.shape) of \(spec.type.rawValue) for the tensor \(spec.name); the file has \(shape) of another type or size."
            )
        }
    }
}

private let numThreads = Int32(min(4, ProcessInfo.processInfo.activeProcessorCount))

/// Where operators run. It must outlive the interpreter.
private final class TFLiteDelegate {
    let pointer: UnsafeMutablePointer<TfLiteDelegate>
    private let free: (UnsafeMutablePointer<TfLiteDelegate>) -> Void

    init(_ accelerator: Accelerator) throws {
        let created: UnsafeMutablePointer<TfLiteDelegate>?
        switch accelerator {
        case .coreML:
            var options = TfLiteCoreMlDelegateOptions()
            options.enabled_devices = TfLiteCoreMlDelegateDevicesWithNeuralEngine
            options.min_nodes_per_partition = 2
            created = TfLiteCoreMlDelegateCreate(&options)
            free = { TfLiteCoreMlDelegateDelete($0) }
        case .metal:
            var options = TFLGpuDelegateOptions()
            options.allow_precision_loss = true  // float16, which keypoints do not feel
            options.wait_type = TFLGpuDelegateWaitTypePassive
            options.enable_quantization = true
            created = TFLGpuDelegateCreate(&options)
            free = { TFLGpuDelegateDelete($0) }
        case .automatic, .cpu:
            var options = TfLiteXNNPackDelegateOptionsDefault()
            options.num_threads = numThreads
            created = TfLiteXNNPackDelegateCreate(&options)
            free = { TfLiteXNNPackDelegateDelete($0) }
        }
        guard let created else { throw ContractError("this device does not have it") }
        pointer = created
    }

    deinit { free(pointer) }
}
