/**
 * LiteRT's models and tensors: with the flavours' `LiteRtRuntime.kt` all that knows LiteRT. Compiled against its AAR by Gradle, against
 * `stub/` where that is out of reach.
 */
package keraspose.app

import android.content.Context
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.TensorBuffer
import keraspose.Contract
import keraspose.TensorSpec
import keraspose.phone.Accelerator
import keraspose.phone.Accelerators
import keraspose.phone.CheckedModel
import keraspose.phone.Network
import keraspose.phone.Placement
import keraspose.phone.fromBytes
import keraspose.phone.outputsOf
import keraspose.phone.sha256
import keraspose.phone.toBytes
import java.io.File
import com.google.ai.edge.litert.Accelerator as LiteRtAccelerator

private const val NUM_KEPT_FILES = 8

/**
 * LiteRT as the app's flavour has it; its `startRuntime` makes one.
 *
 * @property absence why there is none of an accelerator, neither in the device nor in the app; null: it may be tried.
 */
internal class LiteRtRuntime(val environment: Environment, val absence: (Accelerator) -> String?)

/** This device's accelerators, by LiteRT's `CompiledModel`. To be made, used and closed on one thread, which is not the main one. */
class LiteRtAccelerators(context: Context, private val numThreads: Int) : Accelerators, AutoCloseable {
    private val runtime = startRuntime(context)
    // LiteRT opens files and assets, no bytes; pushed models and those of a split app are neither.
    private val folder = File(context.cacheDir, "models").apply { mkdirs() }

    init {
        // Files of models that were used long ago; those that are open are the newest.
        folder.listFiles()?.sortedByDescending { it.lastModified() }?.drop(NUM_KEPT_FILES)?.forEach { it.delete() }
    }

    override fun absence(accelerator: Accelerator) = runtime.absence(accelerator)

    override fun open(model: CheckedModel, placement: Placement): Network {
        val options = CompiledModel.Options(setOf(kindOf(placement.accelerator), kindOf(placement)))
        if (LiteRtAccelerator.CPU in listOf(kindOf(placement.accelerator), kindOf(placement))) {
            options.cpuOptions = CompiledModel.CpuOptions(numThreads)
        }
        return LiteRtNetwork(CompiledModel.create(fileOf(model).path, options, runtime.environment), model.contract)
    }

    override fun close() = runtime.environment.close()

    private fun fileOf(model: CheckedModel): File {
        val file = File(folder, "${sha256(model.bytes)}.tflite")
        val isWhole = file.length() == model.bytes.size.toLong()
        if (isWhole) file.setLastModified(System.currentTimeMillis()) else file.writeBytes(model.bytes)
        return file
    }
}

private fun kindOf(accelerator: Accelerator) = when (accelerator) {
    Accelerator.NPU -> LiteRtAccelerator.NPU
    Accelerator.GPU -> LiteRtAccelerator.GPU
    Accelerator.CPU -> LiteRtAccelerator.CPU
}

/**
 * The accelerator beside a placement's own. Without the CPU, LiteRT refuses a file that the accelerator does not take whole. It adds the
 * CPU to an NPU that is alone, without a word: so the NPU is never alone.
 */
private fun kindOf(placement: Placement) =
    if (placement.isWhole && placement.accelerator != Accelerator.CPU) LiteRtAccelerator.NONE else LiteRtAccelerator.CPU

/** A compiled file. Throws what LiteRT throws, and says what of its tensors the contract has otherwise. */
private class LiteRtNetwork(private val model: CompiledModel, contract: Contract) : Network {
    private val input = contract.input
    private val specs = outputsOf(contract)
    private val opened = ArrayList<AutoCloseable>().apply { add(model) }
    private val inputs: Map<String, TensorBuffer>
    private val outputs: Map<String, TensorBuffer>

    init {
        try {
            inputs = mapOf(input.name to model.createInputBuffer(input.name).also { opened.add(it) })
            outputs = specs.associate { spec -> Pair(spec.name, model.createOutputBuffer(spec.name).also { opened.add(it) }) }
            run(FloatArray(count(input)))
        } catch (error: Throwable) {
            close()
            throw error
        }
    }

    override fun run(values: FloatArray): Map<String, FloatArray> {
        val buffer = inputs.getValue(input.name)
        // There is no writing of uint8. LiteRT copies what writeInt8 is given, whatever the tensor's type: the bytes are the same.
        if (input.dtype == "float32") buffer.writeFloat(values) else buffer.writeInt8(toBytes(values))
        model.run(inputs, outputs)
        return specs.associate { spec -> Pair(spec.name, read(spec, outputs.getValue(spec.name))) }
    }

    override fun close() {
        for (part in opened.asReversed()) part.close()
        opened.clear()
    }

    private fun read(spec: TensorSpec, buffer: TensorBuffer): FloatArray {
        val values = when (spec.dtype) {
            "float32" -> buffer.readFloat()
            "int32" -> buffer.readInt().let { numbers -> FloatArray(numbers.size) { numbers[it].toFloat() } }
            else -> fromBytes(buffer.readInt8(), spec.dtype)
        }
        check(values.size == count(spec)) { "the contract says ${spec.shape} for ${spec.name}; the file gives ${values.size} numbers" }
        return values
    }
}

private fun count(spec: TensorSpec) = spec.shape.fold(1) { product, size -> product * size }
