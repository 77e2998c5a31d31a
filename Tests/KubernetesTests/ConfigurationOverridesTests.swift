import Foundation
import Testing

@testable import Kubernetes

@Suite("Flags in place of a kubeconfig")
struct ConfigurationOverridesTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try folder.write("ca.crt", fakePEM)
        try folder.write("client.crt", fakePEM)
        try folder.write("client.key", fakePEM)
        try folder.write("token", "from-a-file\n")
    }

    private static let file = """
        apiVersion: v1
        kind: Config
        current-context: c
        contexts: [{name: c, context: {cluster: one, user: jane, namespace: shop}}]
        clusters:
        - {name: one, cluster: {server: https://one, certificate-authority: ca.crt, tls-server-name: inner}}
        - {name: two, cluster: {server: https://two}}
        - {name: plain, cluster: {server: http://plain}}
        users:
        - {name: jane, user: {client-certificate: client.crt, client-key: client.key, as: boss, as-groups: [a, b]}}
        - {name: joe, user: {token: joes}}

        """

    private func load(
        in text: String = Self.file,
        _ change: (inout ConfigurationOverrides) -> Void
    ) throws -> Configuration {
        var overrides = ConfigurationOverrides()
        change(&overrides)
        return try Configuration.load(
            kubeconfig: try folder.write("config", text),
            context: nil,
            overrides: overrides,
            environment: [:],
            home: nil
        )
    }

    private func headers(_ configuration: Configuration) async throws -> [String] {
        try await Credentials(configuration).identity().headers.value.map { "\($0.name): \($0.value)" }
    }

    @Test("choose another cluster or user, and leave the rest of the context as it is")
    func names() async throws {
        let cluster = try load { $0.cluster = "two" }
        #expect(cluster.server == "https://two" && cluster.certificateAuthority == nil)
        #expect(cluster.authentication.certificate != nil && cluster.namespace == "shop")
        let user = try load { $0.user = "joe" }
        #expect(user.server == "https://one" && user.authentication.certificate == nil)
        #expect(try await headers(user) == ["Authorization: Bearer joes"])
    }

    @Test("name what there is, or it is said what there is")
    func unknown() throws {
        let config = folder.path + "/config"
        for (change, message) in [
            ({ $0.cluster = "three" }, "\(config): there is no cluster \"three\"; there are: one, plain, two"),
            ({ $0.user = "jo" }, "\(config): there is no user \"jo\"; there are: jane, joe"),
            ({ $0.server = "ftp://x" }, "--server must begin with https:// or http://"),
            ({ $0.server = "https://a@b" }, "--server may have scheme, host, port and path only"),
            ({ $0.impersonatedUser = "a\n" }, "--as has control characters"),
            (
                {
                    $0.user = "joe"; $0.impersonatedGroups = ["x"]
                },
                "--as-group needs --as: groups are given to a user who is acted as"
            ),
        ] as [((inout ConfigurationOverrides) -> Void, String)] {
            let error = #expect(throws: ConfigurationError.self) { try load(change) }
            #expect(error?.description == message)
        }
    }

    @Test("give the server another address: its certificate must be of the same authority, and bear that name")
    func server() throws {
        let configuration = try load { $0.server = "elsewhere:6443/" }
        #expect(configuration.server == "https://elsewhere:6443")
        #expect(configuration.certificateAuthority == Data(fakePEM.utf8))
        #expect(configuration.serverName == nil)
    }

    @Test("send no credentials to a server without TLS, and say so")
    func plain() async throws {
        for change in [
            { $0.server = "http://elsewhere" }, { $0.cluster = "plain" },
            {
                $0.cluster = "plain"; $0.tokenFile = "/dev/null"
            },
        ] as [(inout ConfigurationOverrides) -> Void] {
            let configuration = try load(change)
            #expect(configuration.authentication.isEmpty)
            #expect(configuration.warnings.count == 1)
            #expect(configuration.warnings.first?.contains("reached without TLS") == true)
            #expect(try await headers(configuration).first == "Impersonate-User: boss")
        }
    }

    @Test("trust every certificate, and warn of it")
    func insecure() throws {
        let configuration = try load { $0.insecureSkipVerify = true }
        #expect(configuration.insecureSkipVerify && configuration.certificateAuthority == nil)
        #expect(configuration.warnings.count == 1)
    }

    @Test("send a file's token instead of everything else with which the user proves who it is")
    func tokenFile() async throws {
        let path = folder.path + "/token"
        for user in ["jane", "joe"] {
            let configuration = try load {
                $0.user = user
                $0.tokenFile = path
            }
            #expect(configuration.authentication.certificate == nil)
            #expect(try await headers(configuration).first == "Authorization: Bearer from-a-file")
        }
    }

    @Test("act as somebody else, in the groups that are named, or else in those of the kubeconfig")
    func impersonation() async throws {
        #expect(
            try await headers(try load { $0.impersonatedUser = "dev" })
                == ["Impersonate-User: dev", "Impersonate-Group: a", "Impersonate-Group: b"]
        )
        #expect(
            try await headers(try load { $0.impersonatedGroups = ["x", "y"] })
                == ["Impersonate-User: boss", "Impersonate-Group: x", "Impersonate-Group: y"]
        )
        let joe = try load {
            ($0.user, $0.impersonatedUser, $0.impersonatedGroups) = ("joe", "dev", ["x"])
        }
        #expect(
            try await headers(joe) == ["Authorization: Bearer joes", "Impersonate-User: dev", "Impersonate-Group: x"]
        )
    }

    @Test("need no current context where they name all that it would")
    func withoutContext() throws {
        let text = Self.file.replacingOccurrences(of: "current-context: c\n", with: "")
        #expect(throws: ConfigurationError.self) { try load(in: text) { $0.user = "joe" } }
        let configuration = try load(in: text) { ($0.cluster, $0.user) = ("two", "joe") }
        #expect(configuration.server == "https://two" && configuration.context == nil)
        let server = try load(in: text) { $0.server = "https://three" }
        #expect(server.server == "https://three" && server.authentication.isEmpty)
    }

    @Test("need no kubeconfig where they name a server")
    func withoutFile() throws {
        var overrides = ConfigurationOverrides()
        overrides.server = "http://127.0.0.1:8001"
        let configuration = try Configuration.load(
            kubeconfig: nil,
            context: nil,
            overrides: overrides,
            environment: [:],
            home: folder.path
        )
        #expect(configuration.server == "http://127.0.0.1:8001" && configuration.warnings.isEmpty)
    }

    @Test("hold in a pod, too; who names a cluster or a user means a kubeconfig")
    func serviceAccount() async throws {
        try folder.write("sa/token", "of-the-pod")
        try folder.write("sa/ca.crt", fakePEM)
        try folder.write(".kube/config", Self.file.replacingOccurrences(of: "ca.crt", with: "../ca.crt"))
        func load(_ change: (inout ConfigurationOverrides) -> Void) throws -> Configuration {
            var overrides = ConfigurationOverrides()
            change(&overrides)
            return try Configuration.load(
                kubeconfig: nil,
                context: nil,
                overrides: overrides,
                environment: ["KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"],
                home: folder.path,
                serviceAccount: folder.path + "/sa"
            )
        }
        let inPod = try load {
            ($0.server, $0.impersonatedUser, $0.requestTimeout) = ("https://near", "dev", .seconds(5))
        }
        #expect(inPod.server == "https://near" && inPod.requestTimeout == .seconds(5))
        #expect(inPod.certificateAuthority == Data(fakePEM.utf8))
        #expect(try await headers(inPod) == ["Authorization: Bearer of-the-pod", "Impersonate-User: dev"])
        #expect(try load { $0.insecureSkipVerify = true }.certificateAuthority == nil)
        let path = folder.path + "/token"
        #expect(try await headers(try load { $0.tokenFile = path }) == ["Authorization: Bearer from-a-file"])
        #expect(throws: ConfigurationError.self) { try load { $0.cluster = "nine" } }
    }
}
