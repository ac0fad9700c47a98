import KerasPoseCore

/// Replaying the cases of a pack, kind by kind; docs/parity_pack.md, "Kinds".

/// Files that are ready to run, for cases that need them: of a pose model of any task, and of a detector.
public struct ParityNetworks {
    let pose: (contract: Contract, run: RunNetwork)?
    let detector: (contract: DetectorContract, run: RunNetwork)?

    public init(
        pose: (contract: Contract, run: RunNetwork)? = nil,
        detector: (contract: DetectorContract, run: RunNetwork)? = nil
    ) {
        self.pose = pose
        self.detector = detector
    }

    /// The pose model, if it is one that is shown one person at a time.
    var topDown: (contract: PoseContract, run: RunNetwork)? {
        guard let pose, case .pose(let contract) = pose.contract else { return nil }
        return (contract, pose.run)
    }

    func has(_ task: String) -> Bool { task == "pose" ? pose != nil : task == "detector" && detector != nil }
}

/// What became of a case.
public enum ParityOutcome {
    case passed(Comparison)
    case failed(String)
    /// It runs a model that was not handed in.
    case leftOut
}

/// Replays one case.
public func replay(_ parityCase: ParityCase, networks: ParityNetworks = ParityNetworks()) -> ParityOutcome {
    guard parityCase.needs.allSatisfy(networks.has) else { return .leftOut }
    let replay = Replay(given: parityCase.given, expected: parityCase.expected, networks: networks)
    do {
        try replay.run(parityCase.kind)
    } catch {
        return .failed("\(error)")
    }
    return replay.comparison.failure.map(ParityOutcome.failed) ?? .passed(replay.comparison)
}

private final class Replay {
    let given: Fields
    let expected: Fields
    let networks: ParityNetworks
    var comparison = Comparison()

    init(given: Fields, expected: Fields, networks: ParityNetworks) {
        self.given = given
        self.expected = expected
        self.networks = networks
    }

    func run(_ kind: String) throws {
        switch kind {
        case "crop": try crop()
        case "input": try input()
        case "real": try real()
        case "decode": try decode()
        case "person_scores": try personScores()
        case "certainty": try certainty()
        case "letterbox": try letterboxed()
        case "boxes": try boxes()
        case "people": try crowd()
        case "nms": try nms()
        case "oks": try similarity()
        case "oks_nms": try poseNMS()
        case "regions": try regions()
        case "tracks": try tracks()
        case "smoothing": try smoothing()
        case "defaults": try defaults()
        case "clip", "video": try clip()
        case "model": try model()
        case "pose": try pose()
        case "crowd": try everybody()
        case "detect": try detection()
        default: throw ContractError("A case of the kind \(kind) is not known here.")
        }
    }

    private func check(_ key: String, _ actual: [Double]) throws { comparison.compare(key, actual, try expected.tensor(key)) }
    private func check(_ key: String, _ actual: [Float]) throws { comparison.compare(key, actual, try expected.tensor(key)) }
    private func check(_ key: String, _ actual: [Int]) throws { comparison.compare(key, actual, try expected.tensor(key)) }

    // MARK: Pictures

    private func crop() throws {
        let box = try givenBox()
        let size = try given.size("input_hw")
        let padding = try given.number("box_padding")
        let region = CropRegion(around: box, input: size, padding: padding)
        try check("center_xy", [region.centerX, region.centerY])
        try check("size_wh", [region.width, region.height])
        let isUnbiased = try given.member("is_unbiased").flag()
        let matrix = cropMatrix(box: box, input: size, padding: padding, isUnbiased: isUnbiased)
        try check("image_to_crop", matrix.values)
        try check("crop_to_image", matrix.inverse.values)
        try check("crop", warpImage(try given.tensor("image").picture, by: matrix, to: size).map { Int($0) })
        try check("points_in_image_xy", matrix.inverse.move(try given.tensor("points_xy").values))
    }

