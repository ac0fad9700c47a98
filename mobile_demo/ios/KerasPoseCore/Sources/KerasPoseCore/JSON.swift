/// JSON (RFC 8259), as much as contracts need.
///
/// Foundation's own reader tells numbers from true and false by Objective-C classes that Linux does not have; here a
/// value is what the text says, on every platform.
public enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// Reads a document.
    ///
    /// - Throws: `ContractError` that says at which byte it stops being JSON.
    public init<Bytes: Sequence>(bytes: Bytes) throws where Bytes.Element == UInt8 {
        var reader = JSONReader(bytes: Array(bytes))
        self = try reader.document()
    }

    public init(_ text: String) throws { try self.init(bytes: text.utf8) }

    /// A member; nil where it is absent or null.
    public subscript(key: String) -> JSON? {
        guard case .object(let members) = self, let value = members[key], value != .null else { return nil }
        return value
    }

    /// A member that must be there.
    ///
    /// - Parameter owner: what it is a member of, for the message; the contract itself where nil.
    public func member(_ key: String, of owner: String? = nil) throws -> JSON {
        guard let value = self[key] else {
            throw ContractError("The contract lacks \(owner.map { "\($0).\(key)" } ?? key).")
        }
        return value
    }

    /// Names of the members, sorted; of no object none.
    public var keys: [String] {
        guard case .object(let members) = self else { return [] }
        return members.keys.sorted()
    }

    public func items() throws -> [JSON] {
        guard case .array(let items) = self else { throw wrong("a list") }
        return items
    }

    public func text() throws -> String {
        guard case .string(let text) = self else { throw wrong("a text") }
        return text
    }

    public func number() throws -> Double {
        guard case .number(let number) = self else { throw wrong("a number") }
        return number
    }

    public func integer() throws -> Int {
        guard let whole = Int(exactly: try number()) else { throw wrong("a whole number") }
        return whole
    }

    public func flag() throws -> Bool {
        guard case .bool(let flag) = self else { throw wrong("true or false") }
        return flag
    }

    public func texts() throws -> [String] { try items().map { try $0.text() } }
    public func numbers() throws -> [Double] { try items().map { try $0.number() } }
    public func integers() throws -> [Int] { try items().map { try $0.integer() } }

    /// [height, width], both at least 1.
    public func size() throws -> ImageSize {
        let sides = try integers()
        guard sides.count == 2, sides.allSatisfy({ $0 > 0 }) else { throw wrong("a [height, width]") }
        return ImageSize(height: sides[0], width: sides[1])
    }

    private func wrong(_ expected: String) -> ContractError {
        ContractError("The contract has \(shown) where \(expected) is expected.")
    }

    private var shown: String {
        switch self {
        case .null: return "null"
        case .bool(let flag): return String(flag)
        case .number(let number): return String(number)
        case .string(let text): return "\"\(text.prefix(40))\""
        case .array: return "a list"
        case .object: return "an object"
        }
    }
}

private struct JSONReader {
    /// Deeper than any contract; a file of brackets must not exhaust the stack.
    private static let maxDepth = 100

    private let bytes: [UInt8]
    private var at = 0
    private var depth = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws -> JSON {
        let parsed = try value()
        skipSpace()
        guard at == bytes.count else { throw failure }
        return parsed
    }

    private var failure: ContractError { ContractError("This is not JSON, at byte \(at).") }

    private mutating func skipSpace() {
        while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
    }

    /// The next byte that is no space, which stays.
    private mutating func peek() throws -> UInt8 {
        skipSpace()
        guard at < bytes.count else { throw failure }
        return bytes[at]
    }

    private mutating func take(_ expected: String) throws {
        guard bytes[at...].starts(with: expected.utf8) else { throw failure }
        at += expected.utf8.count
    }

    private mutating func value() throws -> JSON {
        switch try peek() {
        case UInt8(ascii: "{"): return .object(try members())
        case UInt8(ascii: "["): return .array(try elements())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): try take("true"); return .bool(true)
        case UInt8(ascii: "f"): try take("false"); return .bool(false)
        case UInt8(ascii: "n"): try take("null"); return .null
        default: return .number(try number())
        }
    }

    private mutating func members() throws -> [String: JSON] {
        var found: [String: JSON] = [:]
        try separated(from: "{", to: "}") { reader in
            guard try reader.peek() == UInt8(ascii: "\"") else { throw reader.failure }
            let key = try reader.string()
            _ = try reader.peek()
            try reader.take(":")
            found[key] = try reader.value()
        }
        return found
    }

    private mutating func elements() throws -> [JSON] {
        var found: [JSON] = []
        try separated(from: "[", to: "]") { reader in found.append(try reader.value()) }
        return found
    }

    private mutating func separated(from open: String, to close: Unicode.Scalar, item: (inout Self) throws -> Void) throws {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maxDepth else { throw failure }
        try take(open)
        if try peek() == UInt8(ascii: close) {
            at += 1
            return
        }
        while true {
            try item(&self)
            if try peek() == UInt8(ascii: close) { break }
            try take(",")
        }
        at += 1
    }

    private mutating func string() throws -> String {
        try take("\"")
        var found: [UInt8] = []
        while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
            if bytes[at] == UInt8(ascii: "\\") {
                at += 1
                found += Array(String(try escaped()).utf8)
            } else {
                found.append(bytes[at])
                at += 1
            }
        }
        try take("\"")
        return String(decoding: found, as: UTF8.self)
    }

    private mutating func escaped() throws -> Unicode.Scalar {
        guard at < bytes.count else { throw failure }
        let letter = Unicode.Scalar(bytes[at])
        at += 1
        switch letter {
        case "\"", "\\", "/": return letter
        case "b": return "\u{08}"
        case "f": return "\u{0C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "u": return try scalar()
        default: throw failure
        }
    }

    /// The four digits of a \u, or the eight of two that belong together (UTF-16).
    private mutating func scalar() throws -> Unicode.Scalar {
        let first = try hexadecimal()
        guard (0xD800..<0xDC00).contains(first) else {
            guard let scalar = Unicode.Scalar(first) else { throw failure }
            return scalar
        }
        try take("\\u")
        let second = try hexadecimal()
        guard (0xDC00..<0xE000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw failure }
        return scalar
    }

    private mutating func hexadecimal() throws -> UInt32 {
        guard at + 4 <= bytes.count,
            let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
        else { throw failure }
        at += 4
        return code
    }

    private mutating func number() throws -> Double {
        let start = at
        while at < bytes.count, "+-.0123456789eE".utf8.contains(bytes[at]) { at += 1 }
        guard let number = Double(String(decoding: bytes[start..<at], as: UTF8.self)) else { throw failure }
        return number
    }
}
