/** Whether this device computes what Python did: the app's parity packs, replayed (docs/parity_pack.md). */
package keraspose.phone

import keraspose.CaseResult
import keraspose.ContractError
import keraspose.Json
import keraspose.RecordedRun
import keraspose.Run
import keraspose.packedModels
import keraspose.recordedRuns
import keraspose.replayPack

/** A model that is open. @property hash SHA-256 of its file. */
class OpenModel(val hash: String, val run: Run)

/** How many differing cases are told of. */
private const val NUM_TOLD = 3

/**
 * Replays the packs of a bundle.
 *
 * @param open by "pose" and "detector". Cases of another file than that are computed from what it once answered.
 */
fun checkAgainstPython(folder: Folder, open: Map<String, OpenModel>): List<CaseResult> {
    val packs = packsIn(folder)
    if (packs.isEmpty()) throw ContractError("The app has no parity packs. $REMEDY")
    return packs.flatMap { (text, arrays) ->
        val hashes = packedModels(text)
        replayPack(text, arrays, open.filter { (task, model) -> model.hash == hashes[task] }.mapValues { it.value.run })
    }
}

/** What a bundle's packs say of a file; none: they say nothing of it. @param hash SHA-256 of the file. */
fun recordedRunsOf(folder: Folder, hash: String): List<RecordedRun> = packsIn(folder).flatMap { (text, arrays) ->
    packedModels(text).filterValues { it == hash }.keys.flatMap { recordedRuns(text, arrays, it) }
}

/** The text and the arrays of each pack of a bundle. */
private fun packsIn(folder: Folder): List<Pair<String, ByteArray>> {
    val manifest = folder.read(MANIFEST_NAME)?.let { Json.parse(String(it, Charsets.UTF_8)) }
    val packs = manifest?.find("parity") ?: return listOf()
    return packs.keys().map { name ->
        val path = packs[name, name].text()
        val index = folder.read("$path/index.json")
        val arrays = folder.read("$path/arrays.bin")
        if (index == null || arrays == null) throw ContractError("The app lacks the parity pack $path. $REMEDY")
        Pair(String(index, Charsets.UTF_8), arrays)
    }
}

/** The results in a few words for the screen. */
fun describe(results: List<CaseResult>): String {
    val failed = results.filter { it.hasFailed }
    val numLeftOut = results.count { it.isLeftOut }
    val counts = "${results.size - failed.size - numLeftOut} cases as in Python, ${failed.size} differ, $numLeftOut left out."
    return (listOf(counts) + failed.take(NUM_TOLD).map { "${it.name}: ${it.words}" }).joinToString("\n")
}
