/// What `AppModel.swift` uses of AVFoundation.
public final class AVCaptureDevice {
    public enum Position: Int, Sendable { case unspecified, back, front }
}
