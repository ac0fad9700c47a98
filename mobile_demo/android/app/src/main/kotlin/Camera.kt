/** The camera: Camera2, one frame after the other, copied out and given back at once. */
package keraspose.app

import android.annotation.SuppressLint
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import keraspose.Size
import keraspose.phone.Plane
import keraspose.phone.YuvFrame
import keraspose.phone.nearestSize
import keraspose.phone.uprightDegrees

/** What networks see is far smaller; a larger frame only takes time. */
private val WISHED_SIZE = Size(480, 640)
private const val NANOSECONDS = 1e9

/** @property clockwiseDegrees by which the frame must be turned to stand upright. @property seconds rises. */
class CameraFrame(val yuv: YuvFrame, val clockwiseDegrees: Int, val isFront: Boolean, val seconds: Double)

/** Why there is no picture, as a string's number and what it mentions. */
class CameraProblem(val text: Int, val detail: String)

/**
 * One opening of a camera; another one is another object.
 *
 * @param displayDegrees how far the screen is turned now; asked for each frame.
 * @param onFrame gets frames on the camera's own thread.
 * @param onProblem likewise.
 */
class Camera(
    private val manager: CameraManager,
    private val wantsFront: Boolean,
    private val displayDegrees: () -> Int,
    private val onFrame: (CameraFrame) -> Unit,
    private val onProblem: (CameraProblem) -> Unit
) {
    private val thread = HandlerThread("camera").apply { start() }
    private val handler = Handler(thread.looper)
    private var device: CameraDevice? = null
    private var reader: ImageReader? = null
    private var isFront = wantsFront
    private var sensorDegrees = 0
    private var isOpening = false
    @Volatile private var isClosed = false

    /** Frames come when it is open. The permission must have been given. */
    fun open() {
        handler.post { guarded { openNow() } }
    }

    /** No more frames come; the camera is free for others soon after. */
    fun close() {
        isClosed = true
        // A camera that is just being opened must not be left open: its callback ends this.
        handler.post { if (!isOpening) finish() }
    }

    private fun finish() {
        device?.close()
        reader?.close()
        thread.quitSafely()
    }

    @SuppressLint("MissingPermission")
    private fun openNow() {
        if (isClosed) return
        val id = cameraId()
        if (id == null) {
            onProblem(CameraProblem(R.string.no_camera, ""))
            return
        }
        val characteristics = manager.getCameraCharacteristics(id)
        isFront = isFront(id)
        sensorDegrees = characteristics.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
        val map = characteristics.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
        val sizes = map?.getOutputSizes(ImageFormat.YUV_420_888)?.map { Size(it.height, it.width) } ?: listOf()
        val size = checkNotNull(nearestSize(sizes, WISHED_SIZE)) { "it gives no frames" }
        // The newest image may be asked for while an older one is still being copied.
        val opened = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, 3)
        opened.setOnImageAvailableListener({ takeNewest(it) }, handler)
        reader = opened
        manager.openCamera(id, Opening(opened), handler)
        isOpening = true
    }

    private fun isFront(id: String) =
        manager.getCameraCharacteristics(id).get(CameraCharacteristics.LENS_FACING) == CameraCharacteristics.LENS_FACING_FRONT

    /** The wished one, else any; null without cameras. */
    private fun cameraId(): String? {
        val ids = manager.cameraIdList
        return ids.firstOrNull { isFront(it) == wantsFront } ?: ids.firstOrNull()
    }

    private fun takeNewest(source: ImageReader) {
        val image: Image = source.acquireLatestImage() ?: return
        try {
            if (isClosed) return
            val degrees = uprightDegrees(sensorDegrees, displayDegrees(), isFront)
            onFrame(CameraFrame(copied(image), degrees, isFront, image.timestamp / NANOSECONDS))
        } finally {
            image.close()
        }
    }

    private inner class Opening(private val target: ImageReader) : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            begin(camera)
            if (isClosed) return
            guarded { camera.createCaptureSession(listOf(target.surface), Running(camera, target), handler) }
        }

        override fun onDisconnected(camera: CameraDevice) {
            begin(camera)
            camera.close()
            report(R.string.camera_in_use, "")
        }

        override fun onError(camera: CameraDevice, error: Int) {
            begin(camera)
            camera.close()
            when (error) {
                ERROR_CAMERA_IN_USE, ERROR_MAX_CAMERAS_IN_USE -> report(R.string.camera_in_use, "")
                ERROR_CAMERA_DISABLED -> report(R.string.camera_disabled, "")
                else -> report(R.string.camera_failed, "error $error")
            }
        }

        private fun begin(camera: CameraDevice) {
            isOpening = false
            device = camera
            if (isClosed) finish()
        }
    }

    private inner class Running(private val camera: CameraDevice, private val target: ImageReader) : CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) {
            if (isClosed) return
            guarded {
                val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                request.addTarget(target.surface)
                request.set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_VIDEO)
                session.setRepeatingRequest(request.build(), null, handler)
            }
        }

        override fun onConfigureFailed(session: CameraCaptureSession) = report(R.string.camera_failed, "no session")
    }

    private fun report(text: Int, detail: String) {
        if (!isClosed) onProblem(CameraProblem(text, detail))
    }

    /** Cameras go away at any time: what was being done then fails, and is said. */
    private fun guarded(work: () -> Unit) {
        try {
            work()
        } catch (error: CameraAccessException) {
            val text = if (error.reason == CameraAccessException.CAMERA_DISABLED) R.string.camera_disabled else R.string.camera_failed
            report(text, error.message ?: "error ${error.reason}")
        } catch (error: SecurityException) {
            report(R.string.no_permission, "")
        } catch (error: IllegalStateException) {
            report(R.string.camera_failed, error.message ?: "closed")
        } catch (error: IllegalArgumentException) {
            report(R.string.camera_failed, error.message ?: "another size")
        }
    }
}

private fun copied(image: Image): YuvFrame {
    val planes = image.planes.map { plane ->
        val bytes = ByteArray(plane.buffer.remaining())
        plane.buffer.get(bytes)
        Plane(bytes, plane.rowStride, plane.pixelStride)
    }
    return YuvFrame(Size(image.height, image.width), planes[0], planes[1], planes[2])
}
