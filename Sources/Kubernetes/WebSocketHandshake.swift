import CLibcrypto
import FoundationEssentials

/// The request for a WebSocket and the answer to it, as bytes (RFC 6455, 4).
struct WebSocketHandshake {
    var host: String
    var target: String
    var headers: [(name: String, value: String)]
    /// Those that are understood, the best one first.
    var subprotocols: [String]
    /// Sixteen bytes, so that nobody answers who does not know what a WebSocket is.
    var key = Data((0..<16).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()

    /// What a server may say of itself before that becomes an attack.
    private static let headLimit = 256 << 10
    /// How much of a refusal is read: it only says why.
    private static let bodyLimit = 1 << 20
    private static let lineEnd = Data("\r\n".utf8)

    /// The request.
    ///
    /// - Throws: `TransportError` of kind `configuration` where a header would be more than one.
    func request() throws(TransportError) -> Data {
        let all =
            [("Host", host)] + headers + [
                ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Protocol", subprotocols.joined(separator: ", ")),
            ]
        var text = "GET \(target) HTTP/1.1\r\n"
        for (name, value) in all {
            guard name.isHeaderValue, value.isHeaderValue else {
                // Without the value, which may be a token.
                throw TransportError(.configuration, "a header of the request holds control characters")
            }
            text += "\(name): \(value)\r\n"
        }
        return Data((text + "\r\n").utf8)
    }

    /// The subprotocol that an answer of 101 agrees to.
    ///
    /// - Throws: `TransportError` of kind `configuration`: asking again would change nothing.
    func subprotocol(of answer: Response) throws(TransportError) -> String {
        guard answer.header("Upgrade")?.lowercased() == "websocket",
            answer.headers(named: "Connection").joined(separator: ",").lowercased().contains("upgrade"),
            answer.header("Sec-WebSocket-Accept") == (try accept())
        else { throw TransportError(.configuration, "\(host) answers as if it knew no WebSockets") }
        guard let chosen = answer.header("Sec-WebSocket-Protocol"), subprotocols.contains(chosen) else {
            throw TransportError(
                .configuration,
                "\(host) speaks none of \(subprotocols.joined(separator: ", ")) on a WebSocket"
            )
        }
        // What would change frames is not asked for.
        guard answer.header("Sec-WebSocket-Extensions") == nil else {
            throw TransportError(.configuration, "\(host) uses an extension of WebSockets that nobody asked for")
        }
        return chosen
    }

    /// What only a server of WebSockets makes of the key.
    private func accept() throws(TransportError) -> String {
        let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
        var digest = [UInt8](repeating: 0, count: 20)
        guard EVP_Digest(text, text.count, &digest, nil, EVP_sha1(), nil) == 1 else {
            throw TransportError(.configuration, "libcrypto makes no SHA-1 here, which WebSockets need")
        }
        return Data(digest).base64EncodedString()
    }

    // MARK: The answer

    /// The answer to the request, with what follows it; nil where more bytes are needed.
    ///
    /// - Parameter isWhole: there are no more bytes; a body that lacks some is taken as it is.
    /// - Throws: `TransportError` of kind `interrupted` where this is no answer of a server of HTTP/1.1.
    static func answer(in bytes: Data, isWhole: Bool) throws(TransportError) -> (answer: Response, rest: Data)? {
        guard bytes.count <= headLimit + 4 * bodyLimit else {
            throw TransportError(.tooLarge, "the answer is larger than \((headLimit + 4 * bodyLimit) >> 10) KiB")
        }
        var rest = bytes
        while let end = rest.firstRange(of: lineEnd + lineEnd) {
            guard rest.distance(from: rest.startIndex, to: end.lowerBound) <= headLimit else { break }
            let head = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
            rest = rest[end.upperBound...]
            var answer = try parsed(head)
            if answer.status == 101 { return (answer, Data(rest)) }
            // An interim answer; the final one follows (RFC 9110, 15.2).
            if answer.status < 200 { continue }
            guard let body = try body(of: answer, in: rest, isWhole: isWhole) else { return nil }
            answer.body = body
            return (answer, Data())
        }
        guard rest.count <= headLimit else {
            throw TransportError(.tooLarge, "the headers of the answer are larger than \(headLimit >> 10) KiB")
        }
        if isWhole { throw TransportError(.interrupted, "the connection broke before the answer's end") }
        return nil
    }

    private static func parsed(_ head: String) throws(TransportError) -> Response {
        let noAnswer = TransportError(.interrupted, "the answer is none of a server of HTTP/1.1")
        var lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        let words = (lines.popFirst() ?? "").split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3, let status = Int(words[1]),
            (100...599).contains(status)
        else { throw noAnswer }
        var answer = Response(status: status)
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { throw noAnswer }
            answer.headers.append((String(line[..<colon]), String(line[line.index(after: colon)...]).trimmed))
        }
        return answer
    }

    /// The body, cut off where it is too long; nil where more bytes are needed.
    private static func body(of answer: Response, in rest: Data, isWhole: Bool) throws(TransportError) -> Data? {
        if answer.status == 204 || answer.status == 304 { return Data() }
        if answer.header("Transfer-Encoding")?.lowercased() == "chunked" {
            let (body, isComplete) = try unchunked(rest)
            return isComplete || isWhole || body.count >= bodyLimit ? Data(body.prefix(bodyLimit)) : nil
        }
        let length = answer.header("Content-Length").map { min(Int($0) ?? 0, bodyLimit) } ?? bodyLimit
        return rest.count >= length || isWhole ? Data(rest.prefix(max(0, length))) : nil
    }

    /// As much of a body as is here of its chunks (RFC 9112, 7.1).
    private static func unchunked(_ chunks: Data) throws(TransportError) -> (body: Data, isComplete: Bool) {
        var (rest, body) = (chunks, Data())
        while let end = rest.firstRange(of: lineEnd) {
            let line = String(decoding: rest[..<end.lowerBound].prefix(100), as: UTF8.self)
            guard let size = Int(String(line.prefix { $0 != ";" }).trimmed, radix: 16), size >= 0 else {
                throw TransportError(.interrupted, "the answer's body is not in chunks as it should be")
            }
            if size == 0 { return (body, true) }
            rest = rest[end.upperBound...]
            body.append(rest.prefix(size))
            guard rest.count - 2 >= size else { break }
            rest = rest.dropFirst(size + 2)
        }
        return (body, false)
    }
}