    private func givenBox() throws -> Box {
        let box = try given.tensor("box_xywh").values
        return Box(x1: box[0], y1: box[1], x2: box[0] + box[2], y2: box[1] + box[3])
    }

    private func input() throws {
        let entry = try given.member("input")
        let normalization = try Normalization(input: entry)
        try check("input", try toInput(try given.tensor("pixels").bytes, spec: try TensorSpec(entry), normalization: normalization))
    }

    private func letterboxed() throws {
        let fitted = letterbox(try given.tensor("image").picture, into: try given.size("input_hw"))
        try check("boxed", fitted.pixels.map { Int($0) })
        try check("content_hw", [fitted.content.height, fitted.content.width])
        try check("scale_xy", [fitted.scaleX, fitted.scaleY])
    }

    // MARK: Outputs

    private func real() throws {
        try check("real", toReal(try given.tensor("raw").floats, spec: try TensorSpec(try given.member("output"))))
    }

    private func decode() throws {
        let outputs = toReal(try given.tensor("raw").floats, spec: try TensorSpec(try given.member("output")))
        let codec = try Codec(try given.member("codec"))
        let found = try codec.decode(outputs, numKeypoints: try given.member("num_keypoints").integer())
        try check("crop_xy", found.keypointsXY)
        try check("keypoint_scores", found.scores)
    }

    private func personScores() throws {
        let boxScores = try given.tensor("box_scores").floats
        let threshold = Float(try given.number("threshold"))
        let scores = try given.tensor("keypoint_scores").parts.enumerated().map { i, scores in
            personScore(boxScore: boxScores[i], keypointScores: scores.map { Float($0) }, threshold: threshold)
        }
        try check("scores", scores)
    }

    private func certainty() throws {
        let scores = try given.tensor("keypoint_scores").floats
        let hasCalibration = given.has("score_calibration")
        let entry = JSON.object([
            "visibility": try given.member("visibility"),
            "score_calibration": hasCalibration ? try given.member("score_calibration") : .null,
        ])
        guard let visibility = try Visibility(entry, numKeypoints: scores.count) else {
            throw ContractError("The case has no visibility.")
        }
        let logits = toReal(try given.tensor("raw").floats, spec: visibility.output)
        try check("visibility", visibility.probabilities(logits))
        guard let calibration = try ScoreCalibration(entry) else { return }
        try check("keypoint_scores", calibration.apply(scores))
    }

    private func boxes() throws {
        let raw = try given.tensors("raw")
        let specs = try given.member("outputs").items().map { try TensorSpec($0) }
        let outputs = zip(raw, specs).map { toReal($0.floats, spec: $1) }
        let strides = try given.member("strides").integers()
        let levels = strides.enumerated().map { i, stride in
            Level(
                stride: stride, width: raw[i].shape[1], numClasses: raw[i].shape[2], scores: outputs[i],
                distances: outputs[i + strides.count]
            )
        }
        let settings = try BoxSettings(try given.member("settings"))
        let size = try given.size("input_hw")
        let scale = try given.tensor("scale_xy").values
        try check(propose(levels, input: size, settings: settings), prefix: "proposed_")
        let image = try given.size("image_hw")
        try check(decodeBoxes(levels, input: size, scale: (scale[0], scale[1]), image: image, settings: settings))
    }

    private func check(_ detections: [Detection], prefix: String = "") throws {
        try check("\(prefix)boxes_xyxy", detections.flatMap(\.box.corners))
        try check("\(prefix)scores", detections.map(\.score))
        try check("\(prefix)labels", detections.map(\.label))
    }

    private func crowd() throws {
        let contract = try Contract(entry: try given.member("contract"))
        let names = contract.outputs.map(\.name)
        let raw = Dictionary(uniqueKeysWithValues: zip(names, try given.tensors("raw").map(\.floats)))
        let image = try given.tensor("image").picture
        let found = try crowdEstimator(contract: contract, run: { _ in raw }, boxThreshold: 0).estimate(image)
        try check("boxes_xyxy", found.flatMap(\.box.corners))
        try check("keypoints_xy", points(found))
        try check("keypoint_scores", found.flatMap(\.keypointScores))
        try check("scores", found.map(\.score))
    }

