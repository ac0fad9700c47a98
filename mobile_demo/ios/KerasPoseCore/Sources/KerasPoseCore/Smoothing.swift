/// The one-euro filter: keypoints of a video with less jitter and little lag; SPEC.md, section 11.

/// Smooths the keypoints of tracked people, each x and y by a filter of its own.
public final class OneEuroSmoother {
    private struct Memory {
        let seconds: Double
        let xy: [Double]
        let speed: [Double]
    }

    public let minCutoff: Double
    public let beta: Double
    public let speedCutoff: Double
    public let forgetAfter: Double
    private var memories: [Int: Memory] = [:]

    /// - Parameters:
    ///   - minCutoff: cutoff frequency of what rests, Hz.
    ///   - beta: how it rises, Hz per (person size / second).
    ///   - speedCutoff: cutoff frequency of the speed itself, Hz.
    ///   - forgetAfter: seconds after which a track begins anew.
    public init(minCutoff: Double = 1, beta: Double = 4, speedCutoff: Double = 1, forgetAfter: Double = 2) {
        self.minCutoff = minCutoff
        self.beta = beta
        self.speedCutoff = speedCutoff
        self.forgetAfter = forgetAfter
    }

    /// Smooths the people of the next frame; those without a track stay as they are.
    ///
    /// - Parameter seconds: time of the frame.
    /// - Precondition: `seconds` is later than that of the frame before.
    public func next(_ people: [Person], seconds: Double) -> [Person] {
        for memory in memories.values {
            precondition(seconds > memory.seconds, "Frames must come in order: \(seconds) s is not after \(memory.seconds) s.")
        }
        let smoothed = people.map { $0.trackID == noTrack ? $0 : smooth($0, seconds: seconds) }
        memories = memories.filter { seconds - $0.value.seconds <= forgetAfter }
        return smoothed
    }

    private func smooth(_ person: Person, seconds: Double) -> Person {
        let box = person.box.rounded
        let size = Double(max(1, max(Float(box.width), Float(box.height))))
        var xy = person.keypointsXY.map { Double($0) }
        var speed = [Double](repeating: 0, count: xy.count)
        // What was not found has no place, and begins anew when it has one.
        let scores = person.keypointScores
        let lost = xy.indices.filter { $0 / 2 < scores.count && scores[$0 / 2] == 0 }
        for i in lost { xy[i] = .nan }
        if let last = memories[person.trackID] {
            let elapsed = seconds - last.seconds
            for i in xy.indices where last.xy[i].isFinite && !xy[i].isNaN {
                let factor = smoothingFactor(cutoff: speedCutoff, elapsed: elapsed)
                speed[i] = mix((xy[i] - last.xy[i]) / elapsed, last.speed[i], factor)
                let cutoff = minCutoff + beta * abs(speed[i]) / size
                xy[i] = mix(xy[i], last.xy[i], smoothingFactor(cutoff: cutoff, elapsed: elapsed))
            }
        }
        memories[person.trackID] = Memory(seconds: seconds, xy: xy, speed: speed)
        var smoothed = person
        smoothed.keypointsXY = xy.map { Float($0) }
        for i in lost { smoothed.keypointsXY[i] = person.keypointsXY[i] }
        return smoothed
    }
}

/// The weight of the newest value in an exponential low-pass filter.
public func smoothingFactor(cutoff: Double, elapsed: Double) -> Double {
    let turn = 2 * Double.pi * cutoff * elapsed
    return turn / (turn + 1)
}

private func mix(_ value: Double, _ last: Double, _ alpha: Double) -> Double { alpha * value + (1 - alpha) * last }
