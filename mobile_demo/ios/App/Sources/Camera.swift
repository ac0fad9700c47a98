import AVFoundation

/// A camera's frame.
struct CameraFrame {
    let buffer: CVPixelBuffer
    /// By the camera's clock.
    let seconds: Double
    /// Whether people expect to see themselves as in a mirror.
    let isMirrored: Bool
}

/// Why there is no camera, in words for the user.
enum CameraProblem: LocalizedError {
    case notAllowed, notFound, notUsable

    var errorDescription: String? {
        switch self {
        case .notAllowed: return "This app may not use the camera. Allow it in Settings > Privacy & Security > Camera, or choose a picture."
        case .notFound: return "No such camera was found. Choose a picture instead."
        case .notUsable: return "This camera gives no pictures that the app can read. Try the other one."
        }
    }
}

/// Gives upright, unmirrored frames of a camera, in BGRA.
///
/// The picture is turned by the capture connection, as far as the device says: sensors are not built in alike (that of
/// iPhone 17's front camera is turned), so no table of orientations would be right for all.
final class Camera: NSObject {
    /// Called on the camera's queue.
    var onFrame: ((CameraFrame) -> Void)?
    /// Called on any queue: what has interrupted the camera; nil: it runs again.
    var onInterruption: ((String?) -> Void)?

    /// Shows nothing. By its place on the screen the device knows which way is up for whoever looks at it.
    let anchor = AVCaptureVideoPreviewLayer()

    private let session = AVCaptureSession()
    private let output = AVCaptureVideoDataOutput()
    private let queue = DispatchQueue(label: "camera")
    private var rotation: AVCaptureDevice.RotationCoordinator?
    private var rotationObservation: NSKeyValueObservation?
    private var isMirrored = false

    override init() {
        super.init()
        output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        let center = NotificationCenter.default
        center.addObserver(self, selector: #selector(interrupted), name: AVCaptureSession.wasInterruptedNotification, object: session)
        center.addObserver(self, selector: #selector(resumed), name: AVCaptureSession.interruptionEndedNotification, object: session)
        center.addObserver(self, selector: #selector(failed), name: AVCaptureSession.runtimeErrorNotification, object: session)
    }

    /// Asks for permission where nobody has yet, and starts.
    ///
    /// - Throws: `CameraProblem`.
    func start(_ position: AVCaptureDevice.Position) async throws {
        guard await AVCaptureDevice.requestAccess(for: .video) else { throw CameraProblem.notAllowed }
        guard let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: position) else {
            throw CameraProblem.notFound
        }
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, Error>) in
            queue.async { [self] in
                done.resume(with: Result {
                    try connect(device)
                    // It may take a second, which the screen must not wait for.
                    session.startRunning()
                })
            }
        }
        await follow(device)
    }

    func stop() {
        queue.async { [self] in session.stopRunning() }
    }

    private func connect(_ device: AVCaptureDevice) throws {
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        session.inputs.forEach(session.removeInput)
        // Networks see less than this.
        session.sessionPreset = .vga640x480
        guard let input = try? AVCaptureDeviceInput(device: device), session.canAddInput(input) else {
            throw CameraProblem.notUsable
        }
        session.addInput(input)
        if !session.outputs.contains(output) {
            guard session.canAddOutput(output) else { throw CameraProblem.notUsable }
            session.addOutput(output)
        }
        // What is computed is never mirrored; a new input makes a new connection.
        if let connection = output.connection(with: .video), connection.isVideoMirroringSupported {
            connection.automaticallyAdjustsVideoMirroring = false
            connection.isVideoMirrored = false
        }
        isMirrored = device.position == .front
    }

    /// Turns frames so that they are upright on the screen, also when the phone is turned.
    @MainActor
    private func follow(_ device: AVCaptureDevice) {
        anchor.session = session
        anchor.connection?.isEnabled = false
        let coordinator = AVCaptureDevice.RotationCoordinator(device: device, previewLayer: anchor)
        rotation = coordinator
        rotationObservation = coordinator.observe(\.videoRotationAngleForHorizonLevelPreview, options: [.initial, .new]) {
            [weak self] coordinator, _ in
            let angle = coordinator.videoRotationAngleForHorizonLevelPreview
            self?.queue.async { self?.turn(angle) }
        }
    }

    private func turn(_ angle: CGFloat) {
        guard let connection = output.connection(with: .video), connection.isVideoRotationAngleSupported(angle) else { return }
        connection.videoRotationAngle = angle
    }

    @objc private func interrupted(_ note: Notification) {
        onInterruption?("The camera is in use by another app, or the screen is shared. It comes back by itself.")
    }

    @objc private func resumed(_ note: Notification) { onInterruption?(nil) }

    @objc private func failed(_ note: Notification) {
        let error = note.userInfo?[AVCaptureSessionErrorKey] as? Error
        onInterruption?("The camera stopped: \(error?.localizedDescription ?? "for no known reason"). Start it again.")
    }
}

extension Camera: AVCaptureVideoDataOutputSampleBufferDelegate {
    func captureOutput(_ output: AVCaptureOutput, didOutput sample: CMSampleBuffer, from connection: AVCaptureConnection) {
        guard let buffer = CMSampleBufferGetImageBuffer(sample) else { return }
        let seconds = CMSampleBufferGetPresentationTimeStamp(sample).seconds
        onFrame?(CameraFrame(buffer: buffer, seconds: seconds, isMirrored: isMirrored))
    }
}
