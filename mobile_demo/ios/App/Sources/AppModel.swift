import AVFoundation
import Foundation
import KerasPoseCore
import KerasPoseDemo
import KerasPoseParity
import Observation

/// What the screen shows, and what the user can do.
@MainActor @Observable
final class AppModel {
    // MARK: Choices

    var poseModel: ModelRow? { didSet { if poseModel != oldValue { openModels() } } }
    /// nil: the whole picture is one person. Not asked where the pose model finds everybody.
    var detector: ModelRow? { didSet { if detector != oldValue { openModels() } } }
    var accelerator = Accelerator.automatic { didSet { if accelerator != oldValue { openModels() } } }
    var settings = PoseSettings() { didSet { engine.settings = settings } }
    var showsBoxes = false

    /// Whether the pose model is shown one person at a time, where a detector or the last frame says.
    var needsDetector: Bool { poseModel?.findsEverybody != true }

    // MARK: What is shown

    private(set) var catalogue = ModelCatalogue(bundle: nil)
    private(set) var shown: ShownFrame?
    private(set) var skeleton: Skeleton?
    private(set) var framesPerSecond: Double?
    private(set) var costs: [StageCost] = []
    private(set) var runtime = ""
    private(set) var notes: [String] = []
    /// What is in the way, in clear words.
    private(set) var problem: String?
    private(set) var isOpening = false
    private(set) var isCameraOn = false
    private(set) var parityLines: [String] = []
    private(set) var isReplaying = false

    let camera = Camera()
    private let engine = PoseEngine()
    private var bundle: ModelBundle?
    /// What the bundle's files answered in Python.
    private var recorded: [String: [RecordedRun]] = [:]
    private var position = AVCaptureDevice.Position.back
    private var wasCameraOn = false
    private var lastPhoto: Data?
    private var opening: Task<Void, Never>?
    private var rateMeter = RateMeter()
    private var stageMeter = StageMeter()

    init() {
        engine.onShown = { [weak self] result in MainActor.assumeIsolated { self?.show(result) } }
        camera.onFrame = { [engine] frame in engine.offer(frame) }
        camera.onInterruption = { [weak self] words in
            Task { @MainActor in self?.problem = words }
        }
    }

    /// Checks what the app came with, and opens its models.
    func begin() async {
        guard catalogue.poseModels.isEmpty else { return }
        let folder = Bundle.main.bundleURL.appendingPathComponent("models")
        do {
            // Every file is hashed, which the screen must not wait for.
            (bundle, recorded) = try await Task.detached {
                let bundle = try ModelBundle(folder: folder)
                return (bundle, try recordedRuns(of: bundle))
            }.value
        } catch {
            problem = "\(error)"
        }
        refreshCatalogue()
        // One opening, not two.
        detector = catalogue.detectors.first
        poseModel = catalogue.poseModels.first
    }

    /// Lists the models anew: the user may have put some into the app's folder, by the Files app.
    func refreshCatalogue() {
        let documents = FileManager.default.urls(for: .documentDirectory, in: .userDomainMask)
        catalogue = ModelCatalogue(bundle: bundle, folders: documents)
        if let first = catalogue.problems.first { problem = first }
    }

    private func openModels() {
        guard let poseModel else { return }
        let (detector, wish, recorded, last) = (needsDetector ? detector : nil, accelerator, recorded, opening)
        isOpening = true
        opening = Task {
            await last?.value
            do {
                let opened = try await engine.open(pose: poseModel, detector: detector, on: wish, recorded: recorded)
                (skeleton, runtime, notes, problem) = (opened.skeleton, opened.runtime, opened.notes, nil)
            } catch {
                (runtime, notes, problem) = ("", [], "\(error)")
            }
            resetMeters()
            isOpening = false
            if !isCameraOn, let lastPhoto { await analyse(lastPhoto) }
        }
    }

    // MARK: Camera

    func toggleCamera() {
        if isCameraOn { stopCamera() } else { Task { await startCamera(position) } }
    }

    func turnCamera() {
        Task { await startCamera(position == .back ? .front : .back) }
    }

    private func startCamera(_ wish: AVCaptureDevice.Position) async {
        do {
            try await camera.start(wish)
            engine.restart()
            (position, isCameraOn, lastPhoto, problem) = (wish, true, nil, nil)
            resetMeters()
        } catch {
            problem = error.localizedDescription
        }
    }

    private func stopCamera() {
        camera.stop()
        engine.restart()
        isCameraOn = false
    }

    /// The app is no longer seen.
    func pause() {
        wasCameraOn = isCameraOn
        if isCameraOn { stopCamera() }
    }

    func resume() {
        if wasCameraOn { Task { await startCamera(position) } }
        wasCameraOn = false
    }

    // MARK: Pictures

    func open(photo: Data) async {
        if isCameraOn { stopCamera() }
        lastPhoto = photo
        resetMeters()
        await analyse(photo)
    }

    private func analyse(_ photo: Data) async {
        do {
            show(.success(try await engine.analyse(photo: photo)))
        } catch {
            show(.failure(error))
        }
    }

    func say(_ words: String) { problem = words }

    private func show(_ result: Result<ShownFrame, Error>) {
        switch result {
        case .failure(let error): problem = "\(error)"
        case .success(let frame):
            // A frame that was in work when the camera was stopped would hide the photo.
            guard frame.isVideo == isCameraOn else { return }
            shown = frame
            stageMeter.add(frame.stages)
            costs = stageMeter.costs
            framesPerSecond = frame.isVideo ? rateMeter.add(ProcessInfo.processInfo.systemUptime) : nil
        }
    }

    private func resetMeters() {
        (rateMeter, stageMeter, costs, framesPerSecond) = (RateMeter(), StageMeter(), [], nil)
    }

    // MARK: Parity

    /// Replays the golden cases of the bundle on this device.
    func replayParity() async {
        guard let bundle else { return }
        isReplaying = true
        parityLines = []
        for (name, folder) in bundle.parity.sorted(by: { $0.key < $1.key }) {
            do {
                let report = try await engine.replay(folder, withModels: usesBundle(bundle))
                parityLines += ["\(name):"] + report.lines
            } catch {
                parityLines.append("\(name): \(error)")
            }
        }
        isReplaying = false
    }

    /// The cases are of the bundle's own models; of others they would say nothing.
    private func usesBundle(_ bundle: ModelBundle) -> Bool {
        (needsDetector ? [poseModel, detector] : [poseModel]).allSatisfy { $0?.url.deletingLastPathComponent().path == bundle.folder.path }
    }
}
