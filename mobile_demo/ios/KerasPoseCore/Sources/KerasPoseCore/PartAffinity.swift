import Foundation

/// Heatmaps and part affinity fields to people; contract.md and SPEC.md, "Bottom-up networks". What is float, what is
/// double, and which of two equals goes first, is as written there.

/// Limbs that are shorter, in cells, need not be in their field.
private let near: Float = 1
/// People of fewer keypoints do not share those of others.
private let leastOwn = 3
/// A neighbour counts as no lower than this share of its peak.
private let lowestShare = 1e-3

/// How maps become people, as it stands in contracts.
public struct PartAffinityCodec: Equatable, Sendable {
    public let input: ImageSize
    /// Input pixels per cell.
    public let stride: Int
    /// Width of the peaks, cells.
    let sigma: Double
    /// Lowest height of a candidate.
    let minPeak: Float
    /// Candidates per keypoint, the highest ones.
    let maxPeaks: Int
    /// Points of a line at which fields are read.
    let numPoints: Int
    /// Product of field and line that speaks for a limb.
    let minField: Double
    /// Share of the points that must speak for it.
    let minShare: Double
    /// Over which parts of a person are joined, in extents.
    let maxGap: Float
    /// People with fewer go.
    let minKeypoints: Int
    /// People whose peaks are lower on average go.
    let minScore: Float

    /// Height and width of the maps, cells.
    var cells: ImageSize { ImageSize(height: input.height / stride, width: input.width / stride) }

    init(_ values: JSON) throws {
        func field(_ name: String) throws -> JSON { try values.member(name, of: "codec") }
        func rule(_ holds: Bool, _ words: String) throws {
            guard holds else { throw ContractError("A part_affinity codec needs \(words).") }
        }
        let kind = try field("kind").text()
        guard kind == "part_affinity" else {
            throw ContractError("This app reads the codec part_affinity of bottom-up networks, not \(kind).")
        }
        for name in ["stride", "sigma", "limb_width", "min_peak", "max_peaks"] {
            let value = try field(name).number()
            try rule(value > 0, "\(name) above 0, got \(value)")
        }
        stride = try field("stride").integer()
        sigma = try field("sigma").number()
        minPeak = Float(try field("min_peak").number())
        maxPeaks = try field("max_peaks").integer()
        numPoints = try field("num_points").integer()
        try rule((1...255).contains(numPoints), "num_points of 1 to 255, got \(numPoints)")
        minField = try field("min_field").number()
        minShare = try field("min_share").number()
        try rule(minShare > 0 && minShare <= 1, "0 < min_share <= 1, got \(minShare)")
        let gap = try field("max_gap").number()
        try rule(gap >= 0, "max_gap of at least 0, got \(gap)")
        maxGap = Float(gap)
        minKeypoints = try field("min_keypoints").integer()
        try rule(minKeypoints >= 1, "min_keypoints of at least 1, got \(minKeypoints)")
        minScore = Float(try field("min_score").number())
        let matching = try field("matching").text()
        try rule(matching == "greedy", "the matching greedy in this app, got \(matching)")
        input = try field("input_hw").size()
        let stride = self.stride
        try rule(
            [input.height, input.width].allSatisfy { $0 >= stride && $0 % stride == 0 },
            "an input_hw of multiples of its stride \(stride), got \(input.height)x\(input.width)"
        )
    }
}

/// Real outputs for one image.
public struct CrowdMaps: Sendable {
    /// Height and width.
    let cells: ImageSize
    let numKeypoints: Int
    /// L pairs of keypoints.
    let limbPairs: [[Int]]
    /// (height * width * (K + 1)), the background last.
    let heatmaps: [Float]
    /// (height * width * 2 L)
    let fields: [Float]

    public init(cells: ImageSize, numKeypoints: Int, limbPairs: [[Int]], heatmaps: [Float], fields: [Float]) {
        self.cells = cells
        self.numKeypoints = numKeypoints
        self.limbPairs = limbPairs
        self.heatmaps = heatmaps
        self.fields = fields
    }
}

/// A person in cells.
public struct FoundPerson: Equatable, Sendable {
    /// x, y, x, y, ... of the K keypoints; 0 where one was not found.
    public internal(set) var xy: [Float]
    /// Heights of their peaks; 0 where one was not found.
    public internal(set) var scores: [Float]
    /// Their mean over all K.
    public internal(set) var score: Float
}

