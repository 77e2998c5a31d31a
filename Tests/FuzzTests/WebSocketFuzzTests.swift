import Foundation
import Testing

@testable import Kubernetes

@Suite("A damaged WebSocket")
struct WebSocketFuzzTests {
    private typealias Said = (events: [WebSocketReader.Event], violation: WebSocketViolation?)

    private static func frame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let length: [UInt8] =
            payload.count <= 125
            ? [UInt8(payload.count)] : [126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        return [first] + length + payload
    }

    private static let frames: Mutator = {
        var mutator = Mutator(samples: [], words: [])
        mutator.samples = [
            frame(0x82, [1]) + frame(0x82, [1] + Array("out\n".utf8))
                + frame(0x82, [3] + Array(#"{"metadata":{},"status":"Success"}"#.utf8)) + frame(0x88, [0x03, 0xE8]),
            frame(0x02, [1, 2]) + frame(0x89, [3]) + frame(0x00, [4]) + frame(0x8A, []) + frame(0x80, [5]),
            frame(0x82, Array(repeating: 7, count: 300)) + frame(0x88, [0x03, 0xF3] + Array("né".utf8)),
        ]
        mutator.words += [
            [0x82], [0x02], [0x80], [0x00], [0x89], [0x8A], [0x88], [0x81], [0xC2], [126, 0], [126, 0, 126], [127],
            [127, 0, 0, 0, 0, 0, 16, 0, 0], [127, 0, 0, 0, 0, 0, 16, 0, 1], [127, 0xFF], [0xFF], [0x03, 0xE8],
        ]
        return mutator
    }()

    private func said(_ pieces: [ArraySlice<UInt8>]) -> Said {
        var reader = WebSocketReader()
        var events: [WebSocketReader.Event] = []
        do throws(WebSocketViolation) {
            for piece in pieces {
                reader.append(Data(piece))
                while let event = try reader.next() { events.append(event) }
            }
            return (events, nil)
        } catch {
            return (events, error)
        }
    }

    /// In pieces of one, two, three … bytes.
    private func cut(_ input: [UInt8]) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = input[...]
        while !rest.isEmpty {
            pieces.append(rest.prefix(pieces.count + 1))
            rest = rest.dropFirst(pieces.count)
        }
        return pieces
    }

    @Test("says the same however its pieces were cut, and nothing that is too long")
    func frames() async throws {
        try await fuzz("WebSocket frames", Self.frames) { input in
            let (whole, cut) = (said([input[...]]), said(cut(input)))
            try hold(whole.events == cut.events, "\(whole.events) at once, \(cut.events) in pieces")
            try hold(whole.violation == cut.violation, "\(String(describing: (whole.violation, cut.violation)))")
            for event in whole.events {
                switch event {
                case .message(let message): try hold(message.count <= 1 << 20, "a message of \(message.count) bytes")
                case .ping(let payload): try hold(payload.count <= 125, "a ping of \(payload.count) bytes")
                case .closed(_, let reason):
                    try hold(reason.utf8.count <= 123, "a reason of \(reason.utf8.count) bytes")
                case .pong: break
                }
            }
        }
    }

    @Test("gets frames from us that are read as they were meant")
    func sent() async throws {
        try await fuzz("WebSocket frames of ours", Self.frames) { input in
            let mask: [UInt8] = [0xA5, UInt8(input.count & 0xFF), 0, 0xFF]
            var frame = Array(WebSocketFrame.bytes(.binary, Data(input), mask: mask))
            // As a server unmasks it: the mask is before the payload.
            try hold(frame[1] & 0x80 != 0, "a client's frame is masked")
            frame[1] &= 0x7F
            let start = frame.count - input.count
            try hold(Array(frame[(start - 4)..<start]) == mask, "the mask is not where it belongs")
            for index in start..<frame.count { frame[index] ^= mask[(index - start) % 4] }
            frame.removeSubrange((start - 4)..<start)
            let read = said([frame[...]])
            try hold(read.violation == nil && read.events == [.message(Data(input))], "\(read)")
        }
    }

    @Test("is refused or agreed to in the same words however the answer was cut")
    func answers() async throws {
        let mutator = Mutator(
            samples: [
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\u{2}\u{1}x",
                "HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n{} no",
                "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1f;x=y\r\n"
                    + String(repeating: "d", count: 31) + "\r\n0\r\n\r\n",
                "HTTP/1.0 502 Bad Gateway\r\n\r\n<html>",
            ],
            words: [
                "\r\n\r\n", "\r\n", ":", "HTTP/1.1", " 200 ", "Content-Length: ", "Transfer-Encoding: chunked", "-1",
                "ffffffffffffffff", "7fffffffffffffff", ";", "0\r\n",
            ]
        )
        try await fuzz("Answers to WebSockets", mutator) { input in
            func answer(_ bytes: ArraySlice<UInt8>, isWhole: Bool) throws -> (answer: Response, rest: Data)? {
                do throws(TransportError) {
                    return try WebSocketHandshake.answer(in: Data(bytes), isWhole: isWhole)
                } catch {
                    try hold(!error.message.isEmpty, "an error without words")
                    return nil
                }
            }
            let whole = try answer(input[...], isWhole: false)
            var end = 1
            while end < input.count {
                defer { end = end * 3 / 2 + 1 }
                guard let early = try answer(input[..<end], isWhole: false) else { continue }
                try hold(early.answer.status == whole?.answer.status, "another status")
                try hold(early.answer.body == whole?.answer.body, "another body")
                try hold(early.answer.status != 101 || early.rest + input[end...] == whole?.rest, "another rest")
            }
            if let last = try answer(input[...], isWhole: true) {
                try hold(last.answer.body.count <= input.count, "the body has more than there is")
                try hold(whole == nil || whole?.answer.body == last.answer.body, "another body at the end")
            }
        }
    }
}
