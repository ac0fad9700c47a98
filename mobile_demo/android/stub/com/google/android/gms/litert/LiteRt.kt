@file:Suppress("UNUSED_PARAMETER")

// What the flavour `play` uses of com.google.android.gms:play-services-litert 17.0.0, as Google's page has it, no code. In truth a
// class in Java, whose method is static. To check types where the AAR is not at hand; not part of the app.
package com.google.android.gms.litert

import android.content.Context
import com.google.ai.edge.litert.Environment
import com.google.android.gms.tasks.Task

object LiteRt {
    @JvmStatic
    fun initialize(context: Context): Task<Environment> = TODO()
}
