/**
 * What a network runs on: the first of this device's accelerators that takes the file, computes what Python did, and is
 * worth it. Whatever is not used is named, with the reason: none falls back in silence.
 */
package keraspose.phone

import keraspose.Contract
import keraspose.OperatorShare
import keraspose.RecordedRun
import keraspose.TensorSpec
import keraspose.toInput
import keraspose.toReal

/** @property title as the screen names it. */
enum class Accelerator(val title: String) {
    NPU("NPU"),
    GPU("GPU"),
    CPU("CPU (XNNPACK)")
}

/** Where a file is to run. @property isWhole all of it there; false: the CPU may run what the accelerator does not take. */
data class Placement(val accelerator: Accelerator, val isWhole: Boolean) {
    val title get() = if (isWhole) accelerator.title else "${accelerator.title} with the CPU's help"
}

/** What the user wishes. @property accelerator null: NPU, GPU and CPU are tried in this order. */
enum class Wish(val title: String, val accelerator: Accelerator?) {
    AUTOMATIC("NPU, GPU or CPU", null),
    NPU("NPU", Accelerator.NPU),
    GPU("GPU", Accelerator.GPU),
    CPU("CPU", Accelerator.CPU)
}

/** A file that is open. To be run and closed on the thread that opened it. */
interface Network {
    /** Runs it on one image; raw outputs by name. */
    fun run(values: FloatArray): Map<String, FloatArray>

    fun close()
}

/** This device's accelerators, by the runtime that the app has. */
interface Accelerators {
    /** Why there is none of a kind, neither in the device nor in the app; null: it may be tried. */
    fun absence(accelerator: Accelerator): String?

    /** Opens a file. Throws what the runtime throws where the accelerator does not take it. */
    fun open(model: CheckedModel, placement: Placement): Network
}

/** Where a file does not run, and why. */
open class Refusal(val placement: Placement, val reason: String)

/**
 * A file that runs.
 *
 * @property milliseconds one run.
 * @property cpuMilliseconds one run on the CPU; null: it does not run there.
 * @property refusals in the order in which they were tried.
 * @property numOperators those of the file that compute; null: its contract does not say it.
 * @property expectation what the audit in the contract expects of a GPU, where that did not open the whole file; null: it did, or
 *     was not asked, or there is no audit.
 */
class Chosen(
    val network: Network,
    val placement: Placement,
    val milliseconds: Double,
    val cpuMilliseconds: Double?,
    val refusals: List<Refusal>,
    private val numOperators: Int?,
    private val expectation: String?
) {
    /** What the screen says. */
    fun words(fileName: String): String {
        val share = when {
            placement.accelerator == Accelerator.CPU -> ""
            placement.isWhole -> if (numOperators == null) ", all operators" else ", all $numOperators operators"
            else -> " (LiteRT does not say for how many operators)"
        }
        val cpu = if (placement.accelerator == Accelerator.CPU || cpuMilliseconds == null) "" else ", on the CPU ${inTenths(cpuMilliseconds)}"
        val runs = "$fileName runs on the ${placement.title}$share: ${inTenths(milliseconds)}$cpu."
        return (listOf(runs) + refusals.map { "Not on the ${it.placement.title}: ${it.reason}." } + listOfNotNull(expectation)).joinToString(" ")
    }
}

/** What is said of a model that cannot be run; to be shown as it is. */
class ModelError(message: String) : Exception(message)

/** Times a run this often, after [NUM_WARM_UPS]. */
private const val NUM_TIMED = 5
private const val NUM_WARM_UPS = 2

/** How many kinds of operators are named that an accelerator does not take. */
private const val NUM_NAMED = 6

/** An accelerator with the CPU's help must take less than this share of the CPU's time: else the CPU may be doing it all. */
private const val MOST_OF_CPU_TIME = 0.9

/**
 * What outputs may be off by, root of the mean square: a share of their standard deviation, and steps of integers. On a person
 * the shipped int8 file is off its network by 0.07, a heatmap that is shifted by one pixel by 0.33 (tests/mobile/test_android.py).
 */
private const val MOST_OFF = 0.1
private const val MOST_STEPS_OFF = 1

/**
 * Opens a file on the first accelerator that is right.
 *
 * The CPU is opened first, as a measure: what no pack says, it says, and an accelerator that is no faster is not used
 * (one that the user wishes is, if it takes the whole file).
 *
 * @param fileName for the words on the screen.
 * @param recorded inputs and what the file answered to them in Python; none: the CPU's answer to noise is the measure.
 * @param clock nanoseconds.
 * @throws ModelError where nothing runs it, with all reasons.
 */
