/// An amount of storage as the API writes it: `16Mi`, `1.5G`, `128974848`, `129e6`.
///
/// The text is kept, since the server hands back what it was given; amounts are compared by value.
/// Source: k8s.io/apimachinery, `resource.Quantity`.
public struct Quantity: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// As it was written.
    public let text: String
    /// The amount, rounded up to whole bytes.
    public let bytes: Int64

    /// Reads a quantity; nil where the text is none, is negative, or is more than 64 bits can say.
    public init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "+") }
        let suffix = text.dropFirst(digits.count)
        guard let amount = Double(digits), amount >= 0 else { return nil }
        let factor: Double
        switch suffix {
        case "": factor = 1
        case "m": factor = 0.001
        case "k": factor = 1e3
        case "M": factor = 1e6
        case "G": factor = 1e9
        case "T": factor = 1e12
        case "P": factor = 1e15
        case "E": factor = 1e18
        case "Ki": factor = 0x1p10
        case "Mi": factor = 0x1p20
        case "Gi": factor = 0x1p30
        case "Ti": factor = 0x1p40
        case "Pi": factor = 0x1p50
        case "Ei": factor = 0x1p60
        default:
            guard suffix.first == "e" || suffix.first == "E", let exponent = Int(suffix.dropFirst()),
                (-30...18).contains(exponent), let power = Double("1e\(exponent)")
            else { return nil }
            factor = power
        }
        let value: Double = (amount * factor).rounded(.up)
        guard value < 0x1p63 else { return nil }
        self.text = text
        bytes = Int64(value)
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