    private func nms() throws {
        let scores = try given.tensor("scores").floats
        let labels = try given.tensor("labels").integers
        let detections = try given.tensor("boxes_xyxy").boxes.enumerated().map { i, box in
            Detection(box: box, score: scores[i], label: labels[i])
        }
        try check("kept", keptIndices(detections, settings: try BoxSettings(try given.member("settings"))))
    }

    // MARK: People

    private func similarity() throws {
        let sigmas = try given.tensor("sigmas").values
        let others = try given.tensor("others_xy").parts
        let areas = try given.tensor("areas").parts
        let isCounted = try given.tensor("is_counted").parts
        let found = try given.tensor("poses_xy").parts.enumerated().flatMap { i, pose in
            others.enumerated().map { j, other in
                oks(pose, other, area: areas[i][j], sigmas: sigmas) { isCounted[i][j * sigmas.count + $0] == 1 }
            }
        }
        try check("similarity", found)
    }

    private func poseNMS() throws {
        let scores = try given.tensor("scores").values
        let areas = try given.tensor("areas").values
        let poses = try given.tensor("keypoints_xy").parts.enumerated().map { i, xy in
            RatedPose(keypointsXY: xy, score: scores[i], area: areas[i])
        }
        let kept = oksNMS(poses, sigmas: try given.tensor("sigmas").values, threshold: try given.number("threshold"))
        try check("kept", kept)
    }

    private func regions() throws {
        let threshold = Float(try given.number("threshold"))
        let image = try given.size("image_hw")
        let next = try people(of: given).map { nextBox($0, threshold: threshold) }
        let corners = next.map { $0?.corners ?? [Double](repeating: .nan, count: 4) }
        let canFollow = next.map { box in box.map { isUsable($0, in: image) } ?? false }
        try check("next_boxes_xyxy", corners.flatMap { $0 })
        try check("can_follow", canFollow.map { Int($0 ? 1 : 0) })
    }

    private func people(of fields: Fields) throws -> [Person] {
        let keypoints = try fields.tensor("keypoints_xy").parts
        let scores = try fields.has("keypoint_scores") ? fields.tensor("keypoint_scores").parts : nil
        let trackIDs = try fields.has("track_ids") ? fields.tensor("track_ids").integers : nil
        return try fields.tensor("boxes_xyxy").boxes.enumerated().map { i, box in
            Person(
                box: box, keypointsXY: keypoints[i].map { Float($0) }, keypointScores: scores?[i].map { Float($0) } ?? [],
                score: 1, trackID: trackIDs?[i] ?? noTrack
            )
        }
    }

    // MARK: Videos

    private func tracks() throws {
        let tracker = try makeTracker(try given.fields("settings"), sigmas: try given.tensor("sigmas").values)
        try eachFrame { frame, check in
            check("track_ids", tracker.update(try people(of: frame)).map { Double($0.trackID) })
        }
    }

    private func smoothing() throws {
        let smoother = try makeSmoother(try given.fields("settings"))
        try eachFrame { frame, check in
            let smoothed = smoother.next(try people(of: frame), seconds: try frame.number("seconds"))
            check("smoothed_xy", points(smoothed))
        }
    }

