@file:Suppress("UNUSED_PARAMETER")

package com.google.ai.edge.litert

class Environment private constructor(handle: Long) : JniHandle(handle) {
    enum class Option private constructor(val value: Int) {
        CompilerPluginLibraryDir(0),
        DispatchLibraryDir(1)
    }

    override fun destroy() = TODO()

    @Throws(LiteRtException::class)
    fun getAvailableAccelerators(): Set<Accelerator> = TODO()

    companion object {
        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        fun create(options: Map<Option, String> = mapOf()): Environment = TODO()

        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        fun create(npuAcceleratorProvider: NpuAcceleratorProvider, options: Map<Option, String> = mapOf()): Environment = TODO()
    }
}
