import Foundation
import Testing

@testable import Kubernetes

@Suite("The kubeconfig of")
struct KubeconfigCorpusTests {
    private func load(_ name: String, context: String? = nil) throws -> Configuration {
        try Configuration.load(
            kubeconfig: "\(corpus)/\(name)",
            context: context,
            environment: ["PATH": "/bin"],
            home: nil
        )
    }

    private func plugin(_ configuration: Configuration) throws -> ExecPlugin {
        guard case .exec(let plugin) = configuration.authentication.header else {
            throw TransportError(.configuration, "no exec plugin")
        }
        return plugin
    }

    private func headers(_ configuration: Configuration) async throws -> [String] {
        try await Credentials(configuration).identity().headers.value.map { "\($0.name): \($0.value)" }
    }

    @Test("EKS runs aws with its arguments and variables")
    func eks() throws {
        let configuration = try load("eks.yaml")
        #expect(configuration.server == "https://0123456789ABCDEF.gr7.eks.example.com")
        #expect(configuration.certificateAuthority == Data(fakePEM.utf8))
        #expect(configuration.context == "arn:aws:eks:eu-west-1:111122223333:cluster/prod")
        let plugin = try plugin(configuration)
        #expect(plugin.command == "aws")
        #expect(plugin.arguments.value.suffix(3) == ["prod", "--output", "json"])
        #expect(plugin.environment.value == ["PATH": "/bin", "AWS_PROFILE": "prod"])
        #expect(plugin.interactiveMode == .ifAvailable)
        #expect(plugin.cluster == nil)
    }

    @Test("GKE tells its plugin about the cluster")
    func gke() throws {
        let configuration = try load("gke.yaml")
        let plugin = try plugin(configuration)
        #expect(plugin.command == "gke-gcloud-auth-plugin")
        #expect(plugin.installHint?.hasSuffix("following https://example.com/gke-auth-plugin") == true)
        #expect(plugin.cluster?.value["server"] == "https://203.0.113.7")
        let authority = try #require(configuration.certificateAuthority)
        #expect(plugin.cluster?.value["certificate-authority-data"]?.string == authority.base64EncodedString())
    }

    @Test("AKS has a context with a plugin and one with a certificate and a token")
    func aks() async throws {
        let configuration = try load("aks.yaml")
        #expect(configuration.namespace == "shop")
        #expect(try plugin(configuration).command == "kubelogin")
        let admin = try load("aks.yaml", context: "prod-admin")
        #expect(admin.authentication.certificate != nil)
        #expect(try await headers(admin) == ["Authorization: Bearer 00112233445566778899aabbccddeeff"])
    }

    @Test("kind and k3s has certificate and key inline", arguments: ["kind.yaml", "k3s.yaml"])
    func inline(name: String) async throws {
        let configuration = try load(name)
        #expect(["https://127.0.0.1:41763", "https://[::1]:6443"].contains(configuration.server))
        let certificate = try #require(configuration.authentication.certificate)
        #expect(String(decoding: certificate.certificate, as: UTF8.self).contains("Tm90IGEgY2xpZW50"))
        #expect(String(decoding: certificate.key.value, as: UTF8.self).hasPrefix("-----BEGIN EC PRIVATE KEY-----"))
        #expect(try await headers(configuration).isEmpty)
    }

    @Test("minikube names files beside itself")
    func minikube() throws {
        let configuration = try load("minikube.yaml")
        #expect(configuration.certificateAuthority == Data(fakePEM.utf8))
        #expect(configuration.authentication.certificate != nil)
    }

    @Test("JSON form has a path in its server, a password, and no trust in a certificate")
    func json() async throws {
        let configuration = try load("form.json")
        #expect(configuration.server == "https://a.example.com:6443/k8s/clusters/c-1")
        #expect(configuration.insecureSkipVerify)
        let pair = Data("café:p:w".utf8).base64EncodedString()
        #expect(try await headers(configuration) == ["Authorization: Basic \(pair)"])
    }

    @Test("a person has comments, merge keys, quoted names and several documents")
    func comments() async throws {
        let configuration = try load("comments.yaml")
        #expect(configuration.context == "on")
        #expect(configuration.proxy?.value == "socks5://proxy.example.com:1080")
        #expect(configuration.serverName == "kubernetes.example.com")
        #expect(
            try await headers(configuration) == [
                "Authorization: Bearer 0123", "Impersonate-User: jane", "Impersonate-Uid: 7",
                "Impersonate-Group: dev", "Impersonate-Group: ops",
                "Impersonate-Extra-example.com%2Fteam: a", "Impersonate-Extra-example.com%2Fteam: b",
            ]
        )
    }

    @Test("a generator has folded and literal blocks")
    func literalBlocks() throws {
        let configuration = try load("literal-blocks.yaml")
        #expect(configuration.server == "https://c.example.com")
        #expect(configuration.certificateAuthority == Data(fakePEM.utf8))
        guard case .tokenFile("/var/run/example/token", nil) = configuration.authentication.header else {
            Issue.record("no token file")
            return
        }
    }

    @Test("old days with an auth-provider says what to use instead")
    func authProvider() throws {
        let error = #expect(throws: ConfigurationError.self) { try load("auth-provider.yaml") }
        #expect(
            error?.description == corpus + "/auth-provider.yaml:17:7: the auth-provider \"gcp\" was removed in kubectl"
                + " 1.26; use an exec plugin (gke-gcloud-auth-plugin, kubelogin, ...)"
        )
    }

    @Test("anybody shows no secret when it is printed or dumped")
    func secrets() async throws {
        for (name, context) in [("aks.yaml", "prod-admin"), ("form.json", "a"), ("comments.yaml", "on")] {
            let configuration = try load(name, context: context)
            let identity = try await Credentials(configuration).identity()
            var text = "\(configuration) \(String(reflecting: configuration)) \(identity)"
            dump(configuration, to: &text)
            dump(identity, to: &text)
            for secret in ["00112233445566778899", "p:w", "0123", "Tm90IGEga2V5", "Bearer", "Basic"] {
                #expect(!text.contains(secret), "\(name) shows \(secret)")
            }
        }
    }
}