/// Finds the people in the maps of one picture, by falling score.
public func assemblePeople(_ maps: CrowdMaps, codec: PartAffinityCodec) -> [FoundPerson] {
    let candidates = findCandidates(maps, codec: codec)
    let limbs = LimbMeter(candidates, maps, codec).limbs()
    let count = maps.numKeypoints
    var people = joined(candidates, by: matched(limbs), numKeypoints: count)
    sharePeaks(&people, candidates, limbs, numKeypoints: count)
    let whole = bridged(people.map { Part($0.map { candidates[$0] }, numKeypoints: count) }, people, maxGap: codec.maxGap)
    return gathered(whole, candidates, numKeypoints: count, codec: codec)
}

/// A peak of a heatmap.
private struct Candidate {
    let keypoint: Int
    let x: Float
    let y: Float
    /// Its height.
    let score: Float
}

/// Two candidates that may be the ends of a limb.
private struct Limb {
    let kind: Int
    let first: Int
    let last: Int
    let score: Double
}

/// Which keypoints somebody has.
private struct KeypointSet {
    private var words: [UInt64]

    /// - Parameter count: of keypoints that there may be; sets that are compared have the same.
    init(_ candidates: [Candidate], count: Int) {
        words = [UInt64](repeating: 0, count: (count >> 6) + 1)
        for candidate in candidates { insert(candidate.keypoint) }
    }

    mutating func insert(_ keypoint: Int) { words[keypoint >> 6] |= 1 << UInt64(keypoint & 63) }

    mutating func formUnion(_ other: KeypointSet) {
        for i in words.indices { words[i] |= other.words[i] }
    }

    func contains(_ keypoint: Int) -> Bool { words[keypoint >> 6] & (1 << UInt64(keypoint & 63)) != 0 }

    func meets(_ other: KeypointSet) -> Bool {
        for i in words.indices where words[i] & other.words[i] != 0 { return true }
        return false
    }
}

/// The peaks of heatmaps, by keypoint, then y, then x.
private func findCandidates(_ maps: CrowdMaps, codec: PartAffinityCodec) -> [Candidate] {
    let (height, width, channels) = (maps.cells.height, maps.cells.width, maps.numKeypoints + 1)
    let curvature = -1 / (codec.sigma * codec.sigma)
    var found = [[Candidate]](repeating: [], count: maps.numKeypoints)
    for y in 0..<height {
        for x in 0..<width {
            for k in 0..<maps.numKeypoints {
                let score = maps.heatmaps[(y * width + x) * channels + k]
                guard score >= codec.minPeak else { continue }
                // Beyond the border: nil.
                func at(_ dx: Int, _ dy: Int) -> Float? {
                    let (column, row) = (x + dx, y + dy)
                    guard column >= 0, row >= 0, column < width, row < height else { return nil }
                    return maps.heatmaps[(row * width + column) * channels + k]
                }
                let before = [at(-1, 0), at(0, -1), at(-1, -1), at(1, -1)]
                let after = [at(1, 0), at(0, 1), at(-1, 1), at(1, 1)]
                guard before.allSatisfy({ $0.map { score > $0 } ?? true }),
                    after.allSatisfy({ $0.map { score >= $0 } ?? true })
                else { continue }
                let stepX = top(before: before[0], center: score, after: after[0], curvature: curvature)
                let stepY = top(before: before[1], center: score, after: after[1], curvature: curvature)
                found[k].append(Candidate(keypoint: k, x: Float(Double(x) + stepX), y: Float(Double(y) + stepY), score: score))
            }
        }
    }
    return found.flatMap { ofOne in
        let highest = ofOne.count <= codec.maxPeaks ? ofOne : Array(ofOne.byFalling { $0.score }.prefix(codec.maxPeaks))
        return highest.sorted { ($0.y, $0.x) < ($1.y, $1.x) }
    }
}

/// Where the parabola through three logarithms has its top, -0.5 to 0.5.
///
/// - Parameter curvature: beyond the border, where `before` or `after` is nil.
private func top(before: Float?, center: Float, after: Float?, curvature: Double) -> Double {
    func logShare(_ value: Float) -> Double { log(max(Double(value) / Double(center), lowestShare)) }
    let (ofBefore, ofAfter) = (before.map(logShare), after.map(logShare))
    guard ofBefore != nil || ofAfter != nil else { return 0 }
    let left = ofBefore ?? curvature - (ofAfter ?? 0)
    let right = ofAfter ?? curvature - left
    let bend = left + right
    return bend < 0 ? min(0.5, max(-0.5, (left - right) / (2 * bend))) : 0
}

