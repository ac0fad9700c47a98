@file:Suppress("UNUSED_PARAMETER")

package com.google.ai.edge.litert

class TensorBuffer internal constructor(handle: Long) : JniHandle(handle) {
    @Throws(LiteRtException::class)
    fun writeFloat(data: FloatArray): Unit = TODO()

    @Throws(LiteRtException::class)
    fun writeInt8(data: ByteArray): Unit = TODO()

    @Throws(LiteRtException::class)
    fun readInt(): IntArray = TODO()

    @Throws(LiteRtException::class)
    fun readFloat(): FloatArray = TODO()

    @Throws(LiteRtException::class)
    fun readInt8(): ByteArray = TODO()

    override fun destroy() = TODO()
}
