/** What networks run on, and what is used where that does not take them. */
package keraspose.phone

/** @property title as the screen names it. */
enum class Accelerator(val title: String) {
    CPU("CPU (XNNPACK)"),
    GPU("GPU"),
    NNAPI("NNAPI")
}

/** Android has NNAPI from 8.1 on. */
const val FIRST_SDK_WITH_NNAPI = 27

/** What a device offers: NNAPI where it exists; whether its GPU takes a model is seen when it is opened. */
fun acceleratorsOf(sdk: Int): List<Accelerator> =
    Accelerator.values().filter { it != Accelerator.NNAPI || sdk >= FIRST_SDK_WITH_NNAPI }

/** What was opened. @property note what the user should know; null: it runs where it was wished. */
class Opened<T>(val value: T, val accelerator: Accelerator, val note: String?)

/**
 * Opens a model on the wished accelerator, else on the processor.
 *
 * @param fileName for the note.
 * @throws ModelError where not even the processor runs it.
 */
fun <T> openWithFallback(fileName: String, wish: Accelerator, open: (Accelerator) -> T): Opened<T> {
    val failure = try {
        return Opened(open(wish), wish, null)
    } catch (error: Exception) {
        error
    } catch (error: LinkageError) {
        error // a delegate's class or library is not in this app
    }
    if (wish == Accelerator.CPU) throw ModelError(unusable(fileName, failure))
    val value = try {
        open(Accelerator.CPU)
    } catch (error: Exception) {
        throw ModelError(unusable(fileName, error))
    } catch (error: LinkageError) {
        throw ModelError(unusable(fileName, error))
    }
    val reason = failure.message?.trim()?.lines()?.firstOrNull()?.take(120) ?: failure.javaClass.simpleName
    val note = "The ${wish.title} does not take $fileName ($reason). It runs on the ${Accelerator.CPU.title}."
    return Opened(value, Accelerator.CPU, note)
}

/** What is said of a model that cannot be run; to be shown as it is. */
class ModelError(message: String) : Exception(message)

private fun unusable(fileName: String, error: Throwable): String =
    if (error is LinkageError) {
        "This app was built without LiteRT, which runs the models: it was compiled for checking. " +
            "Build it with Gradle (mobile_demo/android/README.md)."
    } else {
        "$fileName cannot be run: ${error.message ?: error.javaClass.simpleName}"
    }
