/** Which models the app has, and whether they are whole; SPEC.md, section 12, and docs/contract.md, "A bundle for apps". */
package keraspose.phone

import keraspose.BottomUpContract
import keraspose.Contract
import keraspose.ContractError
import keraspose.CrowdContract
import keraspose.DetectorContract
import keraspose.Json
import keraspose.NoContractError
import keraspose.OneStageContract
import keraspose.PoseContract
import keraspose.readContract
import java.security.MessageDigest

private const val BUNDLE_FORMAT = "keras_pose mobile bundle"
private const val BUNDLE_VERSION = "1"
internal const val REMEDY = "Fill the app anew by export/bundle_mobile.py, and build it again."
const val POSE_TASK = "top_down"
const val ONE_STAGE_TASK = "one_stage"
const val BOTTOM_UP_TASK = "bottom_up"
const val DETECTOR_TASK = "detection"
/** Tasks of files that find poses. */
val POSE_TASKS = listOf(POSE_TASK, ONE_STAGE_TASK, BOTTOM_UP_TASK)
const val CONTRACT_NAME = "pose_model.json"
const val MANIFEST_NAME = "manifest.json"

/** A folder of model files, wherever it is. */
interface Folder {
    /** Name for the screen. */
    val title: String

    /** Names of the files in it, without those of folders below. */
    fun list(): List<String>

    /** A file's content; null where there is none. */
    fun read(path: String): ByteArray?
}

/** A model that can be chosen. */
class ModelEntry(val folder: Folder, val fileName: String, val task: String, val title: String) {
    /** Whether it sees whole pictures: it takes no detector, and follows no regions. */
    val findsEverybody get() = task == ONE_STAGE_TASK || task == BOTTOM_UP_TASK
}

/** What [folder] holds. @property boxThreshold score above which the detector's boxes are believed. */
class Bundle(val entries: List<ModelEntry>, val boxThreshold: Float?)

/** A contract, and the file that it was held against. */
class CheckedModel(val contract: Contract, val bytes: ByteArray)

/**
 * Reads the app's own folder, and holds every file that the app uses against the manifest.
 *
 * @throws ContractError in words for the user, who sees which file is missing or another.
 */
fun openBundle(folder: Folder): Bundle {
    val manifest = Json.parse(text(folder, MANIFEST_NAME))
    if (manifest.find("format")?.text() != BUNDLE_FORMAT) {
        throw ContractError("$MANIFEST_NAME is not that of a bundle of models. $REMEDY")
    }
    val version = manifest.find("format_version")?.text() ?: "none"
    if (version.substringBefore('.') != BUNDLE_VERSION) {
        throw ContractError("The models come as a bundle of version $version; this app reads $BUNDLE_VERSION. $REMEDY")
    }
    val files = manifest["files", "files"]
    for (name in files.keys()) {
        // Parity packs are read when somebody asks for the check.
        if (!name.startsWith("parity/")) checkFile(folder, name, files[name, name])
    }
    val entries = modelsIn(folder)
    val defaults = manifest["models", "models"].let { models -> models.keys().map { models[it, it].text() } }
    for (name in defaults) {
        if (entries.none { it.fileName == name }) throw ContractError("$CONTRACT_NAME does not describe $name. $REMEDY")
    }
    val (task, pose) = Pair(manifest.find("task")?.text() ?: POSE_TASK, manifest["models", "models"]["models.pose", "pose"].text())
    val actual = entries.first { it.fileName == pose }.task
    if (actual != task) throw ContractError("$MANIFEST_NAME is of a model for $task, and $pose is one for $actual. $REMEDY")
    val threshold = manifest.find("settings")?.find("box_threshold")?.number()?.toFloat()
    return Bundle(entries.sortedByDescending { it.fileName in defaults }, threshold)
}

private fun text(folder: Folder, name: String): String {
    val bytes = folder.read(name) ?: throw ContractError("The app has no models: $name is missing. $REMEDY")
    return String(bytes, Charsets.UTF_8)
}

