import Foundation

/// What `LiteRTNetwork.swift` uses of LiteRT's Swift package, with the signatures of tests/mobile/litert_swift_signatures.txt,
/// and a device that pretends.

public enum Accelerator: Int32 {
  case none = 0
  case cpu = 1
  case gpu = 2
  case npu = 4
}

public enum ElementType: UInt32 {
  case none = 0
  case int8 = 9
  case int16 = 7
  case int32 = 2
  case uint8 = 3
  case float32 = 1
}

public struct Layout: Equatable {
  public let dimensions: [Int]
}

public struct TensorType: Equatable {
  public let elementType: ElementType
  public let layout: Layout
}

/// The file and the device that it pretends to have.
public enum Pretended {
  public nonisolated(unsafe) static var signatures: [String] = []
  public nonisolated(unsafe) static var inputs: [(String, TensorType)] = []
  public nonisolated(unsafe) static var outputs: [(String, TensorType)] = []
  public nonisolated(unsafe) static var takesAll = true
  public nonisolated(unsafe) static var asked: [Set<Accelerator>] = []
  public nonisolated(unsafe) static var run: ([UInt8]) -> [[UInt8]] = { _ in [] }
  public static func type(_ elementType: ElementType, _ dimensions: [Int]) -> TensorType {
    TensorType(elementType: elementType, layout: Layout(dimensions: dimensions))
  }
}

public final class Environment {
  public enum Option {
    case runtimeLibraryDir(String)
  }
  public init(options: [Option] = []) throws {}
}

public final class Options {
  public init() throws {}
  public func setHardwareAccelerators(_ accelerators: Set<Accelerator>) throws { Pretended.asked.append(accelerators) }
}

public final class Model {
  public init(filePath: String, environment: Environment? = nil) throws {}
  public func signatureKeys() throws -> [String] { Pretended.signatures }
}

public final class TensorBuffer {
  var bytes: [UInt8] = []
  public func write<T>(_ data: [T]) throws { bytes = data.withUnsafeBytes { [UInt8]($0) } }
  public func read<T>() throws -> [T] { bytes.withUnsafeBytes { [T]($0.bindMemory(to: T.self)) } }
}

public final class CompiledModel {
  public init(environment: Environment, model: Model, options: Options? = nil) throws {}
  public func run(
    inputs: [TensorBuffer],
    outputs: [TensorBuffer],
    options: Options? = nil,
    signatureIndex: Int = 0
  ) throws {
    for (output, bytes) in zip(outputs, Pretended.run(inputs[0].bytes)) { output.bytes = bytes }
  }
  public func createInputBuffers(signatureIndex: Int = 0) throws -> [TensorBuffer] { Pretended.inputs.map { _ in TensorBuffer() } }
  public func createOutputBuffers(signatureIndex: Int = 0) throws -> [TensorBuffer] { Pretended.outputs.map { _ in TensorBuffer() } }
  public func inputCount(signatureIndex: Int = 0) throws -> Int { Pretended.inputs.count }
  public func outputCount(signatureIndex: Int = 0) throws -> Int { Pretended.outputs.count }
  public func inputName(
    inputIndex: Int,
    signatureIndex: Int = 0
  ) throws -> String { Pretended.inputs[inputIndex].0 }
  public func outputName(
    outputIndex: Int,
    signatureIndex: Int = 0
  ) throws -> String { Pretended.outputs[outputIndex].0 }
  public func getInputTensorType(
    inputIndex: Int,
    signatureIndex: Int = 0
  ) throws -> TensorType { Pretended.inputs[inputIndex].1 }
  public func getOutputTensorType(
    outputIndex: Int,
    signatureIndex: Int = 0
  ) throws -> TensorType { Pretended.outputs[outputIndex].1 }
  public func isFullyAccelerated() throws -> Bool { Pretended.takesAll }
}
