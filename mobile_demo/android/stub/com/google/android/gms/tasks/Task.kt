@file:Suppress("UNUSED_PARAMETER", "unused")

package com.google.android.gms.tasks

import java.util.concurrent.TimeUnit

abstract class Task<TResult>

object Tasks {
    @JvmStatic
    fun <TResult> await(task: Task<TResult>, timeout: Long, unit: TimeUnit): TResult = TODO()
}
