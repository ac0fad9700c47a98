/** JSON (RFC 8259), as much as contracts need. */
package keraspose

/** One value: null, a Boolean, a Double, a String, a List or a Map of such values. */
class Json(val value: Any?) {
    /** A member that must be there; [name] is what it is called when it is missing. */
    operator fun get(name: String, key: String): Json = find(key) ?: throw ContractError("The contract lacks $name.")

    /** A member, or null where it is absent or null. */
    fun find(key: String): Json? = (value as? Map<*, *>)?.get(key)?.let { Json(it) }

    fun keys(): List<String> = (value as? Map<*, *>)?.keys?.map { it.toString() } ?: listOf()

    fun items(): List<Json> = (value as? List<*> ?: wrong("a list")).map { Json(it) }

    fun text(): String = value as? String ?: wrong("a text")

    fun number(): Double = value as? Double ?: wrong("a number")

    fun integer(): Int = number().let { if (it == Math.rint(it)) it.toInt() else wrong("a whole number") }

    fun flag(): Boolean = value as? Boolean ?: wrong("true or false")

    fun texts() = items().map { it.text() }

    fun numbers() = items().map { it.number() }

    fun integers() = items().map { it.integer() }

    private fun wrong(expected: String): Nothing =
        throw ContractError("The contract has ${value.toString().take(40)} where $expected is expected.")

    companion object {
        /** Reads a document; throws [ContractError] where it stops being JSON. */
        fun parse(text: String): Json = Json(JsonReader(text).document())
    }
}

private class JsonReader(private val text: String) {
    private var at = 0

    fun document(): Any? {
        val value = value()
        space()
        if (at != text.length) fail()
        return value
    }

    private fun fail(): Nothing = throw ContractError("This is not JSON, at character $at.")

    private fun space() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun peek(): Char {
        space()
        return if (at < text.length) text[at] else fail()
    }

    private fun take(expected: String) {
        if (!text.startsWith(expected, at)) fail()
        at += expected.length
    }

    private fun value(): Any? = when (peek()) {
        '{' -> members()
        '[' -> elements()
        '"' -> string()
        't' -> true.also { take("true") }
        'f' -> false.also { take("false") }
        'n' -> null.also { take("null") }
        else -> number()
    }

    private fun members(): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        separated('{', '}') {
            peek()
            val key = string()
            peek()
            take(":")
            found[key] = value()
        }
        return found
    }

    private fun elements(): List<Any?> {
        val found = ArrayList<Any?>()
        separated('[', ']') { found.add(value()) }
        return found
    }

    private fun separated(open: Char, close: Char, item: () -> Unit) {
        take(open.toString())
        if (peek() == close) {
            at++
            return
        }
        while (true) {
            item()
            if (peek() == close) break
            take(",")
        }
        at++
    }

    private fun string(): String {
        take("\"")
        val found = StringBuilder()
        while (at < text.length && text[at] != '"') {
            val character = text[at++]
            if (character != '\\') found.append(character) else found.append(escaped())
        }
        take("\"")
        return found.toString()
    }

    private fun escaped(): Char {
        val character = if (at < text.length) text[at++] else fail()
        val plain = "\"\\/bfnrt".indexOf(character)
        if (plain >= 0) return "\"\\/\b\u000C\n\r\t"[plain]
        if (character != 'u' || at + 4 > text.length) fail()
        val code = text.substring(at, at + 4).toIntOrNull(16) ?: fail()
        at += 4
        return code.toChar()
    }

    private fun number(): Double {
        val start = at
        while (at < text.length && text[at] in "+-.0123456789eE") at++
        return text.substring(start, at).toDoubleOrNull() ?: fail()
    }
}
