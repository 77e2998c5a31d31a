/// An amount of storage as the API writes it: `16Mi`, `1.5G`, `128974848`, `129e6`.
///
/// The text is kept, since the server hands back what it was given; amounts are compared by value.
/// Source: k8s.io/apimachinery, `resource.Quantity`.
public struct Quantity: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// As it was written.
    public let text: String
    /// The amount, rounded up to whole bytes.
    public let bytes: Int64

    /// Reads a quantity; nil where the text is none, or is negative.
    ///
    /// More than 64 bits can say counts as the most that they can, as for the API server.
    public init?(_ text: String) {
        let unsigned = text.utf8.first == UInt8(ascii: "+") ? text.utf8.dropFirst() : text.utf8[...]
        let number = unsigned.prefix { Self.digit($0) != nil || $0 == UInt8(ascii: ".") }
        guard number.contains(where: { Self.digit($0) != nil }), number.count(where: { $0 == UInt8(ascii: ".") }) <= 1,
            let suffix = Self.suffix(Substring(unsigned.dropFirst(number.count)))
        else { return nil }
        // The amount is mantissa · 2^bits · 10^power. It has 19 digits of the text, which 64 bits hold, rounded up.
        var (mantissa, bits, power) = (UInt128(0), suffix.bits, suffix.power)
        var isFraction = false
        var isMore = false
        for character in number {
            guard let digit = Self.digit(character) else {
                isFraction = true
                continue
            }
            let hasRoom = mantissa < 1_000_000_000_000_000_000
            if hasRoom { mantissa = mantissa * 10 + UInt128(digit) } else if digit > 0 { isMore = true }
            if hasRoom == isFraction { power += isFraction ? -1 : 1 }
        }
        if isMore { mantissa += 1 }
        var value = mantissa << UInt128(bits)
        while power > 0, value > 0, value <= Int64.max {
            value *= 10
            power -= 1
        }
        while power < 0, value > 1 {
            value = (value + 9) / 10
            power += 1
        }
        self.text = text
        bytes = Int64(clamping: value)
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(character) ? character - UInt8(ascii: "0") : nil
    }

    /// The factor that a suffix stands for, as powers of two and ten.
    private static func suffix(_ text: Substring) -> (bits: Int, power: Int)? {
        switch text {
        case "": (0, 0)
        case "n": (0, -9)
        case "u": (0, -6)
        case "m": (0, -3)
        case "k": (0, 3)
        case "M": (0, 6)
        case "G": (0, 9)
        case "T": (0, 12)
        case "P": (0, 15)
        case "E": (0, 18)
        case "Ki": (10, 0)
        case "Mi": (20, 0)
        case "Gi": (30, 0)
        case "Ti": (40, 0)
        case "Pi": (50, 0)
        case "Ei": (60, 0)
        default:
            if text.first == "e" || text.first == "E", let exponent = Int(text.dropFirst()) {
                // Beyond these, an amount is nothing or too much anyway.
                (0, min(max(exponent, -1000), 1000))
            } else {
                nil
            }
        }
    }

    public var description: String { text }

    public static func == (left: Quantity, right: Quantity) -> Bool { left.bytes == right.bytes }
    public static func < (left: Quantity, right: Quantity) -> Bool { left.bytes < right.bytes }
    public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}

extension Quantity: Decodable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        // The server writes strings; manifests may hold bare numbers.
        let text: String
        do { text = try container.decode(String.self) } catch { text = String(try container.decode(Int64.self)) }
        guard let value = Quantity(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is no quantity")
        }
        self = value
    }
}
