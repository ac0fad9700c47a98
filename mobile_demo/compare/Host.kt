/** The Kotlin core for compare.py, which says what goes over the pipe. */
package keraspose

import java.io.BufferedInputStream
import java.io.BufferedOutputStream
import java.io.DataInputStream
import java.io.EOFException
import java.nio.ByteBuffer
import java.nio.ByteOrder

private val input = DataInputStream(BufferedInputStream(System.`in`))
private val output = BufferedOutputStream(System.out)

private fun read(length: Int) = ByteArray(length).also { input.readFully(it) }

private fun readWords(): List<String> {
    val line = StringBuilder()
    while (true) {
        val letter = input.readByte().toChar()
        if (letter == '\n') return line.split(" ")
        line.append(letter)
    }
}

private fun send(line: String, values: FloatArray) {
    output.write("$line ${values.size}\n".toByteArray())
    val bytes = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
    for (value in values) bytes.putFloat(value)
    output.write(bytes.array())
    output.flush()
}

/** A network that compare.py runs. */
private fun remote(name: String): Run = { values ->
    send("run $name", values)
    val outputs = HashMap<String, FloatArray>()
    for (i in 0 until readWords()[1].toInt()) {
        val words = readWords()
        val bytes = ByteBuffer.wrap(read(4 * words[1].toInt())).order(ByteOrder.LITTLE_ENDIAN)
        outputs[words[0]] = FloatArray(words[1].toInt()) { bytes.getFloat() }
    }
    outputs
}

fun main() {
    val (_, length, poseName, detectorName, boxThreshold) = readWords().also { opened = it }
    val json = String(read(length.toInt()))
    val contract = readContract(json, poseName, null) as PoseContract
    val detector = DetectorNetwork(readContract(json, detectorName, null) as DetectorContract, remote("detector"))
    val findPeople = findPeopleBy(detector, boxThreshold.toFloat())
    val follower = RegionFollower(PoseEstimator(contract, remote("pose"), findPeople), opened[5].toInt())
    val tracker = OksTracker(contract.skeleton.sigmas)
    val smoother = OneEuroSmoother()
    try {
        while (true) {
            val (_, width, height, seconds) = readWords()
            val size = Size(height.toInt(), width.toInt())
            val image = Picture(size, 3, read(3 * size.height * size.width))
            val people = smoother.next(tracker.update(follower.next(image)), seconds.toDouble())
            send("people ${people.size}", people.flatMap { values(it) }.toFloatArray())
        }
    } catch (end: EOFException) {
        return
    }
}

private var opened = listOf<String>()

private fun values(person: Person): List<Float> {
    val box = listOf(person.box.x1, person.box.y1, person.box.x2, person.box.y2).map { it.toFloat() }
    return box + listOf(person.score, person.trackId.toFloat()) + person.keypointsXy.toList()
}