    private func defaults() throws {
        guard case .pose(let contract) = try Contract(entry: try given.member("contract")) else {
            throw ContractError("Defaults are those with a pose model.")
        }
        let estimator = PoseEstimator(contract: contract, run: { _ in [:] }, findPeople: { _ in [] })
        let follower = RegionFollower(estimator)
        let tracker = OksTracker(sigmas: contract.skeleton.sigmas)
        let smoother = OneEuroSmoother()
        let known: [String: Double] = [
            "estimator.box_threshold": Double(usualBoxThreshold),
            "estimator.nms_threshold": estimator.nmsThreshold,
            "follower.detect_every": Double(follower.detectEvery),
            "follower.keypoint_threshold": Double(follower.keypointThreshold),
            "follower.least_share": Double(follower.leastShare),
            "tracker.oks_threshold": tracker.oksThreshold,
            "tracker.patience": Double(tracker.patience),
            "tracker.keypoint_threshold": Double(tracker.keypointThreshold),
            "tracker.min_keypoints": Double(tracker.minKeypoints),
            "smoother.min_cutoff": smoother.minCutoff,
            "smoother.beta": smoother.beta,
            "smoother.speed_cutoff": smoother.speedCutoff,
            "smoother.forget_after": smoother.forgetAfter,
        ]
        let names = try given.member("names").items().map { try $0.text() }
        let values: [Double] = names.map { known[$0] ?? .nan }
        try check("defaults", values)
    }

    private func points(_ people: [Person]) -> [Double] { people.flatMap { $0.keypointsXY.map { Double($0) } } }

    private func makeTracker(_ settings: Fields, sigmas: [Double]) throws -> OksTracker {
        OksTracker(
            sigmas: sigmas,
            oksThreshold: try settings.number("oks_threshold"),
            patience: Int(try settings.number("patience")),
            keypointThreshold: Float(try settings.number("keypoint_threshold")),
            minKeypoints: Int(try settings.number("min_keypoints"))
        )
    }

    private func makeSmoother(_ settings: Fields) throws -> OneEuroSmoother {
        OneEuroSmoother(
            minCutoff: try settings.number("min_cutoff"),
            beta: try settings.number("beta"),
            speedCutoff: try settings.number("speed_cutoff"),
            forgetAfter: try settings.number("forget_after")
        )
    }

    private typealias Check = (_ key: String, _ actual: [Double]) -> Void

    /// Goes through the frames; `body` gets each, and checks by name what must come out of it.
    private func eachFrame(_ body: (Fields, Check) throws -> Void) throws {
        let pairs = zip(try given.list("frames"), try expected.list("frames"))
        for (i, (frame, wanted)) in pairs.enumerated() {
            var results: [(String, [Double])] = []
            try body(frame) { results.append(($0, $1)) }
            for (key, actual) in results {
                comparison.compare("frame \(i): \(key)", actual, try wanted.tensor(key))
            }
        }
    }

    private func clip() throws {
        let settings = try given.fields("settings")
        let played = try playedNetwork()
        var shown: [Detection] = []
        let estimator = PoseEstimator(
            contract: played.contract, run: played.run, findPeople: { _ in shown },
            nmsThreshold: try settings.number("nms_threshold")
        )
        let follower = RegionFollower(
            estimator,
            detectEvery: Int(try settings.number("detect_every")),
            keypointThreshold: Float(try settings.number("keypoint_threshold")),
            leastShare: Float(try settings.number("least_share"))
        )
        let tracker = try makeTracker(settings, sigmas: played.contract.skeleton.sigmas)
        let smoother = try makeSmoother(settings)
        try eachFrame { frame, check in
            try played.begin(frame)
            shown = try detections(of: try frame.fields("detected"))
            let before = follower.numDetected
            let tracked = tracker.update(try follower.next(try frame.tensor("image").picture))
            check("is_detected", [Double(follower.numDetected - before)])
            check("track_ids", tracked.map { Double($0.trackID) })
            check("boxes_xyxy", tracked.flatMap(\.box.corners))
            check("keypoints_xy", points(tracked))
            check("keypoint_scores", tracked.flatMap { $0.keypointScores.map { Double($0) } })
            check("scores", tracked.map { Double($0.score) })
            check("smoothed_xy", points(smoother.next(tracked, seconds: try frame.number("seconds"))))
        }
    }

