import KerasPoseCore
import KerasPoseParity

/// Where networks run: the first that takes the file and computes what Python did. Whatever is not used is named, with the
/// reason: none falls back in silence.

public enum Accelerator: String, CaseIterable, Identifiable, Sendable {
    case automatic, coreML, metal, cpu

    public var id: String { rawValue }

    public var name: String {
        switch self {
        case .automatic: return "Automatic"
        case .coreML: return "Core ML (Neural Engine)"
        case .metal: return "GPU (Metal)"
        case .cpu: return "CPU (XNNPACK)"
        }
    }

    /// What is tried, one after the other; the CPU runs every model.
    var attempts: [Accelerator] {
        switch self {
        case .automatic: return [.coreML, .metal, .cpu]
        case .cpu: return [.cpu]
        default: return [self, .cpu]
        }
    }

    /// Why it does not even need to be tried with a model; nil: it may work.
    ///
    /// The Core ML delegate takes float32 and float16 models only. With others it takes no operator and says nothing,
    /// and the screen would name an accelerator that has nothing to do.
    func refusal(of quantization: String) -> String? {
        guard self == .coreML, !["float32", "float16"].contains(quantization) else { return nil }
        return "it takes float models only, and this one is \(quantization)"
    }
}

/// A file that is open, by whatever runtime.
public protocol OpenNetwork {
    /// Whether all operators run on the accelerator that was asked for; false: the runtime does not say for how many it does.
    var takesAllOperators: Bool { get }

    /// Runs it on one image; see `RunNetwork`.
    func run(_ values: [Float]) throws -> [String: [Float]]
}

/// What runs, and where.
public struct OpenedNetwork<Network: OpenNetwork> {
    public let network: Network
    public let accelerator: Accelerator
    /// For the user: what did not work, why, and what is used instead. Empty where the first that was tried is used.
    public let notes: [String]

    /// Where it runs, and how much of it, for the user.
    public var place: String {
        if accelerator == .cpu { return accelerator.name }
        return accelerator.name + (network.takesAllOperators ? ", all operators" : "; the runtime does not say for how many operators")
    }
}

/// Opens a network where the user wishes, or else where it can run: what computes other than Python did is not used.
///
/// - Parameters:
///   - contract: of the file.
///   - recorded: inputs, and what the file answered to them in Python; none: the CPU's answer to noise is the measure.
///   - open: makes the network ready; throws where that does not work.
/// - Throws: `ContractError` with all reasons where nothing runs it.
public func openWithFallback<Network: OpenNetwork>(
    _ wish: Accelerator, contract: Contract, recorded: [RecordedRun] = [], open: (Accelerator) throws -> Network
) throws -> OpenedNetwork<Network> {
    let isOnlyCPU = wish.attempts.allSatisfy { $0 == .cpu || $0.refusal(of: contract.quantization) != nil }
    let measure = recorded.isEmpty && !isOnlyCPU ? answerToNoise(contract, of: open) : recorded
    var refusals: [String] = []
    for accelerator in wish.attempts {
        var reason = accelerator.refusal(of: contract.quantization)
        if reason == nil {
            do {
                let network = try open(accelerator)
                reason = try whatIsWrong(with: network, on: accelerator, contract, measure)
                if reason == nil {
                    let words = "\(contract.model) runs on \(accelerator.name). " + refusals.joined(separator: " ")
                    return OpenedNetwork(network: network, accelerator: accelerator, notes: refusals.isEmpty ? [] : [words])
                }
            } catch {
                reason = "\(error)"
            }
        }
        refusals.append("Not on \(accelerator.name): \(sentence(reason ?? ""))")
    }
    throw ContractError("\(contract.model) cannot be run. " + refusals.joined(separator: " "))
}

private func sentence(_ words: String) -> String { words.hasSuffix(".") ? words : words + "." }

/// What the CPU says, as a measure for the others; none where it does not run the file. Its network is let go before
/// another is opened, so that two never share the memory.
private func answerToNoise<Network: OpenNetwork>(_ contract: Contract, of open: (Accelerator) throws -> Network) -> [RecordedRun] {
    // Why it fails is said when its turn comes.
    guard let input = try? noise(for: contract), let outputs = try? open(.cpu).run(input),
        difference(contract.outputs, outputs, from: outputs) == nil
    else { return [] }
    return [RecordedRun(input: input, outputs: outputs)]
}

private func whatIsWrong<Network: OpenNetwork>(
    with network: Network, on accelerator: Accelerator, _ contract: Contract, _ measure: [RecordedRun]
) throws -> String? {
    let runs = measure.isEmpty ? [RecordedRun(input: try noise(for: contract), outputs: [:])] : measure
    for run in runs {
        let outputs = try network.run(run.input)
        // A CPU that nothing measures may well find the same everywhere in noise: it is its own measure.
        let isItsOwn = measure.isEmpty && accelerator == .cpu
        if let words = difference(contract.outputs, outputs, from: isItsOwn ? outputs : run.outputs) { return words }
    }
    return nil
}
