// What the app uses of LiteRT 2.3's files of these names (google-ai-edge/LiteRT, litert/kotlin/src/main/kotlin):
// signatures as they are published, no code. To check types where the AAR is not at hand; not part of the app.
package com.google.ai.edge.litert

enum class Accelerator private constructor(val value: Int) {
    NONE(0),
    CPU(1),
    GPU(2),
    NPU(3)
}

abstract class JniHandle internal constructor(internal val handle: Long) : AutoCloseable {
    protected abstract fun destroy()

    final override fun close() = TODO()
}
