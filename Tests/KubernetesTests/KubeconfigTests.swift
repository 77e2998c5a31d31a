import Foundation
import Testing

@testable import Kubernetes

@Suite("A kubeconfig")
struct KubeconfigTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    @Test(
        "that is wrong gets one line with its place",
        arguments: [
            ("", "f: the kubeconfig is empty: it has no contexts, clusters or users"),
            ("# nothing", "f: the kubeconfig is empty: it has no contexts, clusters or users"),
            ("apiVersion: v1\nkind: Config", "f: the kubeconfig is empty: it has no contexts, clusters or users"),
            ("hello", "f:1:1: this is no kubeconfig: a mapping was expected, not a string"),
            ("a: [", "f:2:1: while parsing a flow node from 2:1: did not find expected node content"),
            ("a: \"x", "f:1:6: while scanning a quoted scalar from 1:4: found unexpected end of stream"),
            ("users: []\nusers: []", "f:2:1: the key \"users\" comes twice"),
            ("kind: Pod", "f:1:7: this is no kubeconfig: its kind is Pod, not Config"),
            ("apiVersion: v2\nkind: Config", "f:1:13: a kubeconfig's apiVersion must be v1"),
            ("users: {a: b}", "f:1:8: users must be a list, not a mapping"),
            ("users: [{user: {}}]", "f:1:9: this user has no name"),
            ("users: [{name: a}, {name: a}]", "f:1:20: the user \"a\" comes twice in this file"),
            ("users: [{name: 5}]", "f:1:16: name must be a string, not a number; put it in quotes"),
            ("users: [{name: a, user: b}]", "f:1:25: user must be a mapping, not a string"),
            ("contexts: [{name: b}, {name: a}]", "f: no current-context is set; choose one with --context: a, b"),
            ("contexts: [{name: a}]\ncurrent-context: b", "f:2:18: there is no context \"b\"; there are: a"),
            ("contexts: [{name: a}]\ncurrent-context: a", "f:1:12: the context \"a\" names no cluster"),
            (
                "contexts: [{name: a, context: {cluster: x}}]\ncurrent-context: a\nclusters: [{name: v}]",
                "f:1:41: there is no cluster \"x\"; there are: v"
            ),
            (
                "contexts: [{name: a, context: {cluster: x, user: z}}]\ncurrent-context: a\nclusters: [{name: x}]",
                "f:1:50: there is no user \"z\"; there are: none"
            ),
            (
                "contexts: [{name: a, context: {cluster: x}}]\ncurrent-context: a\nclusters: [{name: x}]",
                "f:1:31: the context \"a\" names no user"
            ),
        ]
    )
    func wrong(text: String, message: String) throws {
        let file = try folder.write("f", text)
        #expect(complaint(in: folder, kubeconfig: file) == message)
    }

    @Test(
        "whose cluster is wrong gets one line with its place",
        arguments: [
            ("{}", "31: the cluster \"k\" has no server"),
            ("{server: 5}", "40: server must be a string, not a number; put it in quotes"),
            ("{server: 'https://a b'}", "40: server is not a valid URL"),
            ("{server: 'https://'}", "40: server is not a valid URL"),
            ("{server: 'https://a:99999'}", "40: server is not a valid URL"),
            ("{server: 'ftp://a'}", "40: server must begin with https:// or http://"),
            ("{server: 'https://me:pw@a'}", "40: server may have scheme, host, port and path only"),
            ("{server: 'https://a?b=c'}", "40: server may have scheme, host, port and path only"),
            (
                "{server: 'https://a', proxy-url: 'gopher://b'}",
                "64: proxy-url is not a valid http://, https:// or socks5:// URL"
            ),
            (
                "{server: 'https://a', insecure-skip-tls-verify: maybe}",
                "79: insecure-skip-tls-verify must be true or false"
            ),
            (
                "{server: 'https://a', certificate-authority-data: '%%'}",
                "81: certificate-authority-data is not valid base64"
            ),
            (
                "{server: 'https://a', certificate-authority-data: aGVsbG8=}",
                "81: certificate-authority-data holds no PEM text"
            ),
            (
                "{server: 'https://a', certificate-authority: gone.crt}",
                "76: certificate-authority gone.crt cannot be used: no such file or directory"
            ),
            (
                "{server: 'https://a', certificate-authority: .}",
                "76: certificate-authority . cannot be used: is a directory"
            ),
            (
                "{server: 'https://a', certificate-authority: ca.crt, insecure-skip-tls-verify: true}",
                "31: certificate-authority and insecure-skip-tls-verify exclude each other"
            ),
        ]
    )
    func wrongCluster(cluster: String, message: String) throws {
        try folder.write("ca.crt", fakePEM)
        let file = try folder.write("f", kubeconfig(cluster: cluster, user: "{}"))
        #expect(complaint(in: folder, kubeconfig: file) == "f:5:\(message)")
    }

    @Test(
        "whose user is wrong gets one line with its place",
        arguments: [
            ("{token: 5}", "33: token must be a string, not a number; put it in quotes"),
            ("{token: \"a\\nb\"}", "33: token has control characters"),
            (
                "{token: a, username: b}",
                "25: the user \"u\" has both a token and a password; only one is allowed"
            ),
            (
                "{client-certificate-data: LS0tLS1CRUdJTiA=}",
                "25: there is a client-certificate but no client-key"
            ),
            ("{client-key-data: LS0tLS1CRUdJTiA=}", "25: there is a client-key but no client-certificate"),
            (
                "{client-certificate: gone.crt}",
                "46: client-certificate gone.crt cannot be used: no such file or directory"
            ),
            ("{as-groups: [a]}", "25: as-uid, as-groups and as-user-extra need as"),
            (
                "{as: a, as-groups: [5]}",
                "45: an element of as-groups must be a string, not a number; put it in quotes"
            ),
            (
                "{auth-provider: {name: oidc}}",
                "41: the auth-provider \"oidc\" was removed in kubectl 1.26; use an exec plugin"
                    + " (gke-gcloud-auth-plugin, kubelogin, ...)"
            ),
            (
                "{exec: {command: a}}",
                "32: exec needs the apiVersion client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1;"
                    + " update the plugin and this entry"
            ),
            (
                "{exec: {apiVersion: client.authentication.k8s.io/v1alpha1}}",
                "45: exec needs the apiVersion client.authentication.k8s.io/v1 or"
                    + " client.authentication.k8s.io/v1beta1; update the plugin and this entry"
            ),
            ("{exec: {apiVersion: client.authentication.k8s.io/v1beta1}}", "32: exec has no command"),
            (
                "{exec: {apiVersion: client.authentication.k8s.io/v1, command: a}}",
                "32: exec has no interactiveMode"
            ),
            (
                "{exec: {apiVersion: client.authentication.k8s.io/v1, command: a, interactiveMode: Perhaps}}",
                "107: interactiveMode must be Never, IfAvailable or Always"
            ),
        ]
    )
    func wrongUser(user: String, message: String) throws {
        let file = try folder.write("f", kubeconfig(user: user))
        #expect(complaint(in: folder, kubeconfig: file) == "f:6:\(message)")
    }

    @Test("that cannot be read says why")
    func unreadable() throws {
        #expect(
            complaint(in: folder, kubeconfig: folder.path + "/no")
                == "no: the kubeconfig cannot be read: no such file or directory"
        )
        #expect(
            complaint(in: folder, kubeconfig: folder.path).hasSuffix(": the kubeconfig cannot be read: is a directory")
        )
        #expect(
            complaint(in: folder, kubeconfig: "/dev/zero")
                == "/dev/zero: the kubeconfig cannot be read: larger than 16 MiB"
        )
    }

    @Test("that a flag names wins over KUBECONFIG, which wins over the home's")
    func order() throws {
        func file(_ name: String) throws -> String {
            try folder.write(name, kubeconfig(cluster: "{server: https://\(name.prefix(1)).example.com}", user: "{}"))
        }
        let (flag, variable) = (try file("flag"), try file("variable"))
        #expect(
            complaint(in: folder)
                == "no kubeconfig: .kube/config does not exist; name one with --kubeconfig or KUBECONFIG"
        )
        _ = try folder.write(".kube/config", kubeconfig(cluster: "{server: https://h.example.com}", user: "{}"))
        #expect(complaint(in: folder, environment: ["KUBECONFIG": ""]) == "read: https://h.example.com")
        #expect(complaint(in: folder, environment: ["KUBECONFIG": variable]) == "read: https://v.example.com")
        #expect(
            complaint(in: folder, kubeconfig: flag, environment: ["KUBECONFIG": variable])
                == "read: https://f.example.com"
        )
    }

    @Test("of several files takes each entry from the first that has it, and passes over missing files")
    func merging() throws {
        let first = try folder.write(
            "one/f",
            """
            contexts: [{name: a, context: {cluster: k, user: u, namespace: first}}]
            clusters: [{name: k, cluster: {server: one.example.com, certificate-authority: ca.crt}}]
            """
        )
        try folder.write("one/ca.crt", fakePEM)
        let second = try folder.write(
            "two/f",
            """
            current-context: a
            contexts: [{name: a, context: {cluster: k, user: w}}, {name: b, context: {cluster: l, user: u}}]
            clusters: [{name: k, cluster: {server: https://two.example.com}}, {name: l, cluster: {server: l.example.com}}]
            users: [{name: u, user: {tokenFile: token}}]
            """
        )
        let third = try folder.write("three", "current-context: b\nusers: [{name: u, user: {token: t}}]")
        let empty = try folder.write("empty", "")
        let list = [first, folder.path + "/missing", empty, "", second, third, first].joined(separator: ":")
        func load(_ context: String?) throws -> Configuration {
            try Configuration.load(kubeconfig: nil, context: context, environment: ["KUBECONFIG": list], home: nil)
        }
        let current = try load(nil)
        #expect(current.context == "a")
        #expect(current.namespace == "first")
        #expect(current.server == "https://one.example.com")
        #expect(current.certificateAuthority == Data(fakePEM.utf8))
        #expect(current.origin == first)
        guard case .tokenFile(let path, nil) = current.authentication.header else {
            Issue.record("no token file")
            return
        }
        #expect(path == folder.path + "/two/token")
        #expect(try load("b").server == "http://l.example.com")
        #expect(
            complaint(in: folder, context: "z", environment: ["KUBECONFIG": "\(first):\(second)"])
                == "one/f:two/f: there is no context \"z\"; there are: a, b"
        )
        #expect(
            complaint(in: folder, environment: ["KUBECONFIG": folder.path + "/x"])
                == "no file of KUBECONFIG exists: x"
        )
    }

    @Test("is not needed in a pod, unless a context is asked for")
    func serviceAccount() async throws {
        func load(context: String? = nil, kubeconfig: String? = nil) throws -> Configuration {
            try Configuration.load(
                kubeconfig: kubeconfig,
                context: context,
                environment: ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"],
                home: folder.path,
                serviceAccount: folder.path + "/sa"
            )
        }
        // Without a token this is no pod with a service account.
        let home = try folder.write(".kube/config", kubeconfig(user: "{}"))
        #expect(try load().context == "c")
        try folder.write("sa/token", "secret\n")
        #expect(throws: ConfigurationError.self) { try load() }
        try folder.write("sa/ca.crt", fakePEM)
        try folder.write("sa/namespace", "shop")
        let configuration = try load()
        #expect(configuration.server == "https://[fd00::1]:443")
        #expect(configuration.namespace == "shop")
        #expect(configuration.context == nil)
        let identity = try await Credentials(configuration).identity()
        #expect(identity.headers.value.map(\.value) == ["Bearer secret"])
        #expect(try load(context: "c").server == "https://a.example.com")
        #expect(try load(kubeconfig: home).server == "https://a.example.com")
    }
}
