import FoundationEssentials

/// What a WebSocket's other end does that it must not do.
struct WebSocketViolation: Error, Equatable {
    /// Why the connection is closed (RFC 6455, 7.4.1).
    enum Code: UInt16 {
        case protocolError = 1002
        case unsupported = 1003
        case notUTF8 = 1007
        case tooLarge = 1009
    }

    var code: Code
    /// What it does, as a verb phrase: `sends a masked frame`.
    var message: String
}

/// The frames of a WebSocket (RFC 6455, 5.2).
enum WebSocketFrame {
    enum Opcode: UInt8 {
        case continuation = 0
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10

        var isControl: Bool { rawValue >= 8 }
    }

    /// How many bytes a frame may hold that is no message or part of one.
    static let controlLimit = 125

    /// A frame from a client to a server, whole and masked.
    static func bytes(_ opcode: Opcode, _ payload: Data, mask: [UInt8] = randomMask()) -> Data {
        var frame = Data(capacity: payload.count + 14)
        frame.append(0x80 | opcode.rawValue)
        switch payload.count {
        case ...125:
            frame.append(0x80 | UInt8(payload.count))
        case ...0xFFFF:
            frame.append(0x80 | 126)
            for shift in [8, 0] { frame.append(UInt8(truncatingIfNeeded: payload.count >> shift)) }
        default:
            frame.append(0x80 | 127)
            for shift in stride(from: 56, through: 0, by: -8) {
                frame.append(UInt8(truncatingIfNeeded: payload.count >> shift))
            }
        }
        frame.append(contentsOf: mask)
        let start = frame.count
        frame.append(payload)
        frame.withUnsafeMutableBytes { bytes in
            for index in start..<bytes.count { bytes[index] ^= mask[(index - start) & 3] }
        }
        return frame
    }

    /// The frame that closes a connection.
    static func closing(_ code: UInt16) -> Data {
        bytes(.close, Data([UInt8(code >> 8), UInt8(code & 0xFF)]))
    }

    /// So that nobody who chooses what is sent chooses the bytes on the wire (RFC 6455, 10.3).
    private static func randomMask() -> [UInt8] { (0..<4).map { _ in UInt8.random(in: 0...255) } }
}

/// What a server says on a WebSocket, from bytes that arrive in pieces.
struct WebSocketReader {
    enum Event: Equatable {
        case message(Data)
        case ping(Data)
        case pong
        /// The connection is closed; with no code where none was said.
        case closed(code: UInt16?, reason: String)
    }

    /// How many bytes a frame and a message may hold.
    static let limit = 1 << 20

    private var unread = Data()
    /// The parts so far of a message that comes in several frames.
    private var parts: Data?

    mutating func append(_ bytes: Data) {
        // Lets go of what was read.
        if unread.startIndex > 0 { unread = Data(unread) }
        unread.append(bytes)
    }

    /// The next event, or nil where more bytes are needed.
    mutating func next() throws(WebSocketViolation) -> Event? {
        while let head = try head() {
            guard unread.count >= head.size + head.length else { return nil }
            let payload = Data(unread.dropFirst(head.size).prefix(head.length))
            unread = unread.dropFirst(head.size + head.length)
            switch head.opcode {
            case .ping: return .ping(payload)
            case .pong: return .pong
            case .close: return try Self.closed(payload)
            case .text, .binary, .continuation:
                let message = (parts ?? Data()) + payload
                parts = head.isFinal ? nil : message
                if head.isFinal { return .message(message) }
            }
        }
        return nil
    }

    private struct Head {
        var isFinal: Bool
        var opcode: WebSocketFrame.Opcode
        /// Of the head itself.
        var size: Int
        /// Of what follows.
        var length: Int
    }

    /// The head of the next frame, nil where it is not all here; nothing is read away.
    private func head() throws(WebSocketViolation) -> Head? {
        guard unread.count >= 2 else { return nil }
        let (first, second) = (unread[unread.startIndex], unread[unread.startIndex + 1])
        guard first & 0x70 == 0 else { throw Self.broken("sets bits that are reserved for extensions") }
        guard let opcode = WebSocketFrame.Opcode(rawValue: first & 0x0F) else {
            throw Self.broken("sends a frame of the unknown kind \(first & 0x0F)")
        }
        guard second & 0x80 == 0 else { throw Self.broken("sends a masked frame") }
        let isFinal = first & 0x80 != 0
        try checkOrder(opcode, isFinal: isFinal, isLong: second > WebSocketFrame.controlLimit)

        let lengthSize = second == 127 ? 8 : second == 126 ? 2 : 0
        guard unread.count >= 2 + lengthSize else { return nil }
        let length = unread.dropFirst(2).prefix(lengthSize).reduce(lengthSize == 0 ? UInt64(second) : 0) {
            $0 << 8 | UInt64($1)
        }
        guard lengthSize != 2 || length > 125, lengthSize != 8 || length > 0xFFFF else {
            throw Self.broken("writes a length with more bytes than it needs")
        }
        guard length <= Self.limit, (parts?.count ?? 0) + Int(length) <= Self.limit else {
            let what = length > Self.limit ? "a frame" : "a message"
            throw WebSocketViolation(code: .tooLarge, message: "sends \(what) of more than \(Self.limit >> 20) MiB")
        }
        return Head(isFinal: isFinal, opcode: opcode, size: 2 + lengthSize, length: Int(length))
    }

    /// Whether a frame of this kind may come now.
    private func checkOrder(_ opcode: WebSocketFrame.Opcode, isFinal: Bool, isLong: Bool) throws(WebSocketViolation) {
        if opcode.isControl {
            guard isFinal else { throw Self.broken("sends a control frame in parts") }
            guard !isLong else {
                throw Self.broken("sends a control frame of more than \(WebSocketFrame.controlLimit) bytes")
            }
            return
        }
        guard (opcode == .continuation) == (parts != nil) else {
            throw Self.broken(
                parts == nil ? "goes on with a message that it has not begun" : "begins a message within another"
            )
        }
        guard opcode != .text else {
            throw WebSocketViolation(code: .unsupported, message: "sends text where only bytes are understood")
        }
    }

    private static func closed(_ payload: Data) throws(WebSocketViolation) -> Event {
        guard !payload.isEmpty else { return .closed(code: nil, reason: "") }
        guard payload.count > 1 else { throw broken("closes the connection with half a code") }
        let code = payload.prefix(2).reduce(0) { $0 << 8 | UInt16($1) }
        guard (1000...1003).contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code) else {
            throw broken("closes the connection with the code \(code), which nobody may send")
        }
        guard let reason = String(validating: payload.dropFirst(2), as: UTF8.self) else {
            throw WebSocketViolation(code: .notUTF8, message: "closes the connection with a reason that is no UTF-8")
        }
        return .closed(code: code, reason: reason)
    }

    private static func broken(_ message: String) -> WebSocketViolation {
        WebSocketViolation(code: .protocolError, message: message)
    }
}
