package com.google.ai.edge.litert

import android.content.Context

interface NpuCompatibilityChecker {
    fun isDeviceSupported(): Boolean

    companion object {
        val Default: NpuCompatibilityChecker get() = TODO()
    }
}

interface NpuAcceleratorProvider {
    fun isDeviceSupported(): Boolean

    fun isLibraryReady(): Boolean

    suspend fun downloadLibrary()

    fun getLibraryDir(): String
}

class BuiltinNpuAcceleratorProvider
@JvmOverloads
constructor(
    private val context: Context,
    private val npuCompatibilityChecker: NpuCompatibilityChecker = NpuCompatibilityChecker.Default
) : NpuAcceleratorProvider {
    override fun isDeviceSupported(): Boolean = TODO()

    override fun isLibraryReady() = true

    override suspend fun downloadLibrary() {}

    override fun getLibraryDir(): String = TODO()
}
