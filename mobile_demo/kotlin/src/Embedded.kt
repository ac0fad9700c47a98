/**
 * The contract inside a `.tflite` file, by which one file travels alone; docs/contract.md, "Where it is".
 *
 * The file is a flatbuffer. A table begins with the signed way back to its vtable, which says where in the table its
 * fields are; a reference is the way forward. Nothing of it is believed unchecked.
 */
package keraspose

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest

private const val NAME = "KERAS_POSE_CONTRACT"
private const val IDENTIFIER = "TFL3"

// Fields of Model, of Metadata and of Buffer (TFLite's schema, version 3).
private const val BUFFERS = 4
private const val METADATA = 6
private const val META_NAME = 0
private const val META_BUFFER = 1
private const val DATA = 0

/** Contracts have some thousand bytes. */
private const val MAX_BYTES = 1 shl 20

/** Bytes of a file: from [start] on, [length] of them. */
private class Span(val start: Int, val length: Int)

/**
 * Reads the contract inside a file, and holds the file against it.
 *
 * @return an entry as of `pose_model.json`, with its schema version; null for a file without one.
 * @throws ContractError for a damaged file, and one that is not what its contract was written for.
 */
internal fun embeddedContract(fileName: String, file: ByteArray): Json? {
    val span = try {
        findContract(file) ?: return null
    } catch (error: IndexOutOfBoundsException) {
        throw ContractError("$fileName is damaged: ${error.message}.")
    }
    val json = Json.parse(String(file, span.start, span.length, Charsets.UTF_8))
    checkVersion(json)
    val promised = json.find("embedded")?.find("sha256_with_this_text_as_zeros")?.text()
    if (promised != hashWithout(file, span)) {
        throw ContractError("$fileName is not the file that the contract inside was written for. Export it anew.")
    }
    return json
}

private fun hashWithout(file: ByteArray, span: Span): String {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update(file, 0, span.start)
    digest.update(ByteArray(span.length))
    digest.update(file, span.start + span.length, file.size - span.start - span.length)
    return hexadecimal(digest.digest())
}

private fun findContract(file: ByteArray): Span? {
    if (file.size < 8 || String(file, 4, 4, Charsets.ISO_8859_1) != IDENTIFIER) return null
    val reader = FlatReader(file)
    val root = reader.follow(0)
    val entry = reader.tables(root, METADATA).firstOrNull { reader.text(it, META_NAME, NAME.length) == NAME } ?: return null
    val number = reader.field(entry, META_BUFFER)?.let { reader.int(it) } ?: 0
    val buffer = reader.tables(root, BUFFERS).elementAtOrNull(number) ?: throw IndexOutOfBoundsException("buffer $number is not there")
    val found = reader.vector(buffer, DATA, 1)
    if (found.length > MAX_BYTES) throw IndexOutOfBoundsException("a contract of ${found.length} bytes")
    return found
}

/** Numbers of a flatbuffer; positions count from its beginning, and are checked wherever they come from. */
private class FlatReader(private val file: ByteArray) {
    private val numbers = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN)

    fun int(position: Int) = numbers.getInt(checked(position.toLong(), 4))

    private fun short(position: Int) = numbers.getShort(checked(position.toLong(), 2)).toInt() and 0xffff

    /** @param size may be larger than any file: it comes from the file itself. */
    private fun checked(position: Long, size: Long): Int {
        if (position < 0 || size < 0 || position + size > file.size) {
            throw IndexOutOfBoundsException("$size bytes at $position of ${file.size}")
        }
        return position.toInt()
    }

    /** Where the reference at a position leads. */
    fun follow(position: Int) = checked(position + (int(position).toLong() and 0xffffffffL), 1)

    /** Where a table's field is; null where it is left out. */
    fun field(table: Int, index: Int): Int? {
        val vtable = checked(table.toLong() - int(table), 2)
        val slot = 4 + 2 * index
        if (slot + 2 > short(vtable)) return null
        val offset = short(vtable + slot)
        return if (offset == 0) null else table + offset
    }

    /** A vector's items, or a text's bytes; none where the field is left out. */
    fun vector(table: Int, index: Int, itemSize: Long): Span {
        val start = follow(field(table, index) ?: return Span(0, 0))
        val length = int(start).toLong() and 0xffffffffL
        return Span(checked(start + 4L, length * itemSize), length.toInt())
    }

    fun tables(table: Int, index: Int): Sequence<Int> {
        val items = vector(table, index, 4)
        return (0 until items.length).asSequence().map { follow(items.start + 4 * it) }
    }

    /** A text that is no longer than a wish, which then cannot be it. */
    fun text(table: Int, index: Int, longest: Int): String {
        val span = vector(table, index, 1)
        return if (span.length > longest) "" else String(file, span.start, span.length, Charsets.ISO_8859_1)
    }
}
