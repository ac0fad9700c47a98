/** Tests of what a file runs on, with accelerators that refuse, lie and dawdle. */
package keraspose.phone

import keraspose.RecordedRun

private const val CPU_TIME = 30.0

/** What the files of these tests answer. */
private val RIGHT = floatArrayOf(12f, 10f, 0.9f, 6f, 16f, 0.9f, 18f, 22f, 0.9f)
private val MODEL = CheckedModel(parse(POSE), byteArrayOf())
private val RECORDED = listOf(RecordedRun(FloatArray(32 * 24 * 3), mapOf("xy" to RIGHT)))
private val REFUSAL = "Some ops are not accelerated. Add kLiteRtHwAcceleratorCpu to the set.\nmore"

/** How an accelerator behaves. @property helped milliseconds with the CPU's help; null: it does not open the file then, either. */
internal class Manner(
    val milliseconds: Double,
    val answer: () -> FloatArray = { RIGHT },
    val absence: String? = null,
    val takesWhole: Boolean = true,
    val helped: Double? = milliseconds,
    val failure: () -> Throwable = { IllegalStateException(REFUSAL) }
)

private fun leaves(operator: String, count: Int) = """{"operator": "$operator", "reason": "no such operator", "count": $count}"""

/** A file of 112 operators, of which the GPU is expected to leave some. @param left by [leaves]. */
private fun audited(numTaken: Int, vararg left: String, numPartitions: Int = 1) = CheckedModel(
    parse(POSE.replace("\"crop\":", """"operator_audit": {"Core ML": {"operators": 112, "taken": 112, "partitions": 1, "left": []},
        "GPU": {"operators": 112, "taken": $numTaken, "partitions": $numPartitions, "left": [${left.joinToString()}]}}, "crop":""")), byteArrayOf()
)

private val ABSENT = Manner(0.0, absence = "there is none")

/** A device whose time passes only while networks run. */
internal class Device(npu: Manner, gpu: Manner, cpu: Manner = Manner(CPU_TIME)) : Accelerators {
    private val manners = mapOf(Accelerator.NPU to npu, Accelerator.GPU to gpu, Accelerator.CPU to cpu)
    val asked = ArrayList<Placement>()
    val open = ArrayList<Placement>()
    var now = 0L

    override fun absence(accelerator: Accelerator) = manners.getValue(accelerator).absence

    override fun open(model: CheckedModel, placement: Placement): Network {
        asked.add(placement)
        val manner = manners.getValue(placement.accelerator)
        val milliseconds = if (placement.isWhole) manner.milliseconds else manner.helped
        if (milliseconds == null || placement.isWhole && !manner.takesWhole) throw manner.failure()
        open.add(placement)
        return object : Network {
            override fun run(values: FloatArray): Map<String, FloatArray> {
                assertEqual(values.size, 32 * 24 * 3)
                now += (1e6 * milliseconds).toLong()
                return mapOf("xy" to manner.answer())
            }

            override fun close() {
                open.remove(placement)
            }
        }
    }
}

/** Chooses; what is not used must be closed. */
internal fun chosen(device: Device, wish: Wish = Wish.AUTOMATIC, recorded: List<RecordedRun> = RECORDED, model: CheckedModel = MODEL): Chosen {
    val found = openFastest("a.tflite", model, wish, device, recorded) { device.now }
    assertEqual(device.open.toList(), listOf(found.placement))
    return found
}

private fun says(
    device: Device, words: String, wish: Wish = Wish.AUTOMATIC, recorded: List<RecordedRun> = RECORDED, model: CheckedModel = MODEL
) = assertEqual(chosen(device, wish, recorded, model).words("a.tflite"), words)

private fun theFirstThatIsRightAndFasterRuns() {
    says(Device(Manner(2.0), Manner(1.0)), "a.tflite runs on the NPU, all operators: 2.0 ms, on the CPU 30.0 ms.")
    says(Device(ABSENT, Manner(8.0)), "a.tflite runs on the GPU, all operators: 8.0 ms, on the CPU 30.0 ms. Not on the NPU: there is none.")
}

