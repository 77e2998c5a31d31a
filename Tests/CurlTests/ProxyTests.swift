import Curl
import Foundation
import Testing

/// The proxies know every name as this machine's, so a name that does not resolve shows that a proxy was used.
@Suite("Proxies", .timeLimit(.minutes(5)))
struct ProxyTests {
    let server: TestServer
    let client: CurlClient

    init() async throws {
        server = try await TestServer.shared
        client = try CurlClient()
    }

    private func request(_ host: String, proxy: String?, serverName: String? = nil) throws -> CurlRequest {
        var connection = server.trusting
        connection.proxy = proxy
        connection.serverName = serverName
        return CurlRequest("GET", "https://\(host):\(try server.port("https"))/echo", connection: connection)
    }

    @Test("an HTTP proxy is asked for a tunnel, with user and password; its headers are not the server's")
    func http() async throws {
        let proxy = "http://us%40er:pass%3Aword@127.0.0.1:\(try server.port("proxy"))"
        let answer = try await client.send(request("cluster.test", proxy: proxy))
        #expect(answer.status == 200)
        #expect(!answer.headers.contains { $0.name == "X-Proxy" })
        #expect(try await server.fact("secret:cluster.test") == "us@er:pass:word")
    }

    @Test("a SOCKS5 proxy resolves the server's name")
    func socks() async throws {
        let seen = try await client.echo(
            request("by-socks.test", proxy: "socks5://127.0.0.1:\(server.port("socks"))", serverName: "cluster.test")
        )
        #expect(seen.serverName == "cluster.test")
        #expect(seen.headers.contains("Host: by-socks.test:\(try server.port("https"))"))
        #expect(try await server.fact("proxied:by-socks.test") == "1")
    }

    @Test("a proxy's refusal, its absence, and addresses that are no proxy's are told without the password")
    func failures() async throws {
        let port = try server.port("proxy")
        for (host, proxy, kind) in [
            ("forbidden.test", "http://user:secret@127.0.0.1:\(port)", CurlError.Kind.configuration),
            ("cluster.test", "http://user:secret@127.0.0.1:\(try server.port("closed"))", .notSent),
            ("cluster.test", "http://user:secret@proxy.invalid:80", .notSent),
            ("cluster.test", "ftp://user:secret@127.0.0.1:\(port)", .configuration),
            ("cluster.test", "http://user:secret@:a b", .configuration),
        ] {
            let error = try await curlError { _ = try await client.send(request(host, proxy: proxy)) }
            #expect(error.kind == kind, "\(proxy): \(error)")
            #expect(!error.message.contains("secret"))
        }
    }

    @Test("HTTPS_PROXY of the environment is used, except for NO_PROXY and loopback")
    func environment() async throws {
        let proxy = "http://127.0.0.1:\(try server.port("proxy"))"
        let https = try server.port("https")
        let authority = server.authority
        // In a process of its own, since the environment is the whole process's.
        await #expect(processExitsWith: .success) {
            [proxy = proxy as String, https = https as Int, authority = authority as Data] in
            setenv("HTTPS_PROXY", proxy, 1)
            setenv("NO_PROXY", "direct.test,.direct.invalid", 1)
            let client = try CurlClient()
            var connection = CurlConnection(certificateAuthority: authority, serverName: nil)
            func status(_ host: String) async throws -> Int {
                try await client.send(CurlRequest("GET", "https://\(host):\(https)/nothing", connection: connection))
                    .status
            }
            #expect(try await status("cluster.test") == 204)
            let direct = await #expect(throws: CurlError.self) { try await status("direct.test") }
            #expect(direct?.kind == .notSent)
            #expect(direct?.message.contains("proxy") == false)

            // An explicit proxy is for every host.
            connection.proxy = proxy
            setenv("NO_PROXY", "*", 1)
            #expect(try await status("cluster.test") == 204)

            connection.proxy = nil
            setenv("NO_PROXY", "", 1)
            setenv("HTTPS_PROXY", "http://127.0.0.1:1", 1)
            #expect(try await status("127.0.0.1") == 204)
            let broken = await #expect(throws: CurlError.self) { try await status("cluster.test") }
            #expect(broken?.kind == .notSent)

            setenv("HTTPS_PROXY", "gopher://user:secret@127.0.0.1", 1)
            let unusable = await #expect(throws: CurlError.self) { try await status("cluster.test") }
            #expect(unusable?.kind == .configuration)
            #expect(unusable?.message.contains("secret") == false)
        }
        #expect(try await server.fact("proxied:cluster.test") != "")
    }
}
