import Foundation
import KerasPoseCore
import KerasPoseDemo
import KerasPoseParity

/// A frame with its people: what is drawn, all of one moment.
struct ShownFrame {
    let picture: Picture
    let people: [Person]
    let isMirrored: Bool
    /// Seconds of each stage.
    let stages: [String: Double]
    /// Of a video; a single picture has no rate.
    let isVideo: Bool
}

/// Models that are ready.
struct OpenedModels {
    let skeleton: Skeleton
    /// What runs where, for the screen.
    let runtime: String
    /// What the user should know.
    let notes: [String]
}

/// The networks, and all that is computed, on a queue of their own.
///
/// One frame at a time: the next is taken when the last has been handed to the screen, and it is the newest.
final class PoseEngine: @unchecked Sendable {
    /// Called on the main thread.
    var onShown: ((Result<ShownFrame, Error>) -> Void)?

    private let queue = DispatchQueue(label: "poses", qos: .userInteractive)
    private let frames = NewestFrame<CameraFrame>()
    private let lock = NSLock()
    private var sharedSettings = PoseSettings()

    // Of the queue alone.
    private var session: PoseSession?
    private var networks = ParityNetworks()

    var settings: PoseSettings {
        get { lock.withLock { sharedSettings } }
        set { lock.withLock { sharedSettings = newValue } }
    }

    /// Loads models: a pose model and a detector, or one that finds everybody alone. What was open before is let go first, so that two never share the memory.
    ///
    /// - Parameter recorded: what files answered in Python, by their SHA-256: accelerators that compute something else are not used.
    /// - Throws: in words for the user; then nothing is open.
    func open(
        pose: ModelRow, detector: ModelRow?, on wish: Accelerator, recorded: [String: [RecordedRun]]
    ) async throws -> OpenedModels {
        try await onQueue { [self] in
            session = nil
            networks = ParityNetworks()
            let contract = try pose.contract()
            let opened = try Self.load(pose, contract, on: wish, recorded)
            var (runtime, notes) = (["\(contract.model): \(opened.place)"], opened.notes)
            var detectorNetwork: (contract: DetectorContract, run: RunNetwork)?
            if let detector {
                let detectorContract = try detector.contract()
                guard case .detector(let its) = detectorContract else {
                    throw ContractError("\(detector.url.lastPathComponent) is a pose model, not a detector.")
                }
                let network = try Self.load(detector, detectorContract, on: wish, recorded)
                detectorNetwork = (its, network.network.run)
                runtime.append("\(detectorContract.model): \(network.place)")
                notes += network.notes
            }
            let find = detectorNetwork.map { network in
                findPeople(
                    contract: network.contract, boxThreshold: detector?.boxThreshold ?? usualBoxThreshold, run: network.run
                )
            }
            let session = try PoseSession(contract: contract, run: opened.network.run, findPeople: find)
            self.session = session
            networks = ParityNetworks(pose: (contract, opened.network.run), detector: detectorNetwork)
            return OpenedModels(skeleton: session.skeleton, runtime: runtime.joined(separator: "\n"), notes: notes)
        }
    }

    private static func load(
        _ row: ModelRow, _ contract: Contract, on wish: Accelerator, _ recorded: [String: [RecordedRun]]
    ) throws -> OpenedNetwork<TFLiteNetwork> {
        // By its hash: a copy that the user put beside the bundle is the same file.
        let runs = recorded[sha256(try Data(contentsOf: row.url))] ?? []
        return try openWithFallback(wish, contract: contract, recorded: runs) { accelerator in
            try TFLiteNetwork(file: row.url, contract: contract, accelerator: accelerator)
        }
    }

    /// Takes a camera's frame; one that still waits is dropped. May be called on any queue.
    func offer(_ frame: CameraFrame) {
        if frames.offer(frame) { queue.async { self.work() } }
    }

    /// Forgets the last camera's people, and its frame that waits.
    func restart() {
        frames.clear()
        queue.async { self.session?.restart() }
    }

    private func work() {
        guard let frame = frames.take() else { return }
        let result = Result { try analyse(frame) }
        DispatchQueue.main.async { [self] in
            onShown?(result)
            queue.async { self.work() }
        }
    }

    private func analyse(_ frame: CameraFrame) throws -> ShownFrame {
        guard let session else { throw ContractError("No model is open.") }
        let (picture, seconds) = try timed { try Picture(frame.buffer) }
        let found = try session.analyse(picture, seconds: frame.seconds, settings: settings)
        let stages = found.stages.merging(["convert": seconds]) { one, _ in one }
        return ShownFrame(picture: picture, people: found.people, isMirrored: frame.isMirrored, stages: stages, isVideo: true)
    }

    /// Finds the people of a photo.
    func analyse(photo: Data) async throws -> ShownFrame {
        try await onQueue { [self] in
            guard let session else { throw ContractError("No model is open.") }
            let (picture, seconds) = try timed { try Picture(photo: photo) }
            let found = try session.analyse(picture)
            let stages = found.stages.merging(["convert": seconds]) { one, _ in one }
            return ShownFrame(picture: picture, people: found.people, isMirrored: false, stages: stages, isVideo: false)
        }
    }

    /// Replays a parity pack on this device, with the models that are open.
    func replay(_ folder: URL, withModels: Bool) async throws -> ParityReport {
        try await onQueue { [self] in
            ParityReport(of: try ParityPack(folder: folder), networks: withModels ? networks : ParityNetworks())
        }
    }

    private func onQueue<Value>(_ work: @escaping () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { done in
            queue.async { done.resume(with: Result { try work() }) }
        }
    }

    private func timed<Value>(_ work: () throws -> Value) rethrows -> (Value, Double) {
        let started = ContinuousClock.now
        let value = try work()
        let elapsed = ContinuousClock.now - started
        return (value, Double(elapsed.components.attoseconds) / 1e18 + Double(elapsed.components.seconds))
    }
}