/// Rates pairs of candidates by the fields between them.
private struct LimbMeter {
    private let candidates: [Candidate]
    private let maps: CrowdMaps
    private let minField: Double
    private let mostMissed: Int
    private let shares: [Float]
    /// Counted from the first cell of a frame around the map, which repeats the outermost ones.
    private let xs: [Float]
    private let ys: [Float]

    init(_ candidates: [Candidate], _ maps: CrowdMaps, _ codec: PartAffinityCodec) {
        self.candidates = candidates
        self.maps = maps
        minField = codec.minField
        let numPoints = codec.numPoints
        mostMissed = numPoints - Int((codec.minShare * Double(numPoints) - 1e-9).rounded(.up))
        shares = (0..<numPoints).map { Float((Double($0) + 0.5) / Double(numPoints)) }
        xs = candidates.map { $0.x + 1 }
        ys = candidates.map { $0.y + 1 }
    }

    /// The pairs that may be limbs, by falling score.
    func limbs() -> [Limb] {
        var indices = [[Int]](repeating: [], count: maps.numKeypoints)
        for (i, candidate) in candidates.enumerated() { indices[candidate.keypoint].append(i) }
        var found: [Limb] = []
        for (kind, ends) in maps.limbPairs.enumerated() {
            for first in indices[ends[0]] {
                for last in indices[ends[1]] {
                    guard let score = measure(kind, first, last) else { continue }
                    found.append(Limb(kind: kind, first: first, last: last, score: score))
                }
            }
        }
        return found.sorted {
            $0.score != $1.score ? $0.score > $1.score : ($0.kind, $0.first, $0.last) < ($1.kind, $1.first, $1.last)
        }
    }

    /// The score of a pair; nil: it is no limb.
    private func measure(_ kind: Int, _ first: Int, _ last: Int) -> Double? {
        let (dx, dy) = (xs[last] - xs[first], ys[last] - ys[first])
        let square = dx * dx + dy * dy
        let isNear = square < near * near
        let length = max(square.squareRoot(), 1e-6)
        var sum = 0.0
        var missed = 0
        for share in shares {
            let (x, y) = (xs[first] + share * dx, ys[first] + share * dy)
            let (u, v) = (read(2 * kind, x, y), read(2 * kind + 1, x, y))
            let along = (u * Double(dx) + v * Double(dy)) / Double(length)
            sum += along
            if !(along > minField) {
                missed += 1
                if missed > mostMissed && !isNear { return nil }
            }
        }
        let score = sum / Double(shares.count)
        guard isNear else { return score }
        let byNearness = Double(Float(minField) * (2 - length))
        return score >= byNearness ? score : byNearness
    }

    private func read(_ channel: Int, _ x: Float, _ y: Float) -> Double {
        let (column, row) = (Int(x), Int(y))
        let (right, below) = (Double(x) - Double(column), Double(y) - Double(row))
        let channels = 2 * maps.limbPairs.count
        func cell(_ framed: Int, _ size: Int) -> Int { min(max(framed - 1, 0), size - 1) }
        func along(_ framedRow: Int) -> Double {
            let start = cell(framedRow, maps.cells.height) * maps.cells.width
            func at(_ framed: Int) -> Double {
                Double(maps.fields[(start + cell(framed, maps.cells.width)) * channels + channel])
            }
            return at(column) * (1 - right) + at(column + 1) * right
        }
        return along(row) * (1 - below) + along(row + 1) * below
    }
}

/// Takes limbs by falling score, none with an end that one of its kind has already.
private func matched(_ limbs: [Limb]) -> [Limb] {
    var begun: Set<[Int]> = []
    var ended: Set<[Int]> = []
    return limbs.filter { limb in
        let (begin, end) = ([limb.kind, limb.first], [limb.kind, limb.last])
        guard !begun.contains(begin), !ended.contains(end) else { return false }
        begun.insert(begin)
        ended.insert(end)
        return true
    }
}

/// Joins candidates to people, strongest limb first; the candidates of each, in the order of their first ones.
private func joined(_ candidates: [Candidate], by limbs: [Limb], numKeypoints: Int) -> [[Int]] {
    var group = Array(candidates.indices)
    var members = group.map { [$0] }
    var keypoints = candidates.map { KeypointSet([$0], count: numKeypoints) }
    for limb in limbs {
        let (one, other) = (group[limb.first], group[limb.last])
        if one == other || keypoints[one].meets(keypoints[other]) { continue }
        keypoints[one].formUnion(keypoints[other])
        for i in members[other] { group[i] = one }
        members[one] += members[other]
        members[other] = []
    }
    return members.compactMap { person in person.min().map { (first: $0, person) } }.sorted { $0.first < $1.first }.map(\.1)
}

