import FoundationEssentials
import Kubernetes

extension JSON {
    /// The value as text with sorted keys; several times faster than `text`, since no encoder is asked.
    var compactText: Data {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1024)
        append(to: &bytes)
        return Data(bytes)
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .integer(let value): bytes += String(value).utf8
        case .number(let value): bytes += String(value).utf8
        case .string(let value): Self.append(value, to: &bytes)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            var first = true
            for key in members.keys.sorted() {
                guard let value = members[key] else { continue }
                if !first { bytes.append(UInt8(ascii: ",")) }
                first = false
                Self.append(key, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                value.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(quote)
        let start = bytes.count
        bytes += text.utf8
        // Most texts hold nothing to escape.
        for index in start..<bytes.count where bytes[index] < space || bytes[index] == quote || bytes[index] == slash {
            bytes.removeSubrange(start...)
            for byte in text.utf8 { escape(byte, into: &bytes) }
            break
        }
        bytes.append(quote)
    }

    private static func escape(_ byte: UInt8, into bytes: inout [UInt8]) {
        switch byte {
        case quote: bytes += "\\\"".utf8
        case slash: bytes += "\\\\".utf8
        case UInt8(ascii: "\n"): bytes += "\\n".utf8
        case UInt8(ascii: "\r"): bytes += "\\r".utf8
        case UInt8(ascii: "\t"): bytes += "\\t".utf8
        case 0..<space: bytes += ("\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16)).utf8
        default: bytes.append(byte)
        }
    }

    private static let quote = UInt8(ascii: "\"")
    private static let slash = UInt8(ascii: "\\")
    private static let space = UInt8(ascii: " ")
}
