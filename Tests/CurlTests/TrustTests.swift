import Curl
import Foundation
import Testing

@Suite("Trust", .timeLimit(.minutes(5)))
struct TrustTests {
    let server: TestServer
    let client: CurlClient

    init() async throws {
        server = try await TestServer.shared
        client = try CurlClient()
    }

    private func refusal(_ port: String, _ connection: CurlConnection) async throws -> CurlError {
        try await curlError { _ = try await client.send(server.request("/echo", to: port, connection: connection)) }
    }

    @Test("a server that demands a client certificate gets it from memory")
    func clientCertificate() async throws {
        var connection = server.trusting
        connection.clientCertificate = try server.file("client.crt")
        connection.clientKey = try server.file("client.key")
        #expect(try await client.echo(server.request("/echo", to: "demanding", connection: connection)).method == "GET")
    }

    @Test("a missing client certificate is an error that nothing but a change mends")
    func noClientCertificate() async throws {
        let error = try await refusal("demanding", server.trusting)
        #expect(error.kind == .configuration)
        #expect(error.message.contains("refuses the client certificate"))
    }

    @Test("a client certificate or key that is none is named as such, and never asked a passphrase for")
    func badClientCertificate() async throws {
        var connection = server.trusting
        connection.clientCertificate = Data("nonsense".utf8)
        connection.clientKey = try server.file("client.key")
        #expect(try await refusal("demanding", connection).kind == .configuration)
        connection.clientCertificate = try server.file("client.crt")
        for key in ["server.key", "locked.key"] {
            connection.clientKey = try server.file(key)
            let error = try await refusal("demanding", connection)
            #expect(error.kind == .configuration)
            #expect(error.message.contains("client certificate or key"))
        }
    }

    @Test("a server of another authority, or of none that the system knows, is not trusted")
    func wrongAuthority() async throws {
        for authority in [server.otherAuthority, nil] {
            let error = try await refusal("https", CurlConnection(certificateAuthority: authority))
            #expect(error.kind == .configuration)
            #expect(
                error.message.hasPrefix("the certificate of 127.0.0.1:\(try server.port("https")) is not trusted: ")
            )
        }
    }

    @Test("an authority that is no certificate is named as such")
    func badAuthority() async throws {
        for authority in [Data("nonsense".utf8), Data()] {
            let error = try await refusal("https", CurlConnection(certificateAuthority: authority))
            #expect(error.kind == .configuration)
            #expect(error.message.contains("certificate authority"))
        }
    }

    @Test("an expired certificate is not trusted")
    func expired() async throws {
        let error = try await refusal("expired", server.trusting)
        #expect(error.kind == .configuration)
        #expect(error.message.contains("expired"))
    }

    @Test("a certificate for another name is not trusted, unless that name is asked for")
    func otherName() async throws {
        let error = try await refusal("otherName", server.trusting)
        #expect(error.kind == .configuration)
        #expect(error.message.contains("127.0.0.1"))

        var connection = server.trusting
        connection.serverName = "other.test"
        let seen = try await client.echo(server.request("/echo", to: "otherName", connection: connection))
        #expect(seen.serverName == "other.test")
        #expect(seen.headers.contains("Host: 127.0.0.1:\(try server.port("otherName"))"))

        #expect(try await refusal("https", connection).kind == .configuration)
    }

    @Test("whatever certificate will do where the caller says so")
    func insecure() async throws {
        for port in ["https", "expired", "otherName"] {
            let connection = CurlConnection(insecureSkipVerify: true)
            #expect(try await client.echo(server.request("/echo", to: port, connection: connection)).method == "GET")
        }
        // And the trust does not carry over to those who did not say so.
        #expect(try await refusal("expired", server.trusting).kind == .configuration)
    }

    @Test("a server that does not speak TLS is an error before anything is sent")
    func noTLS() async throws {
        let port = try server.port("plain")
        let error = try await curlError { _ = try await client.send(CurlRequest("GET", "https://127.0.0.1:\(port)/")) }
        #expect(error.kind == .notSent)
    }
}
