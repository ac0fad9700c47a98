import KerasPoseCore

/// Where networks run, and what is used instead when that is not possible.

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

/// What runs, and where.
public struct OpenedNetwork<Network> {
    public let network: Network
    public let accelerator: Accelerator
    /// For the user: what did not work and what is used instead. Empty where all is as wished.
    public let notes: [String]
}

/// Opens a network where the user wishes, or else where it can run.
///
/// - Parameters:
///   - contract: of the file.
///   - open: makes the network ready and runs it once; throws where that does not work.
/// - Throws: what the CPU says, on which every model should run.
public func openWithFallback<Network>(
    _ wish: Accelerator, contract: Contract, open: (Accelerator) throws -> Network
) throws -> OpenedNetwork<Network> {
    var refusals: [String] = []
    for accelerator in wish.attempts.dropLast() {
        if let reason = accelerator.refusal(of: contract.quantization) {
            refusals.append("\(accelerator.name): \(sentence(reason))")
            continue
        }
        do {
            let network = try open(accelerator)
            return OpenedNetwork(network: network, accelerator: accelerator, notes: notes(refusals, wish, accelerator, contract))
        } catch {
            refusals.append("\(accelerator.name): \(sentence("\(error)"))")
        }
    }
    let network = try open(.cpu)
    return OpenedNetwork(network: network, accelerator: .cpu, notes: notes(refusals, wish, .cpu, contract))
}

private func sentence(_ words: String) -> String { words.hasSuffix(".") ? words : words + "." }

/// Nobody who left the choice to the app is told of what it tried.
private func notes(_ refusals: [String], _ wish: Accelerator, _ used: Accelerator, _ contract: Contract) -> [String] {
    guard wish != .automatic, !refusals.isEmpty else { return [] }
    return ["\(contract.model) runs on \(used.name). " + refusals.joined(separator: " ")]
}
