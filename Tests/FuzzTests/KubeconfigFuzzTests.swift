import Foundation
import Testing

@testable import Kubernetes

/// Damaged kubeconfigs, and what damaged plugins print; with secrets everywhere, which no message may tell.
@Suite("A damaged kubeconfig")
struct KubeconfigFuzzTests {
    /// In base64 it has none of the others.
    private static let secrets = [
        "t0ken-Zq8vK3", "passw0rd-Xy7", "S2VlcCB0aGlzIG", "pr0xy-Lm4n", "arg-9Wk2c", "env-5Tb1h",
    ]
    /// As long as keys are.
    private static let key = Data(
        "-----BEGIN EC PRIVATE KEY-----\n\(String(repeating: "Keep this secret.\n", count: 9))".utf8
    ).base64EncodedString()
    private static let certificate = Data("-----BEGIN CERTIFICATE-----\n".utf8).base64EncodedString()
    private static let sample = """
        apiVersion: v1
        kind: Config
        current-context: c
        preferences: {}
        contexts:
        - {name: c, context: {cluster: k, user: u, namespace: shop}}
        - {name: d, context: {cluster: k, user: v}}
        clusters:
        - name: k
          cluster:
            server: https://a.example.com:6443/path
            certificate-authority-data: \(certificate)
            tls-server-name: b.example.com
            proxy-url: http://me:pr0xy-Lm4n@proxy.example.com:3128
            extensions: [{name: client.authentication.k8s.io/exec, extension: {a: [1.5, yes]}}]
        users:
        - name: u
          user:
            token: t0ken-Zq8vK3
            tokenFile: token
            client-certificate-data: \(certificate)
            client-key-data: \(key)
            as: jane
            as-groups: [a, b]
            as-user-extra: {reason: [c]}
        - name: v
          user: {username: me, password: passw0rd-Xy7}
        - name: w
          user:
            exec:
              apiVersion: client.authentication.k8s.io/v1
              command: get-token
              args: [--secret, arg-9Wk2c]
              env: [{name: SECRET, value: env-5Tb1h}]
              interactiveMode: Never
              provideClusterInfo: true

        """

    /// Names are told, in quotes or as a list; when a secret has come to stand where a name belongs, so is that one.
    private static func withoutSecrets(_ message: String) throws {
        for secret in secrets where message.contains(secret) {
            let rest = message.replacing(/".*?"|there are: .*|its kind is .*/, with: "")
            try hold(!rest.contains(secret), "the message tells \(secret): \(message)")
        }
    }

    @Test("is read, or refused in one line with its place and without its secrets")
    func damaged() async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "pvmigrate-fuzz-\(UUID())").path
        defer { unlink(path) }
        let mutator = Mutator(
            samples: [
                Self.sample, Self.sample.replacing("user: u,", with: "user: v,"),
                Self.sample.replacing("user: u,", with: "user: w,"),
            ],
            words: [
                "*", "&", "!", "<<: ", "- ", ": ", "[", "]", "{", "}", "\"", "'", "|\n", "~", "\t", "  ", "name: ",
                "user:",
                "context: ", "cluster: ", "exec: ", "k", "u", "c",
            ]
        )
        try await fuzz("Kubeconfigs", mutator) { input in
            // Written anew: file systems are slow to write a file over.
            unlink(path)
            try Data(input).write(to: URL(filePath: path))
            do {
                _ = try Configuration.load(kubeconfig: path, context: nil, environment: [:], home: nil)
            } catch let error as ConfigurationError {
                try hold(error.description.hasPrefix(path), "no file: \(error)")
                try Self.withoutSecrets(error.description)
                try hold(error.message.utf8.count < 5000, "the message has \(error.message.utf8.count) bytes")
            }
        }
    }

    @Test("names a plugin whose damaged output is used, or refused without its secrets")
    func plugins() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "pvmigrate-fuzz-\(UUID())")
        defer { unlink(file.path) }
        try Data(Self.sample.replacing("user: u,", with: "user: w,").utf8).write(to: file)
        let configuration = try Configuration.load(kubeconfig: file.path, context: nil, environment: [:], home: nil)
        guard case .exec(let plugin) = configuration.authentication.header else {
            throw Broken(description: "no plugin")
        }
        let mutator = Mutator(
            samples: [
                #"""
                {"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t0ken-Zq8vK3",
                "expirationTimestamp":"2030-01-02T03:04:05.5Z","clientCertificateData":"-----BEGIN CERTIFICATE-----",
                "clientKeyData":"-----BEGIN KEY-----\nS2VlcCB0aGlzIG"}}
                """#
            ],
            words: [
                "{", "}", "[", "]", ":", ",", "\"", "null", "true", "\\n", "-----BEGIN ", "+24:00", "T24:60:60Z",
                "-02-30",
            ]
        )
        try await fuzz("Plugins", mutator) { input in
            do {
                let credential = try ExecCredential(input, of: plugin)
                try hold(credential.token != nil || credential.certificate != nil, "it holds nothing")
            } catch let error as TransportError {
                try Self.withoutSecrets(error.message)
                try hold(error.message.utf8.count < 5000, "the message has \(error.message.utf8.count) bytes")
            }
        }
    }
}
