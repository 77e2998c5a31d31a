import Curl
import Foundation
import Testing

/// The script's server, its certificates and ports; one for all tests.
final class TestServer: Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// What `/echo` answers.
    struct Echo: Decodable {
        var method: String
        var target: String
        var body: String
        var headers: [String]
        var connection: Int
        var serverName: String
    }

    private static let starting = Task { try TestServer() }

    static var shared: TestServer {
        get async throws { try await starting.value }
    }

    let folder: URL
    let authority: Data
    let otherAuthority: Data
    private let ports: [String: Int]
    /// Held open: the server ends with it.
    private let input = Pipe()
    /// For questions about facts, so that they share nothing with what a test looks at.
    private let asker: CurlClient

    private init() throws {
        asker = try CurlClient()
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("curl-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Self.makeCertificates(in: folder)
        authority = try Data(contentsOf: folder.appendingPathComponent("authority.crt"))
        otherAuthority = try Data(contentsOf: folder.appendingPathComponent("stranger.crt"))

        let script = folder.appendingPathComponent("server.py")
        try Data(serverScript.utf8).write(to: script)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", script.path, folder.path]
        process.standardInput = input
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var line = Data()
        while line.last != UInt8(ascii: "\n") {
            let piece = output.fileHandleForReading.availableData
            guard !piece.isEmpty else { throw Failure(description: "the test server did not start") }
            line.append(piece)
        }
        ports = try JSONDecoder().decode([String: Int].self, from: line)
    }

    private static func makeCertificates(in folder: URL) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.currentDirectoryURL = folder
        process.arguments = ["-ec", certificateScript]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: String(decoding: text, as: UTF8.self)) }
    }

    private static let certificateScript = """
        key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
        authority() { key $1; openssl req -x509 -new -key $1.key -subj /CN=$1 -days 2 -out $1.crt; }
        certificate() {
            key $1
            printf 'subjectAltName=%s\\n' "$2" > $1.ext
            openssl req -new -key $1.key -subj /CN=$1 |
                openssl x509 -req -CA authority.crt -CAkey authority.key -CAcreateserial -days $3 -extfile $1.ext -out $1.crt
        }
        authority authority
        authority stranger
        certificate server DNS:localhost,DNS:cluster.test,IP:127.0.0.1 2
        certificate other DNS:other.test 2
        certificate expired DNS:localhost,IP:127.0.0.1 -1
        certificate client DNS:client 2
        openssl ec -aes128 -passout pass:secret -in client.key -out locked.key
        """

    func port(_ name: String) throws -> Int {
        guard let port = ports[name] else { throw Failure(description: "the test server has no port \(name)") }
        return port
    }

    func file(_ name: String) throws -> Data {
        try Data(contentsOf: folder.appendingPathComponent(name))
    }

    /// How to reach the server, trusting its authority.
    var trusting: CurlConnection { CurlConnection(certificateAuthority: authority) }

    func request(
        _ path: String,
        method: String = "GET",
        to port: String = "https",
        headers: [(name: String, value: String)] = [],
        body: Data? = nil,
        silence: Duration = .seconds(20),
        connection: CurlConnection? = nil
    ) throws -> CurlRequest {
        let scheme = ["plain", "closed", "mute"].contains(port) ? "http" : "https"
        return CurlRequest(
            method,
            "\(scheme)://127.0.0.1:\(try self.port(port))\(path)",
            headers: headers,
            body: body,
            silence: silence,
            connection: connection ?? trusting
        )
    }

    /// Waits until the server has noted at least so much under a key; returns what it has noted within 10 s.
    func fact(_ key: String, atLeast least: Int = 1) async throws -> String {
        let key = key.addingPercentEncoding(withAllowedCharacters: .urlQueryAllowed) ?? key
        let answer = try await asker.send(request("/fact?key=\(key)&least=\(least)", to: "plain"))
        return String(decoding: answer.body, as: UTF8.self)
    }
}

extension CurlClient {
    func echo(_ request: CurlRequest) async throws -> TestServer.Echo {
        try JSONDecoder().decode(TestServer.Echo.self, from: try await send(request).body)
    }
}

/// The error that a piece of code throws, which must be a `CurlError`.
func curlError(
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async throws -> CurlError {
    try #require(await #expect(throws: CurlError.self, sourceLocation: sourceLocation) { try await body() })
}

/// `/bytes` sends these sixteen again and again.
let pattern = Data(repeatElement("0123456789abcdef".utf8, count: 20_000).joined())

/// Whether a piece is what `/bytes` sends at this place.
func isPattern(_ piece: Data, at offset: Int) -> Bool {
    let begin = offset % 16
    return begin + piece.count <= pattern.count && piece == pattern[begin..<(begin + piece.count)]
}
