/** Which tensors this app runs, and bytes to and from their numbers. */
package keraspose.phone

import keraspose.TensorSpec

/** The exporter's files take uint8; cameras give nothing else. */
val INPUT_TYPES = listOf("uint8", "int8", "float32")

/** What the Kotlin interface of LiteRT 2.3 reads. Of int16 it has nothing, and its `readInt8` gives a byte an element: half of them. */
val OUTPUT_TYPES = listOf("uint8", "int8", "int32", "float32")

/** @throws ModelError for tensors of other types. */
fun checkType(spec: TensorSpec, types: List<String>) {
    if (spec.dtype in types) return
    val (reason, more) = if (spec.dtype != "int16") Pair("", "") else Pair(
        ", which LiteRT 2.3 does not read in Kotlin",
        " A pose network without a head for visibility runs with --int16x8 and --with-decode, too: its keypoints are float32."
    )
    throw ModelError("This app does not run models with ${spec.dtype} tensors (${spec.name})$reason. Export it as --int8 or --float16.$more")
}

/** Bytes of whole numbers, uint8 and int8 alike: LiteRT copies them, whichever of the two the tensor is. */
fun toBytes(values: FloatArray) = ByteArray(values.size) { values[it].toInt().toByte() }

/** The numbers of a tensor's bytes. @param dtype uint8 or int8. */
fun fromBytes(bytes: ByteArray, dtype: String): FloatArray {
    val mask = if (dtype == "uint8") 0xff else -1
    return FloatArray(bytes.size) { (bytes[it].toInt() and mask).toFloat() }
}
