import Foundation
import Testing

/// The sandbox itself.
@Suite(.enabled(if: TestCluster.isSandbox))
struct SandboxTests {
    /// Connects as a client that is killed before it has asked for anything, or in the middle of that.
    private static let client = """
        import os, socket, ssl, sys
        context = ssl.create_default_context(cafile=sys.argv[1])
        context.set_alpn_protocols(["http/1.1"])
        connection = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname="127.0.0.1")
        connection.sendall(sys.argv[3].encode())
        os._exit(0)
        """

    @Test("a client that is killed before it has asked for anything does not keep the sandbox from ending")
    func killedClient() async throws {
        let sandbox = try Sandbox()
        let kubeconfig = try String(contentsOfFile: sandbox.kubeconfig, encoding: .utf8)
        let port = try #require(kubeconfig.firstMatch(of: #/server: https:\/\/[^:]+:([0-9]+)/#)?.1)
        for asked in ["", "GET /api/v1/names"] {
            let client = Process()
            client.executableURL = URL(filePath: "/usr/bin/env")
            let authority = sandbox.directory.appending(path: "ca.crt").path
            client.arguments = ["python3", "-c", Self.client, authority, String(port), asked]
            try client.run()
            client.waitUntilExit()
            #expect(client.terminationStatus == 0)
        }
        #expect(try await sandbox.end(within: .seconds(60)))
    }
}
