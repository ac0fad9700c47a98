/// What became of a whole pack.
public struct ParityReport {
    public private(set) var numPassed = 0
    /// Cases that run a model which was not handed in.
    public private(set) var numLeftOut = 0
    /// Name of the case, and what was wrong.
    public private(set) var failures: [(name: String, message: String)] = []
    /// Largest difference from Python of each quantity, of the cases that passed.
    public private(set) var differences: [String: Double] = [:]

    public init(of pack: ParityPack, networks: ParityNetworks = ParityNetworks()) {
        for parityCase in pack.cases {
            switch replay(parityCase, networks: networks) {
            case .passed(let comparison):
                numPassed += 1
                differences.merge(comparison.differences, uniquingKeysWith: max)
            case .failed(let message): failures.append((parityCase.name, message))
            case .leftOut: numLeftOut += 1
            }
        }
    }

    /// A line a number, for people.
    public var lines: [String] {
        ["\(numPassed) passed, \(failures.count) failed, \(numLeftOut) left out, which run a model"]
            + failures.map { "FAILED \($0.name): \($0.message)" }
            + differences.sorted { $0.key < $1.key }.map { "\($0.key): at most \($0.value)" }
    }
}