fun openFastest(
    fileName: String,
    model: CheckedModel,
    wish: Wish,
    accelerators: Accelerators,
    recorded: List<RecordedRun> = listOf(),
    clock: () -> Long = System::nanoTime
): Chosen {
    val refusals = ArrayList<Refusal>()
    val audit = model.contract.operatorAudit
    fun chosen(network: Network, placement: Placement, milliseconds: Double, cpuMilliseconds: Double?) = Chosen(
        network, placement, milliseconds, cpuMilliseconds, told(refusals), audit.values.firstOrNull()?.numOperators, expectation(audit, refusals)
    )
    val cpu = attempt(CPU, model, accelerators, recorded, clock, refusals)
    val measure = if (recorded.isNotEmpty() || cpu == null) recorded else listOf(RecordedRun(noise(model.contract), cpu.outputs))
    for (placement in placements(wish)) {
        val earlier = refusals.filter { it.placement.accelerator == placement.accelerator }
        // With the CPU's help only what did not take the whole file: a driver that computes wrongly is not asked again.
        if (earlier.any { it !is Unopened }) continue
        val absence = accelerators.absence(placement.accelerator)
        if (absence != null) {
            refusals.add(Refusal(placement, absence))
            continue
        }
        val opened = attempt(placement, model, accelerators, measure, clock, refusals) ?: continue
        val isForced = wish.accelerator != null && placement.isWhole
        val slow = if (cpu == null || isForced) null else slowness(placement, opened.milliseconds, cpu.milliseconds)
        if (slow == null) {
            cpu?.network?.close()
            return chosen(opened.network, placement, opened.milliseconds, cpu?.milliseconds)
        }
        opened.network.close()
        refusals.add(Refusal(placement, slow))
    }
    if (cpu != null) return chosen(cpu.network, CPU, cpu.milliseconds, cpu.milliseconds)
    throw ModelError("$fileName cannot be run. " + told(refusals).joinToString(" ") { "Not on the ${it.placement.title}: ${it.reason}." })
}

private val CPU = Placement(Accelerator.CPU, true)

private fun placements(wish: Wish): List<Placement> = when (wish.accelerator) {
    null -> listOf(true, false).flatMap { isWhole -> listOf(Accelerator.NPU, Accelerator.GPU).map { Placement(it, isWhole) } }
    Accelerator.CPU -> listOf()
    else -> listOf(Placement(wish.accelerator, true), Placement(wish.accelerator, false))
}

/** The runtime did not open the file. */
private class Unopened(placement: Placement, reason: String) : Refusal(placement, reason)

private class Tried(val network: Network, val outputs: Map<String, FloatArray>, val milliseconds: Double)

/** A reason once, where an accelerator refuses the whole file and a part of it alike. */
private fun told(refusals: List<Refusal>): List<Refusal> = refusals.filterIndexed { i, refusal ->
    refusals.drop(i + 1).none { it.placement.accelerator == refusal.placement.accelerator && it.reason == refusal.reason }
}

/**
 * Where LiteRT did not open the whole file for the GPU, it does not say how much of it the GPU takes: the audit in the contract says what is
 * to be expected. Of NPUs it says nothing.
 */
private fun expectation(audit: Map<String, OperatorShare>, refusals: List<Refusal>): String? {
    val share = audit[Accelerator.GPU.title] ?: return null
    if (refusals.none { it is Unopened && it.placement.accelerator == Accelerator.GPU }) return null
    return "By keras_pose's audit a GPU should take ${wordsOf(share)}."
}

private fun wordsOf(share: OperatorShare): String {
    if (share.left.isEmpty()) return "all ${share.numOperators} operators"
    val named = share.left.take(NUM_NAMED).map { "${it.count} ${it.operator} (${it.reason})" }
    val numOthers = share.left.drop(NUM_NAMED).map { it.count }.sum()
    val others = if (numOthers == 0) listOf() else listOf("$numOthers more")
    val parts = if (share.numPartitions > 1) ", in ${share.numPartitions} parts" else ""
    return "${share.numTaken} of ${share.numOperators} operators$parts; the CPU's are ${(named + others).joinToString()}"
}