    private func detections(of fields: Fields) throws -> [Detection] {
        let scores = try fields.tensor("scores").floats
        return try fields.tensor("boxes_xyxy").boxes.enumerated().map { Detection(box: $1, score: scores[$0], label: personLabel) }
    }

    private func playedNetwork() throws -> PlayedNetwork {
        let name = try given.member("network").text()
        if name == "pose", let pose = networks.topDown {
            return PlayedNetwork(contract: pose.contract, source: .file(pose.run))
        }
        guard case .pose(let contract) = try Contract(entry: try given.member("contract")) else {
            throw ContractError("A clip is of a pose model.")
        }
        switch name {
        case "colour": return PlayedNetwork(contract: contract, source: .colour)
        case "playback": return PlayedNetwork(contract: contract, source: .playback)
        default: throw ContractError("A clip's network is pose, colour or playback, got \(name).")
        }
    }

    // MARK: Files

    private func model() throws {
        let values = try given.tensor("input").floats
        let (raw, outputs): ([String: [Float]], [TensorSpec])
        if try given.member("model").text() == "pose", let pose = networks.pose {
            (raw, outputs) = (try pose.run(values), pose.contract.outputs)
        } else if let detector = networks.detector {
            (raw, outputs) = (try detector.run(values), Contract.detector(detector.contract).outputs)
        } else {
            throw ContractError("The case needs a model that is not there.")
        }
        for (spec, wanted) in zip(outputs, try expected.tensors("raw")) {
            comparison.compare(spec.name, raw[spec.name] ?? [], wanted)
        }
    }

    private func pose() throws {
        guard let pose = networks.topDown else { throw ContractError("The case is of a model that sees one person at a time.") }
        let estimator = PoseEstimator(contract: pose.contract, run: pose.run, findPeople: nil)
        let person = try estimator.estimate(try given.tensor("image").picture, box: try givenBox(), boxScore: 1)
        try check("keypoints_xy", person.keypointsXY)
        try check("keypoint_scores", person.keypointScores)
    }

    private func everybody() throws {
        guard let pose = networks.pose else { return }
        let threshold = Float(try given.number("box_threshold"))
        let estimator = try crowdEstimator(contract: pose.contract, run: pose.run, boxThreshold: threshold)
        let found = try estimator.estimate(try given.tensor("image").picture)
        try check("keypoints_xy", points(found))
        try check("keypoint_scores", found.flatMap(\.keypointScores))
    }

    private func detection() throws {
        guard let detector = networks.detector else { return }
        try check(try detect(try given.tensor("image").picture, contract: detector.contract, run: detector.run))
    }
}

/// A network of which the pack says what it answers, or a file that is run.
private final class PlayedNetwork {
    enum Source {
        case file(RunNetwork)
        /// Every fourth pixel's colours, 0 to 1, are three heatmaps.
        case colour
        /// What a network once said of the people of a frame, in their order.
        case playback
    }

    let contract: PoseContract
    private let source: Source
    private var answers: ArraySlice<[Double]> = []

    init(contract: PoseContract, source: Source) {
        self.contract = contract
        self.source = source
    }

    func begin(_ frame: Fields) throws {
        if case .playback = source { answers = try frame.tensor("raw").parts[...] }
    }

    func run(_ crop: [Float]) throws -> [String: [Float]] {
        switch source {
        case .file(let run): return try run(crop)
        case .colour: return [contract.output.name: colours(of: crop)]
        case .playback:
            guard let answer = answers.popFirst() else { throw ContractError("More people are looked at than the clip knows of.") }
            return [contract.output.name: answer.map { Float($0) }]
        }
    }

    private func colours(of crop: [Float]) -> [Float] {
        let width = contract.inputSize.width
        let seen = crop.indices.filter { $0 / 3 % width % 4 == 0 && $0 / 3 / width % 4 == 0 }
        return seen.map { crop[$0] / 255 }
    }
}
