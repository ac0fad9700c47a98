/// Networks that see whole pictures and find everybody in them, of whatever outputs; SPEC.md, section 6.

/// Finds everybody in a picture, without a detector. What the outputs mean, `OneStageEstimator` and `BottomUpEstimator` know.
public protocol CrowdEstimator: AnyObject {
    /// The people of a picture, by falling score.
    func estimate(_ image: Picture) throws -> [Person]
}

/// Whether files of a task see whole pictures, and find everybody in them by themselves.
public func findsEverybody(task: String) -> Bool { ["one_stage", "bottom_up"].contains(task) }

/// The estimator that a contract asks for.
///
/// - Parameter boxThreshold: people with no higher score are left out; nil: what suits the kind of network.
/// - Throws: `ContractError` for a file that does not find people by itself.
public func crowdEstimator(
    contract: Contract, run: @escaping RunNetwork, boxThreshold: Float? = nil, stopwatch: @escaping Stopwatch = { _, _ in }
) throws -> CrowdEstimator {
    switch contract {
    case .oneStage(let its):
        return OneStageEstimator(contract: its, run: run, boxThreshold: boxThreshold ?? usualBoxThreshold, stopwatch: stopwatch)
    case .bottomUp(let its):
        return BottomUpEstimator(contract: its, run: run, boxThreshold: boxThreshold ?? bottomUpThreshold, stopwatch: stopwatch)
    case .pose, .detector:
        throw ContractError("\(contract.model) does not find people by itself, as one-stage and bottom-up networks do.")
    }
}

/// A network of whole pictures that is ready: letterbox, run, and real outputs, with the time of each.
struct CrowdNetwork {
    let head: ContractHead
    let run: RunNetwork
    /// People with no higher score are left out.
    let boxThreshold: Float
    let timer: StageTimer

    /// Real numbers of an output, by the contract's entry.
    typealias Real = (TensorSpec) throws -> [Float]

    /// - Parameter decode: everybody whom the outputs show, by falling score; scale is input pixels per image pixel.
    func findEverybody(
        in image: Picture, decode: (_ real: Real, _ scale: (x: Double, y: Double)) throws -> [Person]
    ) throws -> [Person] {
        let (fitted, input) = try timer.time("letterbox") {
            let fitted = letterbox(image, into: head.inputSize)
            return (fitted, try toInput(fitted.pixels, spec: head.input, normalization: head.normalization))
        }
        let raw = try timer.time("pose") { try run(input) }
        return try timer.time("decode") {
            try decode({ try realOutput(raw, $0) }, (fitted.scaleX, fitted.scaleY)).filter { $0.score > boxThreshold }
        }
    }
}