/** Opens, checks and times; null: refused, which is noted. */
private fun attempt(
    placement: Placement, model: CheckedModel, accelerators: Accelerators, measure: List<RecordedRun>, clock: () -> Long,
    refusals: MutableList<Refusal>
): Tried? {
    val network = try {
        accelerators.open(model, placement)
    } catch (error: Exception) {
        refusals.add(Unopened(placement, reasonOf(error)))
        return null
    } catch (error: LinkageError) {
        if (placement == CPU) throw ModelError(WITHOUT_RUNTIME)
        refusals.add(Unopened(placement, reasonOf(error))) // its class or library is not in this app
        return null
    }
    try {
        val runs = if (measure.isNotEmpty()) measure else {
            val input = noise(model.contract)
            // A CPU that nothing measures may well find the same everywhere in noise: it is its own measure.
            listOf(RecordedRun(input, if (placement == CPU) network.run(input) else mapOf()))
        }
        for (run in runs) {
            val wrong = difference(outputsOf(model.contract), network.run(run.input), run.outputs)
            if (wrong != null) return refused(Refusal(placement, wrong), network, refusals)
        }
        val times = ArrayList<Long>()
        var outputs = mapOf<String, FloatArray>()
        for (i in 0 until NUM_WARM_UPS + NUM_TIMED) {
            val started = clock()
            outputs = network.run(runs[0].input)
            if (i >= NUM_WARM_UPS) times.add(clock() - started)
        }
        return Tried(network, outputs, times.sorted()[NUM_TIMED / 2] / 1e6)
    } catch (error: Exception) {
        return refused(Refusal(placement, reasonOf(error)), network, refusals)
    }
}

private fun refused(refusal: Refusal, network: Network, refusals: MutableList<Refusal>): Tried? {
    refusals.add(refusal)
    network.close()
    return null
}

/** Opens the runtime. @throws ModelError where the app has none. */
fun <T> runtimeOf(open: () -> T): T = try {
    open()
} catch (error: LinkageError) {
    throw ModelError(WITHOUT_RUNTIME)
}

private const val WITHOUT_RUNTIME = "This app was built without LiteRT, which runs the models: it was compiled for checking. " +
    "Build it with Gradle (mobile_demo/android/README.md)."

internal fun reasonOf(error: Throwable): String =
    error.message?.trim()?.lines()?.firstOrNull()?.trimEnd('.')?.take(160) ?: error.javaClass.simpleName

/** Why an accelerator is not worth it; null: it is. */
private fun slowness(placement: Placement, milliseconds: Double, cpuMilliseconds: Double): String? {
    val most = if (placement.isWhole) cpuMilliseconds else MOST_OF_CPU_TIME * cpuMilliseconds
    if (milliseconds < most) return null
    val perhaps = if (placement.isWhole) "" else ", which may be running it all"
    return "it takes ${inTenths(milliseconds)}, the CPU ${inTenths(cpuMilliseconds)}$perhaps"
}

private fun inTenths(milliseconds: Double) = "%.1f ms".format(java.util.Locale.ROOT, milliseconds)

/**
 * Says what is wrong with a network's raw outputs; null: nothing is.
 *
 * @param expected by name; empty: only what no network returns is looked for.
 */
fun difference(specs: List<TensorSpec>, outputs: Map<String, FloatArray>, expected: Map<String, FloatArray>): String? {
    for (spec in specs) {
        val values = outputs[spec.name] ?: return "it returns no ${spec.name}"
        val numBroken = values.count { it.isNaN() || it.isInfinite() }
        if (numBroken > 0) return "it returns NaN or infinity: $numBroken of ${values.size} numbers of ${spec.name}"
        val wanted = expected[spec.name]
        if (wanted != null && wanted.size != values.size) return "it returns ${values.size} numbers of ${spec.name}, not ${wanted.size}"
        if (values.size > 1 && values.all { it == values[0] } && (wanted == null || wanted.any { it != wanted[0] })) {
            return "it returns the same number everywhere in ${spec.name}"
        }
        if (wanted != null) distance(spec, toReal(values, spec), toReal(wanted, spec))?.let { return it }
    }
    return null
}

private fun distance(spec: TensorSpec, values: FloatArray, wanted: FloatArray): String? {
    val mean = wanted.fold(0.0) { sum, value -> sum + value } / wanted.size
    var spread = 0.0
    var off = 0.0
    for (i in wanted.indices) {
        spread += (wanted[i] - mean) * (wanted[i] - mean)
        off += (values[i] - wanted[i]).toDouble().let { it * it }
    }
    val deviation = Math.sqrt(spread / wanted.size)
    val distance = Math.sqrt(off / wanted.size)
    if (distance <= MOST_OFF * deviation + MOST_STEPS_OFF * (spec.scale ?: 0.0)) return null
    val share = "%.2f".format(java.util.Locale.ROOT, distance / deviation)
    return "it computes something else than it should: ${spec.name} is off by $share of its standard deviation"
}

/** Pixels as a file takes them, the same every time. */
private fun noise(contract: Contract): FloatArray {
    val count = contract.input.shape.fold(1) { product, size -> product * size }
    var state = 1
    val pixels = ByteArray(count) {
        state = state * 1664525 + 1013904223
        (state ushr 24).toByte()
    }
    return toInput(pixels, contract.input, contract.normalization)
}
