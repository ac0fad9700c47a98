import Dispatch

/// Measures stages of the work by a clock that never goes back.
struct StageTimer {
    let report: Stopwatch

    func time<Result>(_ stage: String, _ work: () throws -> Result) rethrows -> Result {
        let started = DispatchTime.now().uptimeNanoseconds
        defer { report(stage, Double(DispatchTime.now().uptimeNanoseconds - started) / 1e9) }
        return try work()
    }
}
