/** Tests of LiteRT in Google Play services, with pretended ones that have no GPU, no LiteRT, or do not answer. */
package keraspose.phone

import java.lang.reflect.InvocationTargetException
import java.util.concurrent.ExecutionException
import java.util.concurrent.TimeoutException

private const val NO_API = "17: API: LiteRt.API is not available on this device."

/** Play services that fail in this way, with the GPU and without. @property asked for the GPU or not, in order. */
private class PlayServices(private val withGpu: Exception?, private val withoutGpu: Exception? = null) {
    val asked = ArrayList<Boolean>()

    fun initialize(usesGpu: Boolean): String {
        asked.add(usesGpu)
        (if (usesGpu) withGpu else withoutGpu)?.let { throw it }
        return "environment"
    }
}

/** As tasks do, whose own message is that of the cause's class. */
private fun failedTask(words: String) = ExecutionException("java.lang.RuntimeException: $words", RuntimeException(words))

private fun wordsOf(started: StartedFromPlay<String>, wish: Wish = Wish.AUTOMATIC): String {
    fun manner(accelerator: Accelerator) = Manner(8.0, absence = started.absences[accelerator])
    return chosen(Device(manner(Accelerator.NPU), manner(Accelerator.GPU)), wish).words("a.tflite")
}

private fun playServicesHaveNoNpuAndSaySo() {
    val services = PlayServices(null)
    val started = startFromPlay(services::initialize)
    assertEqual(services.asked.toList(), listOf(true))
    val reason = "Not on the NPU: this build takes LiteRT from Google Play services, which run models on the GPU and the CPU only; the bundled build may have an NPU."
    assertEqual(wordsOf(started), "a.tflite runs on the GPU, all operators: 8.0 ms, on the CPU 30.0 ms. $reason")
    assertEqual(wordsOf(started, Wish.NPU), "a.tflite runs on the CPU (XNNPACK): 30.0 ms. $reason")
}

private fun playServicesWithoutGpuStartWithoutIt() {
    val services = PlayServices(failedTask("no GPU module."))
    val started = startFromPlay(services::initialize)
    assertEqual(Pair(started.environment, services.asked.toList()), Pair("environment", listOf(true, false)))
    assertEqual(started.absences.getValue(Accelerator.GPU), "Google Play services did not start LiteRT with it: no GPU module")
    assertEqual(wordsOf(started).endsWith("Not on the GPU: Google Play services did not start LiteRT with it: no GPU module."), true)
}

private fun phonesWithoutPlayServicesSaySo() = assertRefused("and this device's do not give it: ${NO_API.trimEnd('.')}. Update Google Play services") {
    startFromPlay(PlayServices(failedTask(NO_API), failedTask(NO_API))::initialize)
}

private fun playServicesAreNotWaitedForTwice() {
    val services = PlayServices(TimeoutException())
    assertRefused("do not give it: no answer in 60 seconds. Update") { startFromPlay(services::initialize) }
    assertEqual(services.asked.toList(), listOf(true))
    assertRefused("no answer in 60 seconds") { startFromPlay(PlayServices(failedTask("no GPU module"), TimeoutException())::initialize) }
}

private fun classesThatAreMissingAreNoFailureOfPlayServices() {
    val missing = NoClassDefFoundError("com/google/android/gms/litert/LiteRt")
    assertRefused("built without LiteRT") { runtimeOf { startFromPlay<String> { throw missing } } }
    assertRefused("built without LiteRT") { runtimeOf { startFromPlay<String> { throw InvocationTargetException(missing) } } }
    // What Play services themselves lack is a failure of theirs.
    val lacking = ExecutionException(UnsatisfiedLinkError("libLiteRt.so"))
    assertRefused("do not give it: libLiteRt.so") { startFromPlay(PlayServices(lacking, lacking)::initialize) }
}

// --- classes as play-services-litert may have them

/** As those of TensorFlow Lite: the builder's own class is hidden. */
internal class OptionsByMethod(val words: String) {
    abstract class Builder {
        abstract fun setEnableGpu(isEnabled: Boolean): Builder
        abstract fun build(): OptionsByMethod
    }

    private class Hidden : Builder() {
        private var isEnabled = false

        override fun setEnableGpu(isEnabled: Boolean): Builder = this.also { it.isEnabled = isEnabled }

        override fun build() = OptionsByMethod("GPU: $isEnabled")
    }

    companion object {
        @JvmStatic
        fun builder(): Builder = Hidden()
    }
}

internal class OptionsByClass(val words: String) {
    class Builder {
        private var isEnabled = false

        fun setEnableGpu(isEnabled: Boolean) {
            this.isEnabled = isEnabled
        }

        fun build() = OptionsByClass("GPU: $isEnabled")
    }
}

internal object WithBuilderMethod {
    @JvmStatic
    fun initialize(context: Any) = "$context"

    @JvmStatic
    fun initialize(context: Any, options: OptionsByMethod) = "$context, ${options.words}"
}

internal object WithBuilderClass {
    // Another method of two arguments is not taken for it.
    @JvmStatic
    fun initialize(context: Any, threads: String) = "$context, $threads"

    @JvmStatic
    fun initialize(context: Any, options: OptionsByClass) = "$context, ${options.words}"
}

internal object WithoutOptions {
    @JvmStatic
    fun initialize(context: Any) = "$context"
}

private fun optionsAreFoundByTheirMethods() {
    for (type in listOf(WithBuilderMethod::class.java, WithBuilderClass::class.java)) {
        assertEqual(initializeWithGpu(type, "context"), "context, GPU: true")
    }
    val started = startFromPlay { usesGpu -> if (usesGpu) initializeWithGpu(WithoutOptions::class.java, "context") else "environment" }
    assertEqual(started.absences.getValue(Accelerator.GPU).endsWith("this version of play-services-litert has no options with setEnableGpu"), true)
}

internal val STARTING_TESTS = mapOf<String, () -> Unit>(
    "playServicesHaveNoNpuAndSaySo" to ::playServicesHaveNoNpuAndSaySo,
    "playServicesWithoutGpuStartWithoutIt" to ::playServicesWithoutGpuStartWithoutIt,
    "phonesWithoutPlayServicesSaySo" to ::phonesWithoutPlayServicesSaySo,
    "playServicesAreNotWaitedForTwice" to ::playServicesAreNotWaitedForTwice,
    "classesThatAreMissingAreNoFailureOfPlayServices" to ::classesThatAreMissingAreNoFailureOfPlayServices,
    "optionsAreFoundByTheirMethods" to ::optionsAreFoundByTheirMethods
)
