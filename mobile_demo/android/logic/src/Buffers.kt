/** Numbers to and from the bytes of a file's tensors. */
package keraspose.phone

import keraspose.TensorSpec
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Room for a tensor, outside Java's heap, where runtimes write. */
fun bufferOf(spec: TensorSpec): ByteBuffer {
    val count = spec.shape.fold(1) { product, size -> product * size }
    return ByteBuffer.allocateDirect(count * bytesOf(spec.dtype)).order(ByteOrder.nativeOrder())
}

/** @throws ModelError for types that this app does not run. */
fun bytesOf(dtype: String): Int = when (dtype) {
    "uint8", "int8" -> 1
    "int16" -> 2
    "float32", "int32" -> 4
    else -> throw ModelError("This app does not run models with $dtype tensors. Export it as --int8 or --float16.")
}

/** Writes values that are numbers of the tensor's type, from the buffer's beginning. */
fun write(values: FloatArray, dtype: String, buffer: ByteBuffer) {
    buffer.clear()
    when (dtype) {
        "float32" -> buffer.asFloatBuffer().put(values)
        "uint8", "int8" -> for (value in values) buffer.put(value.toInt().toByte())
        "int16" -> for (value in values) buffer.putShort(value.toInt().toShort())
        else -> for (value in values) buffer.putInt(value.toInt())
    }
    buffer.rewind()
}

/** Reads all values of a tensor. */
fun read(buffer: ByteBuffer, dtype: String): FloatArray {
    buffer.rewind()
    val values = FloatArray(buffer.capacity() / bytesOf(dtype))
    when (dtype) {
        "float32" -> buffer.asFloatBuffer().get(values)
        "uint8" -> for (i in values.indices) values[i] = (buffer.get(i).toInt() and 0xff).toFloat()
        "int8" -> for (i in values.indices) values[i] = buffer.get(i).toFloat()
        "int16" -> for (i in values.indices) values[i] = buffer.getShort(2 * i).toFloat()
        else -> for (i in values.indices) values[i] = buffer.getInt(4 * i).toFloat()
    }
    return values
}
