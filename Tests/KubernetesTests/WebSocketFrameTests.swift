import Foundation
import Testing

@testable import Kubernetes

@Suite("Frames of WebSockets")
struct WebSocketFrameTests {
    /// What a reader makes of bytes, of which the first are a head.
    private func read(_ head: [UInt8], _ payload: Data = Data(), then more: [UInt8] = []) throws -> [WebSocketReader
        .Event]
    {
        var reader = WebSocketReader()
        reader.append(Data(head) + payload + Data(more))
        var events: [WebSocketReader.Event] = []
        while let event = try reader.next() { events.append(event) }
        return events
    }

    private func violation(_ head: [UInt8], _ payload: Data = Data(), then more: [UInt8] = []) -> WebSocketViolation? {
        #expect(throws: WebSocketViolation.self) { try read(head, payload, then: more) }
    }

    @Test(
        "have a length of one byte, of two or of eight",
        arguments: [
            (0, [0x82, 0]), (125, [0x82, 125]), (126, [0x82, 126, 0, 126]), (65535, [0x82, 126, 0xFF, 0xFF]),
            (65536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), (1 << 20, [0x82, 127, 0, 0, 0, 0, 0, 16, 0, 0]),
        ]
    )
    func lengths(count: Int, head: [UInt8]) throws {
        let payload = Data((0..<count).map { UInt8(truncatingIfNeeded: $0 / 3) })
        #expect(try read(head, payload) == [.message(payload)])
        // A byte too few is no message yet.
        if count > 0 { #expect(try read(head, payload.dropLast()).isEmpty) }

        let mask: [UInt8] = [1, 2, 0x80, 0xFF]
        let sent = WebSocketFrame.bytes(.binary, payload, mask: mask)
        var masked = head
        masked[1] |= 0x80
        #expect(Array(sent.prefix(head.count + 4)) == masked + mask)
        #expect(sent.count == head.count + 4 + count)
        let ends = [0, 1, 2, 3, 4, 5, count - 2, count - 1].filter { (0..<count).contains($0) }
        #expect(ends.allSatisfy { sent[head.count + 4 + $0] ^ mask[$0 % 4] == payload[$0] })
    }

    @Test("of ours are masked each time otherwise")
    func masks() {
        let frames = Set((0..<20).map { _ in WebSocketFrame.bytes(.binary, Data("abcd".utf8)) })
        #expect(frames.count > 1)
    }

    @Test("make one message where it comes in parts, and control frames come between them")
    func parts() throws {
        let bytes: [UInt8] = [2, 1, 7, 0x89, 1, 42, 0, 1, 8, 0x8A, 0, 0x80, 1, 9, 0x82, 1, 1]
        #expect(
            try read(bytes) == [.ping(Data([42])), .pong, .message(Data([7, 8, 9])), .message(Data([1]))]
        )
    }

    @Test("close a connection with a code and a reason, or without")
    func closes() throws {
        #expect(try read([0x88, 0]) == [.closed(code: nil, reason: "")])
        #expect(try read([0x88, 2, 0x03, 0xE8]) == [.closed(code: 1000, reason: "")])
        #expect(try read([0x88, 5, 0x03, 0xF3], Data("né".utf8)) == [.closed(code: 1011, reason: "né")])
        #expect(Array(WebSocketFrame.closing(1002)).prefix(2) == [0x88, 0x82])
    }

    @Test(
        "that break the rules are refused in words",
        arguments: [
            ([0xC2, 0], "sets bits that are reserved for extensions"),
            ([0x92, 0], "sets bits that are reserved for extensions"),
            ([0x83, 0], "sends a frame of the unknown kind 3"), ([0x8F, 0], "sends a frame of the unknown kind 15"),
            ([0x82, 0x81, 1, 2, 3, 4, 5], "sends a masked frame"),
            ([0x09, 0], "sends a control frame in parts"),
            ([0x89, 126, 0, 126], "sends a control frame of more than 125 bytes"),
            ([0x80, 0], "goes on with a message that it has not begun"),
            ([0x02, 0, 0x82, 0], "begins a message within another"),
            ([0x82, 126, 0, 125], "writes a length with more bytes than it needs"),
            ([0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "writes a length with more bytes than it needs"),
            ([0x88, 1, 3], "closes the connection with half a code"),
            ([0x88, 2, 0x03, 0xED], "closes the connection with the code 1005, which nobody may send"),
            ([0x88, 2, 0, 0], "closes the connection with the code 0, which nobody may send"),
        ]
    )
    func broken(bytes: [UInt8], words: String) {
        let found = violation(bytes)
        #expect(found?.message == words)
        #expect(found?.code == .protocolError)
    }

    @Test("with text, or a reason that is no UTF-8, are refused with the codes for that")
    func wrongContent() {
        #expect(violation([0x81, 0])?.code == .unsupported)
        #expect(violation([0x88, 3, 0x03, 0xE8, 0xFF])?.code == .notUTF8)
    }

    @Test("of more than 1 MiB are refused before they are there, and so are messages of several")
    func tooLarge() {
        for head: [UInt8] in [
            [0x82, 127, 0, 0, 0, 0, 0, 16, 0, 1], [0x82, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ] {
            let found = violation(head)
            #expect(found?.code == .tooLarge)
            #expect(found?.message == "sends a frame of more than 1 MiB")
        }
        let half: [UInt8] = [2, 127, 0, 0, 0, 0, 0, 8, 0, 0]
        let found = violation(half, Data(count: 1 << 19), then: [0, 127, 0, 0, 0, 0, 0, 8, 0, 1])
        #expect(found?.code == .tooLarge)
        #expect(found?.message == "sends a message of more than 1 MiB")
    }
}
