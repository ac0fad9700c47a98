/** The one file that knows LiteRT: compiled against its AAR by Gradle, against `stub/` where that is out of reach. */
package keraspose.app

import keraspose.Contract
import keraspose.TensorSpec
import keraspose.phone.Accelerator
import keraspose.phone.ModelError
import keraspose.phone.bufferOf
import keraspose.phone.outputsOf
import keraspose.phone.read
import keraspose.phone.write
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import org.tensorflow.lite.gpu.CompatibilityList
import org.tensorflow.lite.gpu.GpuDelegate
import org.tensorflow.lite.gpu.GpuDelegateFactory
import org.tensorflow.lite.nnapi.NnApiDelegate
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A model file that is ready to run. To be made, run and closed on one thread: GPU delegates ask for that.
 *
 * Throws what LiteRT throws where the accelerator does not take the model.
 */
class LiteRtNetwork(model: ByteArray, contract: Contract, accelerator: Accelerator, numThreads: Int) {
    // The interpreter reads it as long as it lives.
    private val bytes = ByteBuffer.allocateDirect(model.size).order(ByteOrder.nativeOrder()).put(model)
    private val delegate = delegateOf(accelerator)
    private val interpreter = opened(numThreads)
    private val signature = interpreter.getSignatureKeys().firstOrNull() ?: throw ModelError("The model has no signature.")
    private val input = contract.input
    private val inputBuffer = bufferOf(input)
    private val outputs = outputsOf(contract).map { Pair(it, bufferOf(it)) }

    init {
        try {
            checkTensor(input, interpreter.getSignatureInputs(signature)) { interpreter.getInputTensorFromSignature(it, signature) }
            // Also a first run: what a delegate cannot do shows now, not in the first frame.
            run(FloatArray(input.shape.fold(1) { product, size -> product * size }))
            for ((spec, _) in outputs) {
                checkTensor(spec, interpreter.getSignatureOutputs(signature)) { interpreter.getOutputTensorFromSignature(it, signature) }
            }
        } catch (error: Exception) {
            close()
            throw error
        }
    }

    /** Runs it on one image; raw outputs by name. */
    fun run(values: FloatArray): Map<String, FloatArray> {
        write(values, input.dtype, inputBuffer)
        val targets = HashMap<String, Any>()
        for ((spec, buffer) in outputs) {
            buffer.rewind()
            targets[spec.name] = buffer
        }
        interpreter.runSignature(mapOf<String, Any>(input.name to inputBuffer), targets, signature)
        return outputs.associate { (spec, buffer) -> Pair(spec.name, read(buffer, spec.dtype)) }
    }

    fun close() {
        interpreter.close()
        delegate?.close()
    }

    private fun opened(numThreads: Int): Interpreter {
        val options = Interpreter.Options()
        options.setNumThreads(numThreads)
        options.setUseXNNPACK(true)
        if (delegate != null) options.addDelegate(delegate)
        try {
            bytes.rewind()
            return Interpreter(bytes, options)
        } catch (error: Exception) {
            delegate?.close()
            throw error
        }
    }

    private fun checkTensor(spec: TensorSpec, names: Array<String>, find: (String) -> Tensor) {
        if (spec.name !in names) throw ModelError("The contract names the tensor ${spec.name}; the model has ${names.joinToString()}.")
        val shape = find(spec.name).shape().toList()
        if (shape != spec.shape) throw ModelError("The contract says ${spec.shape} for ${spec.name}; the model has $shape.")
    }
}

private fun delegateOf(accelerator: Accelerator): Delegate? = when (accelerator) {
    Accelerator.CPU -> null
    Accelerator.GPU -> gpuDelegate()
    Accelerator.NNAPI -> NnApiDelegate()
}

private fun gpuDelegate(): Delegate {
    val list = CompatibilityList()
    try {
        check(list.isDelegateSupportedOnThisDevice()) { "LiteRT does not support this device's GPU" }
    } finally {
        list.close()
    }
    return GpuDelegate(GpuDelegateFactory.Options())
}
