/** LiteRT in the app: on every phone, with an NPU where there is one. */
package keraspose.app

import android.content.Context
import com.google.ai.edge.litert.BuiltinNpuAcceleratorProvider
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.LiteRtException
import keraspose.phone.Accelerator
import com.google.ai.edge.litert.Accelerator as LiteRtAccelerator

internal fun startRuntime(context: Context): LiteRtRuntime {
    val npu = BuiltinNpuAcceleratorProvider(context)
    var npuFailure: String? = null
    val environment = try {
        Environment.create(npu)
    } catch (error: LiteRtException) {
        npuFailure = "its library cannot be used: ${error.message}" // which keeps nothing else from running
        Environment.create()
    }
    return LiteRtRuntime(environment) { accelerator ->
        when {
            accelerator != Accelerator.NPU -> null
            npuFailure != null -> npuFailure
            !npu.isDeviceSupported() -> "LiteRT knows no NPU of this device's chip"
            LiteRtAccelerator.NPU !in environment.getAvailableAccelerators() -> "the vendor's NPU library is not in this app"
            else -> null
        }
    }
}