/// Lets people use keypoints of others that their own limbs lead to, in place.
///
/// - Parameter limbs: by falling score.
private func sharePeaks(_ people: inout [[Int]], _ candidates: [Candidate], _ limbs: [Limb], numKeypoints: Int) {
    var keypoints = people.map { person in KeypointSet(person.map { candidates[$0] }, count: numKeypoints) }
    let counts = people.map(\.count)
    var owner = [Int](repeating: 0, count: candidates.count)
    for (n, person) in people.enumerated() {
        for i in person { owner[i] = n }
    }
    for limb in limbs {
        for (mine, end) in [(limb.first, limb.last), (limb.last, limb.first)] {
            let (person, keypoint) = (owner[mine], candidates[end].keypoint)
            if counts[person] < leastOwn || keypoints[person].contains(keypoint) { continue }
            people[person].append(end)
            keypoints[person].insert(keypoint)
        }
    }
}

/// Candidates of a person.
private struct Part {
    var keypoints: KeypointSet
    let candidates: [Candidate]
    /// The diagonal of their box.
    let extent: Float

    init(_ candidates: [Candidate], numKeypoints: Int) {
        self.candidates = candidates
        keypoints = KeypointSet(candidates, count: numKeypoints)
        func side(_ values: [Float]) -> Float { (values.max() ?? 0) - (values.min() ?? 0) }
        extent = lengthOf(side(candidates.map(\.x)), side(candidates.map(\.y)))
    }

    /// The distance of the nearest candidates, in extents of the larger part.
    func gap(to other: Part) -> Float {
        var nearest = Float.infinity
        for a in candidates {
            for b in other.candidates { nearest = min(nearest, lengthOf(a.x - b.x, a.y - b.y)) }
        }
        return nearest / max(extent, other.extent, 1e-3)
    }
}

private func lengthOf(_ dx: Float, _ dy: Float) -> Float { (dx * dx + dy * dy).squareRoot() }

/// Joins people who are parts of one: near each other, with no keypoint in common.
private func bridged(_ own: [Part], _ people: [[Int]], maxGap: Float) -> [[Int]] {
    var parts = own
    var gaps: [(size: Float, one: Int, other: Int)] = []
    for one in parts.indices {
        for other in parts.indices.dropFirst(one + 1) {
            if parts[one].keypoints.meets(parts[other].keypoints) { continue }
            let size = parts[one].gap(to: parts[other])
            if size < maxGap { gaps.append((size, one, other)) }
        }
    }
    var group = Array(people.indices)
    var whole = people
    for gap in gaps.sorted(by: <) {
        let (one, other) = (min(group[gap.one], group[gap.other]), max(group[gap.one], group[gap.other]))
        if one == other || parts[one].keypoints.meets(parts[other].keypoints) { continue }
        parts[one].keypoints.formUnion(parts[other].keypoints)
        for i in group.indices where group[i] == other { group[i] = one }
        whole[one] += whole[other]
        whole[other] = []
    }
    return whole.filter { !$0.isEmpty }
}

/// Makes arrays of people, by falling score; those of too little go.
private func gathered(
    _ people: [[Int]], _ candidates: [Candidate], numKeypoints: Int, codec: PartAffinityCodec
) -> [FoundPerson] {
    let found = people.compactMap { indices -> FoundPerson? in
        var person = FoundPerson(
            xy: [Float](repeating: 0, count: 2 * numKeypoints), scores: [Float](repeating: 0, count: numKeypoints), score: 0
        )
        // In double precision the sum is exact, whatever the order.
        var total = 0.0
        for candidate in indices.map({ candidates[$0] }) {
            person.xy[2 * candidate.keypoint] = candidate.x
            person.xy[2 * candidate.keypoint + 1] = candidate.y
            person.scores[candidate.keypoint] = candidate.score
            total += Double(candidate.score)
        }
        guard indices.count >= codec.minKeypoints, total >= Double(codec.minScore) * Double(indices.count) else { return nil }
        person.score = Float(total / Double(numKeypoints))
        return person
    }
    return found.byFalling { $0.score }
}
