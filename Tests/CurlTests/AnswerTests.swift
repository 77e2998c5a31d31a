import Curl
import Foundation
import Testing

@Suite("Answers", .timeLimit(.minutes(5)))
struct AnswerTests {
    let server: TestServer
    let client: CurlClient

    init() async throws {
        server = try await TestServer.shared
        client = try CurlClient()
    }

    @Test("method, headers and body arrive as they were given", arguments: ["POST", "PATCH", "DELETE"])
    func request(method: String) async throws {
        let body = Data("{\"zero\":\"".utf8) + [0, 255] + Data("\"}".utf8)
        let headers = [
            (name: "Content-Type", value: "application/merge-patch+json"), (name: "X-Empty", value: ""),
            (name: "Authorization", value: "Bearer abc"),
        ]
        let seen = try await client.echo(
            server.request("/echo?a=%2F&b=../c", method: method, headers: headers, body: body)
        )
        #expect(seen.method == method)
        #expect(seen.target == "/echo?a=%2F&b=../c")
        #expect(Data(base64Encoded: seen.body) == body)
        for line in ["Content-Type: application/merge-patch+json", "X-Empty: ", "Authorization: Bearer abc"] {
            #expect(seen.headers.contains(line))
        }
    }

    @Test("a request without a body has no content type and no body", arguments: ["GET", "POST", "DELETE"])
    func noBody(method: String) async throws {
        let seen = try await client.echo(server.request("/echo", method: method))
        #expect(seen.method == method)
        #expect(seen.body.isEmpty)
        #expect(!seen.headers.contains { $0.hasPrefix("Content-Type") || $0.hasPrefix("Expect") })
        #expect(seen.headers.contains("Content-Length: 0") == (method == "POST"))
    }

    @Test("a body of 2 MiB is sent without asking first")
    func largeRequest() async throws {
        let body = Data(repeating: 7, count: 2 << 20)
        let seen = try await client.echo(server.request("/echo", method: "POST", body: body))
        #expect(Data(base64Encoded: seen.body) == body)
        #expect(!seen.headers.contains { $0.hasPrefix("Expect") })
    }

    @Test("the answer to HEAD has headers and no body")
    func head() async throws {
        let answer = try await client.send(server.request("/repeat", method: "HEAD"))
        #expect(answer.status == 200)
        #expect(answer.body.isEmpty)
    }

    @Test("headers that come several times are all there, in order")
    func repeated() async throws {
        let answer = try await client.send(server.request("/repeat"))
        #expect(
            answer.headers.filter { $0.name.lowercased() == "warning" }.map(\.value) == ["299 - \"a\"", "299 - \"b\""]
        )
        #expect(answer.headers.contains { $0 == ("X-Empty", "") })
    }

    @Test("204 without a body, and the connection serves the next request")
    func nothing() async throws {
        let answer = try await client.send(server.request("/nothing"))
        #expect(answer.status == 204)
        #expect(answer.body.isEmpty)
        #expect(try await client.send(server.request("/nope")).status == 404)
    }

    @Test("an interim answer is not mistaken for the final one")
    func interim() async throws {
        let answer = try await client.send(server.request("/interim"))
        #expect(answer.status == 200)
        #expect(answer.headers.map(\.name) == ["Content-Length", "X-Final"])
        #expect(answer.body == Data("body".utf8))
    }

    @Test("a chunked body is put together; its trailers are no headers")
    func chunked() async throws {
        let answer = try await client.send(server.request("/chunked"))
        #expect(answer.body == Data("abcdefg".utf8))
        #expect(!answer.headers.contains { $0.name == "X-Late" })
    }

    @Test("a body that ends with the connection (HTTP/1.0)")
    func unframed() async throws {
        let answer = try await client.send(server.request("/unframed"))
        #expect(answer.body == Data("until the end".utf8))
    }

    @Test("100 MiB arrive whole")
    func large() async throws {
        let answer = try await client.send(server.request("/bytes?size=\(100 << 20)"))
        #expect(answer.body.count == 100 << 20)
        #expect(isPattern(answer.body.prefix(100_000), at: 0))
        #expect(isPattern(answer.body.suffix(100_000), at: (100 << 20) - 100_000))
    }

    @Test("an answer larger than allowed is refused")
    func tooLarge() async throws {
        #expect(try await client.send(server.request("/bytes?size=4096"), maximum: 4096).body.count == 4096)
        let error = try await curlError { _ = try await client.send(server.request("/bytes?size=4097"), maximum: 4096) }
        #expect(error.kind == .tooLarge)
        #expect(error.message.hasSuffix("is larger than 4096 bytes"))
    }

    @Test("of an error of 100 MiB only the beginning is read")
    func largeError() async throws {
        let answer = try await client.send(server.request("/bytes?size=\(100 << 20)&status=502"))
        #expect(answer.status == 502)
        #expect(answer.body.count == 1 << 20)
        #expect(isPattern(answer.body.prefix(100_000), at: 0))
    }

    @Test("headers without end are refused")
    func endlessHead() async throws {
        let error = try await curlError { _ = try await client.send(server.request("/endless-head")) }
        #expect(error.kind == .tooLarge)
    }

    @Test("a stream is open as soon as its head is here, and gives its pieces as they come")
    func stream() async throws {
        let stream = try await client.open(server.request("/stream?id=head"))
        #expect(stream.status == 200)
        await stream.body.close()
        let other = try await client.open(server.request("/stream?id=piece&piece=yes"))
        #expect(try await other.body.next() == Data("piece".utf8))
        await other.body.close()
    }

    @Test("a stream ends with nil, again and again, also after its closing")
    func streamEnd() async throws {
        let stream = try await client.open(server.request("/chunked"))
        var body = Data()
        while let piece = try await stream.body.next() { body.append(piece) }
        #expect(body == Data("abcdefg".utf8))
        #expect(try await stream.body.next() == nil)
        await stream.body.close()
        await stream.body.close()
    }

    @Test(
        "what cannot be sent is refused, without showing a secret",
        arguments: [
            CurlRequest("GET", "ftp://127.0.0.1/secret"), CurlRequest("GET", "https://"), CurlRequest("GET", "secret"),
            CurlRequest("GET", "https://user:secret@127.0.0.1/"), CurlRequest("GET /secret", "https://127.0.0.1/"),
            CurlRequest("GET", "https://127.0.0.1/", headers: [("Authorization", "Bearer secret\r\nHost: evil")]),
            CurlRequest("GET", "https://127.0.0.1/", headers: [("Sec ret", "x")]),
            CurlRequest("GET", "https://127.0.0.1/", connection: CurlConnection(serverName: "no name")),
        ]
    )
    func unusable(request: CurlRequest) async throws {
        let error = try await curlError { _ = try await client.send(request) }
        #expect(error.kind == .configuration)
        #expect(!error.message.contains("secret"))
    }
}
