/// Who is who in a video: people of one frame are matched with tracks of the last ones, by OKS; SPEC.md, section 10.

/// Takes the most similar pair (track, person), then the most similar of those left, and so on.
///
/// - Parameter threshold: pairs below are never taken.
public func matchGreedy(_ similarity: [[Double]], threshold: Double) -> [(track: Int, person: Int)] {
    let pairs = similarity.indices.flatMap { i in similarity[i].indices.map { (track: i, person: $0) } }
    // Of equal ones the first, row by row.
    var waiting = pairs.filter { similarity[$0.track][$0.person] >= threshold }
        .byFalling { similarity[$0.track][$0.person] }[...]
    var taken: [(track: Int, person: Int)] = []
    while let best = waiting.first {
        taken.append(best)
        waiting = waiting.filter { $0.track != best.track && $0.person != best.person }[...]
    }
    return taken
}

/// Gives the people of a video numbers that stay; numbers begin at 0.
public final class OksTracker {
    /// A person as last seen.
    private struct Track {
        var trackID: Int
        let keypointsXY: [Double]
        let isSure: [Bool]
        let area: Double
        var velocity = (x: 0.0, y: 0.0)
        /// 1 when they were in the last frame.
        var age = 1

        var expectedXY: [Double] {
            keypointsXY.enumerated().map { $1 + Double(age) * ($0 % 2 == 0 ? velocity.x : velocity.y) }
        }
    }

    private let sigmas: [Double]
    public let oksThreshold: Double
    public let patience: Int
    public let keypointThreshold: Float
    public let minKeypoints: Int
    private var tracks: [Track] = []
    private var nextID = 0

    /// - Parameters:
    ///   - oksThreshold: people less like a track are not its person.
    ///   - patience: frames for which a track waits for its person.
    ///   - minKeypoints: people with fewer sure ones cannot be told from others.
    public init(
        sigmas: [Double], oksThreshold: Double = 0.3, patience: Int = 12, keypointThreshold: Float = 0.2,
        minKeypoints: Int = 3
    ) {
        self.sigmas = sigmas
        self.oksThreshold = oksThreshold
        self.patience = patience
        self.keypointThreshold = keypointThreshold
        self.minKeypoints = minKeypoints
    }

    /// Takes the people of the next frame; returns them with track ids.
    public func update(_ people: [Person]) -> [Person] {
        var seen = people.map(firstSeen)
        let trackable = seen.indices.filter { i in seen[i].isSure.filter { $0 }.count >= minKeypoints }
        let pairs = matchGreedy(similarity(to: trackable.map { seen[$0] }), threshold: oksThreshold)
        for (track, place) in pairs {
            seen[trackable[place]] = continued(tracks[track], as: seen[trackable[place]])
        }
        for i in trackable where seen[i].trackID == noTrack {
            seen[i].trackID = nextID
            nextID += 1
        }
        let isContinued = Set(pairs.map { $0.track })
        let waiting = tracks.indices.filter { !isContinued.contains($0) && tracks[$0].age <= patience }
        tracks = trackable.map { seen[$0] } + waiting.map { aged(tracks[$0]) }
        return people.indices.map { i in
            var person = people[i]
            person.trackID = seen[i].trackID
            return person
        }
    }

    private func similarity(to seen: [Track]) -> [[Double]] {
        tracks.map { track in
            let expected = track.expectedXY
            return seen.map { person in
                let area = (track.area + person.area) / 2
                return oks(expected, person.keypointsXY, area: area, sigmas: sigmas) { track.isSure[$0] && person.isSure[$0] }
            }
        }
    }

    private func firstSeen(_ person: Person) -> Track {
        Track(
            trackID: noTrack,
            // Points that are not sure do not count, but must be numbers.
            keypointsXY: finite(person.keypointsXY),
            isSure: person.keypointScores.indices.map { person.isSure($0, threshold: keypointThreshold) },
            area: max(0, person.box.width) * max(0, person.box.height)
        )
    }

    /// Moves a track to where its person is seen now.
    private func continued(_ track: Track, as seen: Track) -> Track {
        let both = seen.isSure.indices.filter { track.isSure[$0] && seen.isSure[$0] }
        // The median: single keypoints jump.
        func step(_ axis: Int) -> Double {
            median(both.map { seen.keypointsXY[2 * $0 + axis] - track.keypointsXY[2 * $0 + axis] }) / Double(track.age)
        }
        var moved = seen
        moved.trackID = track.trackID
        moved.velocity = ((track.velocity.x + step(0)) / 2, (track.velocity.y + step(1)) / 2)
        return moved
    }

    private func aged(_ track: Track) -> Track {
        var older = track
        older.age += 1
        return older
    }
}

/// - Precondition: there is at least one value.
private func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
