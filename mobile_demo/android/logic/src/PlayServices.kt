/** What of LiteRT in Google Play services is not Android: how it starts, and what is said where it does not. */
package keraspose.phone

import java.lang.reflect.InvocationTargetException
import java.lang.reflect.Method
import java.lang.reflect.Modifier
import java.util.concurrent.ExecutionException
import java.util.concurrent.TimeoutException

/** Seconds that Play services may take: at the first start they may have to download LiteRT. */
const val PLAY_PATIENCE_SECONDS = 60L

/** @property absences why there is none of an accelerator. */
class StartedFromPlay<T>(val environment: T, val absences: Map<Accelerator, String>)

private const val NO_NPU = "this build takes LiteRT from Google Play services, which run models on the GPU and the CPU only; the bundled build may have an NPU"
private const val PLAY_REMEDY = "Update Google Play services and start the app again, with an internet connection: they may have to download LiteRT. " +
    "The app's bundled build needs none of this (mobile_demo/android/README.md)."

/**
 * Starts LiteRT with the GPU; where that fails, without it.
 *
 * @param initialize makes the environment, with the GPU or without; throws what Play services throw.
 * @throws ModelError where they do neither, in words for the user.
 */
fun <T> startFromPlay(initialize: (usesGpu: Boolean) -> T): StartedFromPlay<T> {
    val npu = Pair(Accelerator.NPU, NO_NPU)
    try {
        return StartedFromPlay(initialize(true), mapOf(npu))
    } catch (error: TimeoutException) {
        throw withoutPlay(error) // the user does not wait twice
    } catch (error: Exception) {
        val gpu = Pair(Accelerator.GPU, "Google Play services did not start LiteRT with it: ${reasonOf(causeOf(error))}")
        try {
            return StartedFromPlay(initialize(false), mapOf(npu, gpu))
        } catch (second: Exception) {
            throw withoutPlay(second)
        }
    }
}

private fun withoutPlay(error: Exception): ModelError {
    val reason = if (error is TimeoutException) "no answer in $PLAY_PATIENCE_SECONDS seconds" else reasonOf(causeOf(error))
    return ModelError("This build takes LiteRT, which runs the models, from Google Play services, and this device's do not give it: $reason. $PLAY_REMEDY")
}

/** What tasks and reflection wrap. A class that reflection misses is no failure of Play services: the app was built without it. */
private fun causeOf(error: Exception): Throwable = when (error) {
    is ExecutionException -> error.cause ?: error
    is InvocationTargetException -> error.targetException.also { if (it is LinkageError) throw it }
    else -> error
}

/**
 * Calls `initialize(context, options)` of a class, with options whose builder was told `setEnableGpu(true)`.
 *
 * By name: Google's pages name the methods, but nothing that could be read here names the class of the options.
 *
 * @throws IllegalStateException where the class has no such method.
 */
fun initializeWithGpu(type: Class<*>, context: Any): Any {
    for (initialize in type.methods.filter { it.name == "initialize" && it.parameterTypes.size == 2 }) {
        val options = gpuOptions(initialize.parameterTypes[1]) ?: continue
        return initialize.invoke(null, context, options)
    }
    throw IllegalStateException("this version of play-services-litert has no options with setEnableGpu")
}

/** Options by their builder: that of `builder()`, or a nested class `Builder`. Null: there is none that knows the GPU. */
private fun gpuOptions(type: Class<*>): Any? {
    val start = type.methods.firstOrNull { it.name == "builder" && it.parameterTypes.isEmpty() && Modifier.isStatic(it.modifiers) }
    // The declared class, not that of the object, which need not be public.
    val kind = start?.returnType ?: type.classes.firstOrNull { it.simpleName == "Builder" } ?: return null
    val enable = method(kind, "setEnableGpu", Boolean::class.javaPrimitiveType!!) ?: return null
    val build = method(kind, "build") ?: return null
    val builder = if (start != null) start.invoke(null) else kind.getConstructor().newInstance()
    enable.invoke(builder, true)
    return build.invoke(builder)
}

private fun method(type: Class<*>, name: String, vararg parameters: Class<*>): Method? =
    type.methods.firstOrNull { it.name == name && it.parameterTypes.toList() == parameters.toList() }