private fun checkFile(folder: Folder, name: String, said: Json) {
    val bytes = folder.read(name) ?: throw ContractError("The file $name of the app's models is missing. $REMEDY")
    val actual = sha256(bytes)
    val promised = said["files.sha256", "sha256"].text()
    if (bytes.size != said["files.bytes", "bytes"].integer() || actual != promised) {
        throw ContractError(
            "$name is not the file that $MANIFEST_NAME names: ${bytes.size} bytes, SHA-256 ${actual.take(12)}, " +
                "not ${promised.take(12)}. $REMEDY"
        )
    }
}

fun sha256(bytes: ByteArray): String =
    MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }

/**
 * Lists the models of any folder: those that its contract names, then files that carry their own.
 *
 * What does not fit is listed, too, and refused when it is chosen; a file without any contract is not.
 */
fun modelsIn(folder: Folder): List<ModelEntry> {
    val json = contractText(folder)?.let { Json.parse(it) }
    val named = json?.find("models")?.keys() ?: listOf()
    val alone = folder.list().filter { it.endsWith(".tflite") && it !in named }
    return named.map { describedEntry(folder, it, json!!["models", "models"][it, it]) } + alone.mapNotNull { entryAlone(folder, it) }
}

private fun describedEntry(folder: Folder, name: String, entry: Json): ModelEntry {
    val size = entry.find("input")?.find("shape")?.items()?.drop(1)?.take(2)?.joinToString("x") { it.integer().toString() }
    val details = listOfNotNull(entry.find("quantization")?.text(), size).joinToString()
    val model = entry.find("model")?.text() ?: name
    return ModelEntry(folder, name, entry.find("task")?.text() ?: POSE_TASK, "$model ($details), $name${folder.title}")
}

private fun entryAlone(folder: Folder, name: String): ModelEntry? {
    val contract = try {
        readContract(null, name, folder.read(name) ?: return null)
    } catch (error: NoContractError) {
        return null
    } catch (error: ContractError) {
        return ModelEntry(folder, name, POSE_TASK, name + folder.title) // whose words are shown when it is chosen
    }
    val size = contract.inputSize
    val title = "${contract.model} (${contract.quantization}, ${size.height}x${size.width}), $name${folder.title}"
    val task = when (contract) {
        is PoseContract -> POSE_TASK
        is DetectorContract -> DETECTOR_TASK
        is OneStageContract -> ONE_STAGE_TASK
        is BottomUpContract -> BOTTOM_UP_TASK
    }
    return ModelEntry(folder, name, task, title)
}

private fun contractText(folder: Folder) = folder.read(CONTRACT_NAME)?.let { String(it, Charsets.UTF_8) }

/**
 * Reads a chosen model, and holds its bytes against its contract.
 *
 * @param tasks those that will do: [POSE_TASKS], or [DETECTOR_TASK] alone.
 * @throws ContractError in words for the user.
 */
fun readModel(entry: ModelEntry, tasks: List<String>): CheckedModel {
    if (entry.task !in tasks) throw ContractError("${entry.fileName} is a model for ${entry.task}, not for ${tasks.joinToString(" or ")}.")
    val bytes = entry.folder.read(entry.fileName) ?: throw ContractError("The file ${entry.fileName} is missing.")
    val contract = readContract(contractText(entry.folder), entry.fileName, bytes)
    checkType(contract.input, INPUT_TYPES)
    for (output in outputsOf(contract)) checkType(output, OUTPUT_TYPES)
    return CheckedModel(contract, bytes)
}

/** All outputs of a model. */
fun outputsOf(contract: Contract) = when (contract) {
    is PoseContract -> listOfNotNull(contract.output, contract.visibility?.output)
    is DetectorContract -> contract.levels.flatMap { listOf(it.scores, it.distances) }
    is CrowdContract -> contract.outputs
}
