import Foundation

/// What `LiteRTNetwork.swift` uses of LiteRT's Swift package, with the signatures of tests/mobile/litert_swift_signatures.txt.

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

struct StubError: Error {}

public final class Environment {
  public enum Option {
    case runtimeLibraryDir(String)
  }
  public init(options: [Option] = []) throws { throw StubError() }
}

public final class Options {
  public init() throws { throw StubError() }
  public func setHardwareAccelerators(_ accelerators: Set<Accelerator>) throws { throw StubError() }
}

public final class Model {
  public init(filePath: String, environment: Environment? = nil) throws { throw StubError() }
  public func signatureKeys() throws -> [String] { throw StubError() }
}

public final class TensorBuffer {
  public func write<T>(_ data: [T]) throws { throw StubError() }
  public func read<T>() throws -> [T] { throw StubError() }
}

public final class CompiledModel {
  public init(environment: Environment, model: Model, options: Options? = nil) throws { throw StubError() }
  public func run(
    inputs: [TensorBuffer],
    outputs: [TensorBuffer],
    options: Options? = nil,
    signatureIndex: Int = 0
  ) throws { throw StubError() }
  public func createInputBuffers(signatureIndex: Int = 0) throws -> [TensorBuffer] { throw StubError() }
  public func createOutputBuffers(signatureIndex: Int = 0) throws -> [TensorBuffer] { throw StubError() }
  public func inputCount(signatureIndex: Int = 0) throws -> Int { throw StubError() }
  public func outputCount(signatureIndex: Int = 0) throws -> Int { throw StubError() }
  public func inputName(
    inputIndex: Int,
    signatureIndex: Int = 0
  ) throws -> String { throw StubError() }
  public func outputName(
    outputIndex: Int,
    signatureIndex: Int = 0
  ) throws -> String { throw StubError() }
  public func getInputTensorType(
    inputIndex: Int,
    signatureIndex: Int = 0
  ) throws -> TensorType { throw StubError() }
  public func getOutputTensorType(
    outputIndex: Int,
    signatureIndex: Int = 0
  ) throws -> TensorType { throw StubError() }
  public func isFullyAccelerated() throws -> Bool { throw StubError() }
}