private fun refusalsAreNamed() {
    says(
        Device(Manner(2.0, takesWhole = false, helped = null), Manner(8.0)),
        "a.tflite runs on the GPU, all operators: 8.0 ms, on the CPU 30.0 ms. " +
            "Not on the NPU: Some ops are not accelerated. Add kLiteRtHwAcceleratorCpu to the set."
    )
    val lacking = Manner(2.0, takesWhole = false, helped = null, failure = { NoClassDefFoundError("litert-gpu") })
    says(Device(ABSENT, lacking), "a.tflite runs on the CPU (XNNPACK): 30.0 ms. Not on the NPU: there is none. Not on the GPU with the CPU's help: litert-gpu.")
}

/** By the accelerator's answer, what the screen says of it. */
private val LIES = mapOf<() -> FloatArray, String>(
    { RIGHT.copyOf().also { it[3] = Float.NaN } } to "it returns NaN or infinity: 1 of 9 numbers of xy",
    { FloatArray(9) { 4f } } to "it returns the same number everywhere in xy",
    { RIGHT.reversedArray() } to "it computes something else than it should: xy is off by 1.51 of its standard deviation",
    { FloatArray(8) { it.toFloat() } } to "it returns 8 numbers of xy, not 9",
    { throw IllegalStateException("driver lost") } to "driver lost"
)

private fun liesAreFoundOutWithAndWithoutAPack() {
    for ((answer, reason) in LIES) for (recorded in listOf(RECORDED, listOf())) {
        val device = Device(Manner(2.0, answer), Manner(8.0))
        says(device, "a.tflite runs on the GPU, all operators: 8.0 ms, on the CPU 30.0 ms. Not on the NPU: $reason.", recorded = recorded)
        // A driver that computes wrongly is not asked for a part of the file.
        assertEqual(device.asked.count { it.accelerator == Accelerator.NPU }, 1)
    }
}

private fun roundingIsNoLie() {
    val rounded = FloatArray(9) { RIGHT[it] + if (it % 2 == 0) 0.5f else -0.5f }
    assertEqual(chosen(Device(Manner(2.0, { rounded }), ABSENT)).placement.accelerator, Accelerator.NPU)
}

private fun slowAcceleratorsAreNotUsed() = says(
    Device(Manner(31.0), Manner(30.0)),
    "a.tflite runs on the CPU (XNNPACK): 30.0 ms. Not on the NPU: it takes 31.0 ms, the CPU 30.0 ms. Not on the GPU: it takes 30.0 ms, the CPU 30.0 ms."
)

private fun theCpuHelpsWhereThatIsFaster() {
    says(
        Device(Manner(2.0, takesWhole = false, helped = 12.0), ABSENT),
        "a.tflite runs on the NPU with the CPU's help (LiteRT does not say for how many operators): 12.0 ms, on the CPU 30.0 ms. " +
            "Not on the NPU: Some ops are not accelerated. Add kLiteRtHwAcceleratorCpu to the set. Not on the GPU: there is none."
    )
    // The silent fallback: LiteRT opens the file for the NPU and the CPU, and the CPU does it all.
    says(
        Device(Manner(2.0, takesWhole = false, helped = 29.0), ABSENT),
        "a.tflite runs on the CPU (XNNPACK): 30.0 ms. Not on the NPU: Some ops are not accelerated. Add kLiteRtHwAcceleratorCpu to the set. " +
            "Not on the GPU: there is none. Not on the NPU with the CPU's help: it takes 29.0 ms, the CPU 30.0 ms, which may be running it all."
    )
}

