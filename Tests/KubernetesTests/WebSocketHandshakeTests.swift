import Foundation
import Testing

@testable import Kubernetes

@Suite("The handshake of WebSockets")
struct WebSocketHandshakeTests {
    /// The key and what belongs to it are those of RFC 6455, 1.3.
    private let handshake = WebSocketHandshake(
        host: "a.test:6443",
        target: "/base/x?y=z",
        headers: [("Authorization", "Bearer t")],
        subprotocols: ["v5", "v4"],
        key: "dGhlIHNhbXBsZSBub25jZQ=="
    )
    private static let agreed: [(String, String)] = [
        ("upgrade", "WebSocket"), ("Connection", "keep-alive, upgrade"),
        ("Sec-Websocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), ("Sec-WebSocket-Protocol", "v4"),
    ]

    private func answer(_ text: String, isWhole: Bool = false) throws -> (status: Int, body: String, rest: String)? {
        try WebSocketHandshake.answer(in: Data(text.replacing("\n", with: "\r\n").utf8), isWhole: isWhole).map {
            (
                $0.answer.status, String(decoding: $0.answer.body, as: UTF8.self),
                String(decoding: $0.rest, as: UTF8.self)
            )
        }
    }

    @Test("is asked for with every header, the host first")
    func request() throws {
        let text = String(decoding: try handshake.request(), as: UTF8.self)
        #expect(
            text
                == """
                GET /base/x?y=z HTTP/1.1
                Host: a.test:6443
                Authorization: Bearer t
                Connection: Upgrade
                Upgrade: websocket
                Sec-WebSocket-Version: 13
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
                Sec-WebSocket-Protocol: v5, v4


                """.replacing("\n", with: "\r\n")
        )
        let other = WebSocketHandshake(host: "", target: "", headers: [], subprotocols: []).key
        #expect(Data(base64Encoded: other)?.count == 16)
        #expect(other != WebSocketHandshake(host: "", target: "", headers: [], subprotocols: []).key)
    }

    @Test("is not asked for with a header that would be two", arguments: [("A\r\nB", "c"), ("A", "secret\r\nB: c")])
    func smuggled(name: String, value: String) {
        var handshake = handshake
        handshake.headers = [(name, value)]
        let error = #expect(throws: TransportError.self) { try handshake.request() }
        #expect(error?.kind == .configuration)
        #expect(error?.message.contains("secret") == false)
    }

    @Test("is agreed to by a server that knows what belongs to the key, and chooses of what was offered")
    func agreed() throws {
        #expect(try handshake.subprotocol(of: Response(status: 101, headers: Self.agreed)) == "v4")
    }

    @Test(
        "is agreed to by nobody else",
        arguments: [
            ("upgrade", "h2c", "knew no WebSockets"), ("Connection", "close", "knew no WebSockets"),
            ("Sec-Websocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", "knew no WebSockets"),
            ("Sec-WebSocket-Protocol", "v3", "speaks none of v5, v4"), ("Sec-WebSocket-Protocol", "", "speaks none of"),
            ("Sec-WebSocket-Extensions", "permessage-deflate", "an extension"),
        ]
    )
    func refused(name: String, value: String, words: String) {
        let headers = Self.agreed.filter { $0.0 != name } + [(name, value)]
        let error = #expect(throws: TransportError.self) {
            try handshake.subprotocol(of: Response(status: 101, headers: headers))
        }
        #expect(error?.message.contains(words) == true, "\(String(describing: error))")
        #expect(error?.kind == .configuration)
    }

    @Test("is answered after what is said in between, and what follows is the first that is said on the WebSocket")
    func interim() throws {
        let found = try answer("HTTP/1.1 103 Early\nLink: x\n\nHTTP/1.1 101 Now\nUpgrade: websocket\n\nfirst")
        #expect(found?.status == 101)
        #expect(found?.rest == "first")
    }

    @Test(
        "is refused with a body of known length, in chunks, up to the end of the connection, or with none",
        arguments: [
            ("Content-Length: 4\n\nbodymore", "body"),
            ("Transfer-Encoding: chunked\n\n2\nbo\n2;a=b\ndy\n0\n\n", "body"), ("\nbody", "body"),
            ("Content-Length: 0\n\n", ""),
        ]
    )
    func bodies(rest: String, body: String) throws {
        let text = "HTTP/1.1 404 Not Found\n" + rest
        let untilEnd = rest.hasPrefix("\n")
        #expect(try answer(text)?.body == (untilEnd ? nil : body))
        #expect(try answer(text, isWhole: true)?.body == body)
        // What is cut off is taken as it is, but only once nothing more can come.
        let cut = String(text.dropLast(rest.contains("more") ? 6 : body.isEmpty ? 1 : 9))
        #expect(try answer(cut) == nil)
    }

    @Test("is cut where a refusal has no end, in its head or its body")
    func endless() throws {
        let body = try answer("HTTP/1.1 500 x\n\n" + String(repeating: "x", count: 2 << 20))?.body
        #expect(body?.utf8.count == 1 << 20)
        for text in ["HTTP/1.1 500 x\nA: ", "HTTP/1.1 500 x\nTransfer-Encoding: chunked\n\n"] {
            let error = #expect(throws: TransportError.self) {
                try answer(text + String(repeating: "x", count: 6 << 20))
            }
            #expect(error?.kind == .tooLarge)
        }
    }

    @Test(
        "is no handshake where the answer is none of HTTP/1.1",
        arguments: ["SSH-2.0-x\n\n", "HTTP/2 101 x\n\n", "HTTP/1.1 99 x\n\n", "HTTP/1.1 404 x\nno header\n\n", "\n\n"]
    )
    func noAnswer(text: String) {
        let error = #expect(throws: TransportError.self) { try answer(text) }
        #expect(error?.kind == .interrupted)
    }

    @Test("is no handshake where the connection breaks within the answer")
    func brokenOff() {
        let error = #expect(throws: TransportError.self) { try answer("HTTP/1.1 101 Switch", isWhole: true) }
        #expect(error?.kind == .interrupted)
    }
}
