/// Frames per second, and what the stages of a frame cost: over the last 30 frames.

private let numFrames = 30

/// Counts frames.
public struct RateMeter {
    private var times: [Double] = []

    public init() {}

    /// - Parameter seconds: when a frame was shown, by a clock that never goes back.
    /// - Returns: frames per second; nil until there are two.
    public mutating func add(_ seconds: Double) -> Double? {
        times = (times + [seconds]).suffix(numFrames)
        let elapsed = seconds - times[0]
        return elapsed > 0 ? Double(times.count - 1) / elapsed : nil
    }
}

/// What one stage costs.
public struct StageCost: Equatable, Identifiable {
    public let stage: String
    /// Mean of a frame's.
    public let milliseconds: Double

    public var id: String { stage }
}

/// Averages the stages of frames.
public struct StageMeter {
    private var frames: [[String: Double]] = []

    public init() {}

    /// - Parameter stages: seconds of one frame.
    public mutating func add(_ stages: [String: Double]) {
        frames = (frames + [stages]).suffix(numFrames)
    }

    /// In the order in which the work is done. A stage that a frame did without cost it nothing.
    public var costs: [StageCost] {
        let order = ["convert", "letterbox", "detect", "crop", "pose", "decode", "follow", "draw"]
        let names = Set(frames.flatMap(\.keys))
        func rank(_ name: String) -> (Int, String) { (order.firstIndex(of: name) ?? order.count, name) }
        return names.sorted { rank($0) < rank($1) }.map { name in
            let total = frames.reduce(0) { $0 + ($1[name] ?? 0) }
            return StageCost(stage: name, milliseconds: 1000 * total / Double(frames.count))
        }
    }
}