private fun theAuditSaysHowManyOperatorsAndWhyNotTheOthers() {
    val once = listOf("GATHER_ND", "ARG_MAX", "CUMSUM", "FILL", "RANGE", "ROUND", "WHERE").map { leaves(it, 1) }.toTypedArray()
    val model = audited(103, leaves("TOPK_V2", 2), *once, numPartitions = 3)
    val partly = Manner(8.0, takesWhole = false)
    val expected = "By keras_pose's audit a GPU should take 103 of 112 operators, in 3 parts; the CPU's are 2 TOPK_V2 (no such operator), " +
        listOf("GATHER_ND", "ARG_MAX", "CUMSUM", "FILL", "RANGE").joinToString("") { "1 $it (no such operator), " } + "2 more."
    val why = "Not on the GPU: Some ops are not accelerated. Add kLiteRtHwAcceleratorCpu to the set."
    says(
        Device(ABSENT, partly), "a.tflite runs on the GPU with the CPU's help (LiteRT does not say for how many operators): 8.0 ms, " +
            "on the CPU 30.0 ms. Not on the NPU: there is none. $why $expected", model = model
    )
    // Where it is not worth it, that it takes a part only may be why.
    says(
        Device(ABSENT, Manner(29.0, takesWhole = false)), "a.tflite runs on the CPU (XNNPACK): 30.0 ms. Not on the NPU: there is none. $why " +
            "Not on the GPU with the CPU's help: it takes 29.0 ms, the CPU 30.0 ms, which may be running it all. $expected", model = model
    )
    // A driver that takes less than it should.
    says(
        Device(ABSENT, Manner(8.0, takesWhole = false, helped = null)), "a.tflite runs on the CPU (XNNPACK): 30.0 ms. Not on the NPU: there is none. " +
            "${why.replace("GPU", "GPU with the CPU's help")} By keras_pose's audit a GPU should take all 112 operators.", model = audited(112)
    )
}

private fun whatLiteRtSaysNeedsNoAudit() {
    // It took the whole file, whatever was expected.
    for (model in listOf(audited(112), audited(110, leaves("TOPK_V2", 2)))) {
        says(Device(Manner(2.0), Manner(1.0)), "a.tflite runs on the NPU, all 112 operators: 2.0 ms, on the CPU 30.0 ms.", model = model)
        says(Device(ABSENT, Manner(8.0)), "a.tflite runs on the GPU, all 112 operators: 8.0 ms, on the CPU 30.0 ms. Not on the NPU: there is none.", model = model)
        says(Device(ABSENT, ABSENT), "a.tflite runs on the CPU (XNNPACK): 30.0 ms. Not on the NPU: there is none. Not on the GPU: there is none.", model = model)
        says(Device(Manner(2.0), Manner(1.0)), "a.tflite runs on the CPU (XNNPACK): 30.0 ms.", Wish.CPU, model = model)
    }
}

private fun wishesAreHeard() {
    says(Device(Manner(2.0), Manner(41.0)), "a.tflite runs on the GPU, all operators: 41.0 ms, on the CPU 30.0 ms.", Wish.GPU)
    val device = Device(Manner(2.0), Manner(1.0))
    says(device, "a.tflite runs on the CPU (XNNPACK): 30.0 ms.", Wish.CPU)
    assertEqual(device.asked.size, 1)
    says(Device(ABSENT, Manner(1.0)), "a.tflite runs on the CPU (XNNPACK): 30.0 ms. Not on the NPU: there is none.", Wish.NPU)
}

private fun aCpuThatIsWrongIsNotUsedEither() {
    val wrong = Manner(CPU_TIME, { FloatArray(9) })
    says(Device(ABSENT, Manner(8.0), wrong),
        "a.tflite runs on the GPU, all operators: 8.0 ms. Not on the CPU (XNNPACK): it returns the same number everywhere in xy. Not on the NPU: there is none.")
    val device = Device(ABSENT, Manner(8.0, { FloatArray(9) }), wrong)
    assertRefused("a.tflite cannot be run. Not on the CPU (XNNPACK): it returns the same number everywhere in xy. Not on the NPU: there is none. Not on the GPU:") {
        openFastest("a.tflite", MODEL, Wish.AUTOMATIC, device, RECORDED) { device.now }
    }
    assertEqual(device.open.size, 0)
}

