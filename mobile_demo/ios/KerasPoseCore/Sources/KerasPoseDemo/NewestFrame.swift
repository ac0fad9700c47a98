import Foundation

/// The place between a camera and a worker, where one frame may wait: the newest.
///
/// A camera is faster than a network. Frames in a queue would be shown later and later; here an older one gives way.
/// May be used from any thread.
public final class NewestFrame<Frame>: @unchecked Sendable {
    private let lock = NSLock()
    private var waiting: Frame?
    private var isWorking = false
    private var dropped = 0

    public init() {}

    /// Frames that gave way to newer ones.
    public var numDropped: Int { lock.withLock { dropped } }

    /// Leaves a frame for the worker.
    ///
    /// - Returns: whether the worker is idle and must be woken; it then counts as working.
    public func offer(_ frame: Frame) -> Bool {
        lock.withLock {
            if waiting != nil { dropped += 1 }
            waiting = frame
            defer { isWorking = true }
            return !isWorking
        }
    }

    /// Gives the worker its next frame; with nil it is idle, and will be woken.
    public func take() -> Frame? {
        lock.withLock {
            defer { waiting = nil }
            isWorking = waiting != nil
            return waiting
        }
    }

    /// Drops the frame that waits: what comes next is of another camera.
    public func clear() { lock.withLock { waiting = nil } }
}
