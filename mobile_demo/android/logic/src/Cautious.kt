/** Drivers that end the app: asked once, not at every start. */
package keraspose.phone

import java.io.File

/** Runs after which a driver is believed not to end the app. */
private const val NUM_PROVEN = 3

/**
 * Accelerators of which a note lies on the disk while they are tried.
 *
 * A driver that crashes takes the app with it, and nothing in the app can catch that; but the note stays. Where one lies, the
 * accelerator is refused, with that reason. The CPU is never noted.
 *
 * @param folder for the notes.
 * @param isBold whether to try again what ended the app: the user asks for it by name.
 */
class Cautious(private val accelerators: Accelerators, private val folder: File, private val isBold: Boolean) : Accelerators {
    override fun absence(accelerator: Accelerator) = accelerators.absence(accelerator)

    override fun open(model: CheckedModel, placement: Placement): Network {
        if (placement.accelerator == Accelerator.CPU) return accelerators.open(model, placement)
        val kind = if (placement.isWhole) "whole" else "helped"
        val note = File(folder, "${sha256(model.bytes)}.${placement.accelerator.name}.$kind.tried")
        check(isBold || !note.exists()) { "the app ended when it was tried last; choose it by name to try again" }
        folder.mkdirs()
        note.createNewFile()
        val network = try {
            accelerators.open(model, placement)
        } catch (error: Throwable) {
            note.delete() // it said so and lives
            throw error
        }
        return Proving(network, note)
    }

    private class Proving(private val network: Network, private val note: File) : Network {
        private var numRuns = 0

        override fun run(values: FloatArray): Map<String, FloatArray> =
            network.run(values).also { if (++numRuns == NUM_PROVEN) note.delete() }

        override fun close() {
            network.close()
            note.delete()
        }
    }
}