private fun withoutAPackTheCpuIsTheMeasureEvenWhereAllIsTheSame() {
    val same = { FloatArray(9) { 4f } }
    says(Device(ABSENT, Manner(8.0, same), Manner(CPU_TIME, same)),
        "a.tflite runs on the GPU, all operators: 8.0 ms, on the CPU 30.0 ms. Not on the NPU: there is none.", recorded = listOf())
    says(Device(ABSENT, ABSENT, Manner(CPU_TIME, same)), "a.tflite runs on the CPU (XNNPACK): 30.0 ms.", Wish.CPU, listOf())
    val broken = Device(ABSENT, ABSENT, Manner(CPU_TIME, { FloatArray(9) { Float.NaN } }))
    assertRefused("Not on the CPU (XNNPACK): it returns NaN or infinity: 9 of 9 numbers of xy.") {
        openFastest("a.tflite", MODEL, Wish.CPU, broken) { broken.now }
    }
}

private fun appsWithoutRuntimeSaySo() {
    val device = Device(ABSENT, ABSENT, Manner(1.0, takesWhole = false, failure = { NoClassDefFoundError("CompiledModel") }))
    assertRefused("built without LiteRT") { openFastest("a.tflite", MODEL, Wish.AUTOMATIC, device) }
    assertRefused("built without LiteRT") { runtimeOf { throw UnsatisfiedLinkError("litert_jni") } }
}

private fun driversThatEndTheAppAreAskedOnce() {
    val folder = createTempDir()
    try {
        fun devices() = Device(Manner(2.0), ABSENT)
        fun cautious(device: Device, isBold: Boolean = false) = Cautious(device, folder, isBold)
        val notes = { folder.list().toList() }
        // The app ends while the NPU opens the file, or in one of its first runs: nothing more is heard of it.
        cautious(devices()).open(MODEL, Placement(Accelerator.NPU, true)).run(RECORDED[0].input)
        assertEqual(notes().size, 1)
        val device = devices()
        val found = openFastest("a.tflite", MODEL, Wish.AUTOMATIC, cautious(device), RECORDED) { device.now }
        assertEqual(found.placement, Placement(Accelerator.NPU, false))
        check("Not on the NPU: the app ended when it was tried last; choose it by name" in found.words("a.tflite"))
        // Once it has shown itself, it is taken again; a refusal in words leaves no note, nor does closing.
        val bold = openFastest("a.tflite", MODEL, Wish.NPU, cautious(devices(), isBold = true), RECORDED) { 0 }
        assertEqual(bold.placement, Placement(Accelerator.NPU, true))
        assertEqual(notes(), listOf<String>())
        val refusing = Device(Manner(2.0, takesWhole = false, helped = null), ABSENT)
        assertEqual(openFastest("a.tflite", MODEL, Wish.AUTOMATIC, cautious(refusing), RECORDED) { 0 }.placement.accelerator, Accelerator.CPU)
        cautious(devices()).open(MODEL, Placement(Accelerator.NPU, true)).close()
        assertEqual(notes(), listOf<String>())
    } finally {
        folder.deleteRecursively()
    }
}

internal val CHOOSING_TESTS = mapOf<String, () -> Unit>(
    "theFirstThatIsRightAndFasterRuns" to ::theFirstThatIsRightAndFasterRuns,
    "refusalsAreNamed" to ::refusalsAreNamed,
    "liesAreFoundOutWithAndWithoutAPack" to ::liesAreFoundOutWithAndWithoutAPack,
    "roundingIsNoLie" to ::roundingIsNoLie,
    "slowAcceleratorsAreNotUsed" to ::slowAcceleratorsAreNotUsed,
    "theCpuHelpsWhereThatIsFaster" to ::theCpuHelpsWhereThatIsFaster,
    "theAuditSaysHowManyOperatorsAndWhyNotTheOthers" to ::theAuditSaysHowManyOperatorsAndWhyNotTheOthers,
    "whatLiteRtSaysNeedsNoAudit" to ::whatLiteRtSaysNeedsNoAudit,
    "wishesAreHeard" to ::wishesAreHeard,
    "aCpuThatIsWrongIsNotUsedEither" to ::aCpuThatIsWrongIsNotUsedEither,
    "withoutAPackTheCpuIsTheMeasureEvenWhereAllIsTheSame" to ::withoutAPackTheCpuIsTheMeasureEvenWhereAllIsTheSame,
    "appsWithoutRuntimeSaySo" to ::appsWithoutRuntimeSaySo,
    "driversThatEndTheAppAreAskedOnce" to ::driversThatEndTheAppAreAskedOnce
)
