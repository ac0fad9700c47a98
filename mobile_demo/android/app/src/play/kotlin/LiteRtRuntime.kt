/** LiteRT from Google Play services, which update it: not in the app, and without an NPU. */
package keraspose.app

import android.content.Context
import com.google.ai.edge.litert.Environment
import com.google.android.gms.litert.LiteRt
import com.google.android.gms.tasks.Task
import com.google.android.gms.tasks.Tasks
import keraspose.phone.PLAY_PATIENCE_SECONDS
import keraspose.phone.initializeWithGpu
import keraspose.phone.startFromPlay
import java.util.concurrent.TimeUnit

/** Waits, so it is not for the main thread. @throws keraspose.phone.ModelError where Play services give no LiteRT. */
internal fun startRuntime(context: Context): LiteRtRuntime {
    val started = startFromPlay { usesGpu -> Tasks.await(initialized(context, usesGpu), PLAY_PATIENCE_SECONDS, TimeUnit.SECONDS) }
    return LiteRtRuntime(started.environment) { accelerator -> started.absences[accelerator] }
}

@Suppress("UNCHECKED_CAST") // Java's reflection knows no type arguments
private fun initialized(context: Context, usesGpu: Boolean): Task<Environment> =
    if (usesGpu) initializeWithGpu(LiteRt::class.java, context) as Task<Environment> else LiteRt.initialize(context)
