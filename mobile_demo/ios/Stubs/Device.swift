import AVFoundation
import Foundation
import KerasPoseCore

/// What `PoseEngine.swift` and `AppModel.swift` use of `Camera.swift` and `Pictures.swift`.
final class PixelBuffer {}

struct CameraFrame {
    let buffer: PixelBuffer
    let seconds: Double
    let isMirrored: Bool
}

final class Camera {
    var onFrame: ((CameraFrame) -> Void)?
    var onInterruption: ((String?) -> Void)?

    func start(_ position: AVCaptureDevice.Position) async throws {}
    func stop() {}
}

extension Picture {
    init(_ buffer: PixelBuffer) throws { throw ContractError("a stub") }
    init(photo: Data) throws { throw ContractError("a stub") }
}
