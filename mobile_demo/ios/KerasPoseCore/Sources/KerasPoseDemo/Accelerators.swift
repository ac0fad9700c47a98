import Dispatch
import Foundation
import KerasPoseCore
import KerasPoseParity

/// Where networks run: the first that takes the file, computes what Python did, and is worth it, as on Android. Whatever is not
/// used is named, with the reason: none falls back in silence.

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

    /// What is tried, one after the other, before the CPU, which runs every model.
    var attempts: [Accelerator] {
        switch self {
        case .automatic: return [.coreML, .metal]
        case .cpu: return []
        default: return [self]
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

extension Contract {
    /// What its audit expects an accelerator to take; nil: it says nothing of it.
    fileprivate func expectation(of accelerator: Accelerator) -> OperatorShare? {
        switch accelerator {
        case .coreML: return operatorAudit["Core ML"]
        case .metal: return operatorAudit["GPU"]
        case .automatic, .cpu: return nil
        }
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
    /// One run.
    public let milliseconds: Double
    /// One run on the CPU; nil: it does not run there.
    public let cpuMilliseconds: Double?
    /// For the user: what did not work, why, and what is used instead. Empty where the first that was tried is used.
    public let notes: [String]
    fileprivate let share: OperatorShare?
    fileprivate let numOperators: Int?

    /// Where it runs, how much of it, and how fast, for the user.
    public var place: String {
        let time = ": \(inTenths(milliseconds))"
        if accelerator == .cpu { return accelerator.name + time }
        let cpu = cpuMilliseconds.map { ", on the CPU \(inTenths($0))" } ?? ""
        if network.takesAllOperators {
            return accelerator.name + ", all \(numOperators.map { "\($0) " } ?? "")operators" + time + cpu
        }
        let audit = share.map { "; by keras_pose's audit it should be \(words(of: $0))" } ?? ""
        return accelerator.name + " (the runtime does not say for how many operators\(audit))" + time + cpu
    }
}

/// Times a run this often, after `numWarmUps`.
private let numTimed = 5
private let numWarmUps = 2

/// An accelerator of which it is not known how much it does must take less than this share of the CPU's time: else the CPU may be
/// doing it all.
private let mostOfCPUTime = 0.9

/// How many kinds of operators are named that an accelerator does not take.
private let numNamed = 6

/// Opens a network where the user wishes, or else where it can run: what computes other than Python did, or is no faster than the
/// CPU, is not used.
///
/// The CPU is opened first, as a measure: what no pack says, it says, and it is timed. An accelerator that the user wishes is used
/// though it is slower, if it takes all operators. No two networks are open at a time, so that they never share the memory.
///
/// - Parameters:
///   - contract: of the file.
///   - recorded: inputs, and what the file answered in Python; none: the CPU's answer to noise is the measure.
///   - clock: nanoseconds, which never go back.
///   - open: makes the network ready; throws where that does not work.
/// - Throws: `ContractError` with all reasons where nothing runs it.
public func openWithFallback<Network: OpenNetwork>(
    _ wish: Accelerator, contract: Contract, recorded: [RecordedRun] = [],
    clock: () -> UInt64 = { DispatchTime.now().uptimeNanoseconds }, open: (Accelerator) throws -> Network
) throws -> OpenedNetwork<Network> {
    var refusals: [String] = []
    // What the audit expects of an accelerator is said where that does not do all of the file, or does not say so.
    func refuse(_ accelerator: Accelerator, _ reason: String, expected: Bool = false) {
        let share = expected ? contract.expectation(of: accelerator) : nil
        let audit = share.map { " By keras_pose's audit it should take \(words(of: $0))." } ?? ""
        refusals.append("Not on \(accelerator.name): \(sentence(reason))\(audit)")
    }

    var cpu: Tried<Network>?
    do {
        cpu = try tried(open(.cpu), contract, recorded, isMeasure: recorded.isEmpty, clock)
    } catch {
        refuse(.cpu, "\(error)")
    }
    let measure = cpu.map { recorded.isEmpty ? [$0.run] : recorded } ?? recorded
    let cpuMilliseconds = cpu?.milliseconds
    func opened(_ tried: Tried<Network>, _ network: Network, on accelerator: Accelerator) -> OpenedNetwork<Network> {
        OpenedNetwork(
            network: network, accelerator: accelerator, milliseconds: tried.milliseconds, cpuMilliseconds: cpuMilliseconds,
            notes: refusals.isEmpty ? [] : ["\(contract.model) runs on \(accelerator.name). " + refusals.joined(separator: " ")],
            share: contract.expectation(of: accelerator), numOperators: contract.operatorAudit.values.first?.numOperators
        )
    }

    for accelerator in wish.attempts {
        if let reason = accelerator.refusal(of: contract.quantization) {
            refuse(accelerator, reason)
            continue
        }
        cpu?.network = nil
        let network: Network
        do {
            network = try open(accelerator)
        } catch {
            refuse(accelerator, "\(error)", expected: true)
            continue
        }
        do {
            let found = try tried(network, contract, measure, isMeasure: false, clock)
            let isForced = wish != .automatic && network.takesAllOperators
            let slow = isForced ? nil : slowness(of: found, network.takesAllOperators, cpuMilliseconds)
            guard let slow else { return opened(found, network, on: accelerator) }
            refuse(accelerator, slow, expected: !network.takesAllOperators)
        } catch {
            refuse(accelerator, "\(error)")
        }
    }
    if let cpu { return opened(cpu, try cpu.network ?? open(.cpu), on: .cpu) }
    throw ContractError("\(contract.model) cannot be run. " + refusals.joined(separator: " "))
}

/// A network that computes what it should, and how long that takes.
private struct Tried<Network> {
    /// nil: it was let go.
    var network: Network?
    /// What it took and answered last.
    let run: RecordedRun
    let milliseconds: Double
}

/// Checks and times a network.
///
/// - Parameter isMeasure: what it answers is held against nothing: a CPU that nothing measures may well find the same everywhere in noise.
/// - Throws: what is wrong with it, in words.
private func tried<Network: OpenNetwork>(
    _ network: Network, _ contract: Contract, _ measure: [RecordedRun], isMeasure: Bool, _ clock: () -> UInt64
) throws -> Tried<Network> {
    let runs = measure.isEmpty ? [RecordedRun(input: try noise(for: contract), outputs: [:])] : measure
    for run in runs {
        let outputs = try network.run(run.input)
        if let words = difference(contract.outputs, outputs, from: isMeasure ? outputs : run.outputs) { throw ContractError(words) }
    }
    var (times, outputs): ([UInt64], [String: [Float]]) = ([], [:])
    for i in 0..<(numWarmUps + numTimed) {
        let started = clock()
        outputs = try network.run(runs[0].input)
        if i >= numWarmUps { times.append(clock() - started) }
    }
    let median = Double(times.sorted()[numTimed / 2]) / 1e6
    return Tried(network: network, run: RecordedRun(input: runs[0].input, outputs: outputs), milliseconds: median)
}

/// Why an accelerator is not worth it; nil: it is, or there is no CPU to compare it with.
private func slowness<Network>(of tried: Tried<Network>, _ takesAllOperators: Bool, _ cpuMilliseconds: Double?) -> String? {
    guard let cpuMilliseconds else { return nil }
    let most = takesAllOperators ? cpuMilliseconds : mostOfCPUTime * cpuMilliseconds
    if tried.milliseconds < most { return nil }
    let perhaps = takesAllOperators ? "" : ", which may be running it all"
    return "it takes \(inTenths(tried.milliseconds)), the CPU \(inTenths(cpuMilliseconds))\(perhaps)"
}

private func words(of share: OperatorShare) -> String {
    if share.left.isEmpty { return "all \(share.numOperators) operators" }
    var named = share.left.prefix(numNamed).map { "\($0.count) \($0.kind) (\($0.reason))" }
    let numOthers = share.left.dropFirst(numNamed).map(\.count).reduce(0, +)
    if numOthers > 0 { named.append("\(numOthers) more") }
    let parts = share.numPartitions > 1 ? ", in \(share.numPartitions) parts" : ""
    return "\(share.numTaken) of \(share.numOperators) operators\(parts); the CPU's are \(named.joined(separator: ", "))"
}

private func inTenths(_ milliseconds: Double) -> String { String(format: "%.1f ms", milliseconds) }

private func sentence(_ words: String) -> String { words.hasSuffix(".") ? words : words + "." }
