/** Replays parity packs: `java -cp ... keraspose.ParityKt FOLDER ...`. */
package keraspose

import java.io.File
import kotlin.system.exitProcess

fun main(arguments: Array<String>) {
    val results = arguments.flatMap { folder ->
        replayPack(File(folder, "index.json").readText(), File(folder, "arrays.bin").readBytes())
    }
    for (result in results) {
        if (result.isLeftOut) println("left out, ${result.words}: ${result.name}")
        if (result.hasFailed) println("FAILED ${result.name}: ${result.words}")
    }
    val failed = results.count { it.hasFailed }
    println("${results.count { it.words == null }} passed, $failed failed")
    if (failed > 0) exitProcess(1)
}
