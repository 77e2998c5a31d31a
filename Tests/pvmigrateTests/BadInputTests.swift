import Migration
import Foundation
import Kubernetes
import Testing

@testable import pvmigrate

/// Something wrong from outside, and what a person is told.
struct BadInput: Sendable, CustomTestStringConvertible {
    /// What the server says; none is asked in the other cases.
    enum Server: Sendable {
        case notAsked
        case real
        case says(status: Int, headers: [(name: String, value: String)] = [], body: String)
        case breaks(TransportError)
        case lists([String: JSON])
    }

    var arguments: [String]
    var environment: [String: String] = [:]
    var kubeconfig: String?
    var server = Server.notAsked
    var code = ExitCode.failed
    /// The whole of stderr but its `error: `; `DIR` stands for the folder of the kubeconfig.
    var message: String
    /// The rows on stdout, as far as they are unusual.
    var rows: [String] = []

    var testDescription: String { message }

    static func flags(_ arguments: String, _ message: String) -> BadInput {
        BadInput(
            arguments: arguments.split(separator: " ").map { $0 == "''" ? "" : String($0) },
            code: .usage,
            message: message + "; see pvmigrate --help"
        )
    }

    /// Flags of a migration, besides the classes.
    static func migrate(_ arguments: String, _ message: String) -> BadInput {
        flags("--source-sc a --dest-sc b " + arguments, message)
    }

    static func rollback(_ arguments: String, _ message: String) -> BadInput {
        flags("rollback -source-sc a -dest-sc b " + arguments, message)
    }

    private static let good = ["--source-sc", "slow", "--dest-sc", "fast"]

    static func environment(_ environment: [String: String], _ message: String) -> BadInput {
        BadInput(arguments: good, environment: environment, message: message + "; nothing was changed")
    }

    static func kubeconfig(_ text: String, _ arguments: String..., message: String) -> BadInput {
        BadInput(
            arguments: good + ["--kubeconfig", "DIR/config"] + arguments,
            kubeconfig: text,
            server: .real,
            message: message + "; nothing was changed"
        )
    }

    static func server(_ server: Server, _ message: String) -> BadInput {
        BadInput(
            arguments: good + ["--kubeconfig", "DIR/config"],
            kubeconfig: pvmigrateTests.kubeconfig(),
            server: server,
            message: message + "; nothing was changed"
        )
    }

    static func says(_ status: Int, _ body: String, _ message: String) -> BadInput {
        server(.says(status: status, body: body), "list persistentvolumes: " + message)
    }

    static func status(_ server: Server, _ message: String) -> BadInput {
        BadInput(
            arguments: ["status", "-kubeconfig", "DIR/config"],
            kubeconfig: pvmigrateTests.kubeconfig(),
            server: server,
            message: "list persistentvolumes: " + message
        )
    }

    static func annotation(_ objects: [String: JSON], _ row: String) -> BadInput {
        BadInput(
            arguments: good + ["--kubeconfig", "DIR/config", "--dry-run"],
            kubeconfig: pvmigrateTests.kubeconfig(),
            server: .lists(objects),
            code: .refused,
            message: "dry run: 1 obstacle in the way; nothing was changed",
            rows: [row]
        )
    }
}

@Suite("Bad input gets one clear line and changes nothing")
struct BadInputTests {
    @Test(
        "in flags",
        arguments: [
            BadInput.flags("", "--source-sc is missing"),
            .flags("--source-sc a", "--dest-sc is missing"),
            .flags("--dest-sc b", "--source-sc is missing"),
            .flags("--source-sc= --dest-sc b", "--source-sc is empty"),
            .flags("--source-sc a --dest-sc ''", "--dest-sc is empty"),
            .flags("--source-sc a --dest-sc", "Missing value for '--dest-sc <name>'"),
            .flags("-source-sc -dest-sc b", "Missing value for '--source-sc <name>'"),
            .flags("--source-sc a --dest-sc a", "--source-sc and --dest-sc are both \"a\"; they must differ"),
            .flags("--source-sc A --dest-sc b", "--source-sc \"A\" is not the name of a StorageClass"),
            .flags("--source-sc a/b --dest-sc b", "--source-sc \"a/b\" is not the name of a StorageClass"),
            .flags("--source-sc a --dest-sc b..c", "--dest-sc \"b..c\" is not the name of a StorageClass"),
            .migrate("--frobnicate", "Unknown option '--frobnicate'"),
            .flags("--sourcesc a --dest-sc b", "Unknown option '--sourcesc'. Did you mean '--source-sc'?"),
            .migrate("c", "Unexpected argument 'c'"),
            .migrate("--set-defaults true", "Unexpected argument 'true'"),
            .migrate("--dry-run=2", "--dry-run must be true or false, not \"2\""),
            .migrate(
                "--dest-size 10Gi",
                "--dest-size must be a percentage from 1% to 1000%, such as 120%, not \"10Gi\""
            ),
            .flags(
                "rbac --dest-size=0%",
                "--dest-size must be a percentage from 1% to 1000%, such as 120%, not \"0%\""
            ),
            .migrate(
                "--live -copy-from=disk",
                "--copy-from must be one of auto, volume, snapshot, clone, not \"disk\""
            ),
            .migrate(
                "--copy-from clone",
                "--copy-from says what is copied while the workloads run, so it needs --live"
            ),
            .migrate("--qps 0", "--qps must be from 1 to 10000, not 0"),
            .migrate(
                "--bandwidth-limit 0",
                "--bandwidth-limit must be bytes a second, 64K or more, such as 50M or 1.5G, not \"0\""
            ),
            .migrate(
                "--bandwidth-limit=1.5T",
                "--bandwidth-limit must be bytes a second, 64K or more, such as 50M or 1.5G, not \"1.5T\""
            ),
            .migrate(
                "--bandwidth-limit 1.5G --rsync-flags --bwlimit=1m",
                "--bandwidth-limit and a --bwlimit in --rsync-flags exclude each other"
            ),
            .migrate(
                "--bandwidth-limit 50M --streams 2",
                "--bandwidth-limit and --streams exclude each other: only rsync keeps to a limit"
            ),
            .migrate("--verify=full", "--verify must be none, quick or checksum, not \"full\""),
            .migrate("--streams 0", "--streams must be from 1 to 64, not 0"),
            .migrate("--parallel 65", "--parallel must be from 1 to 64, not 65"),
            .migrate("--parallel-per-node=0", "--parallel-per-node must be from 1 to 64, not 0"),
            .migrate("--pvc a", "--pvc \"a\" is not a claim's NAMESPACE/NAME"),
            .migrate("--exclude a/B", "--exclude \"a/B\" is not a claim's NAMESPACE/NAME"),
            .migrate("-n shop,,bank", "--namespace \"\" is not the name of a namespace"),
            .migrate("-l=", "--selector is empty"),
            .migrate(
                "-n shop,bank --exclude-namespace bank",
                "the namespace bank is both in --namespace and in --exclude-namespace"
            ),
            .migrate("-n shop --pvc bank/data", "--pvc bank/data is outside of --namespace"),
            .migrate("--pvc bank/data --exclude bank/data", "--pvc bank/data is left out by --exclude"),
            .migrate("-namespace=", "--namespace is empty; leave it out for all namespaces"),
            .migrate("-namespace a.b", "--namespace \"a.b\" is not the name of a namespace"),
            .migrate("-namespace a/b?c", "--namespace \"a/b?c\" is not the name of a namespace"),
            .migrate("-rsync-image=", "--rsync-image is empty"),
            .migrate("-rsync-image ä", "--rsync-image \"ä\" is not the name of an image"),
            .migrate(
                "-rsync-flags bwlimit=9",
                "--rsync-flags \"bwlimit=9\" is no flag of rsync: it must begin with a dash"
            ),
            .migrate("-kubeconfig=", "--kubeconfig is empty"),
            .migrate("-context ''", "--context is empty"),
            .migrate("--cluster=", "--cluster is empty"),
            .migrate("--as-group ''", "--as-group is empty"),
            .migrate("--token-file=", "--token-file is empty"),
            .migrate("--request-timeout 1x", "--request-timeout must be a duration such as 10s or 2m, not \"1x\""),
            .migrate("-v=6", "--verbose must be true or false, not \"6\""),
            .migrate(
                "-output yaml",
                "The value 'yaml' is invalid for '--output <format>'. Please provide one of 'text', 'json' or 'jsonl'"
            ),
            .migrate("-pod-ready-timeout 1m", "The value '1m' is invalid for '--pod-ready-timeout <seconds>'"),
            .migrate(
                "-pod-ready-timeout=-1",
                "--pod-ready-timeout must be a whole number of seconds from 1 to 1000000, not -1"
            ),
            .migrate(
                "-delete-pv-timeout 0",
                "--delete-pv-timeout must be a whole number of seconds from 1 to 1000000, not 0"
            ),
            .migrate(
                "-preflight-validation-only -skip-preflight-validation",
                "--preflight-validation-only and --skip-preflight-validation exclude each other"
            ),
            .migrate(
                "-preflight-validation-only -dry-run",
                "--preflight-validation-only and --dry-run exclude each other"
            ),
            .flags("rbac --source-sc a", "Unknown option '--source-sc'"),
            .flags("rbac --namespace=", "--namespace is empty; leave it out for all namespaces"),
            .flags("status -source-sc=", "--source-sc is empty"),
            .flags("status -dest-sc A", "--dest-sc \"A\" is not the name of a StorageClass"),
            .flags("status --source-sc a --dest-sc a", "--source-sc and --dest-sc are both \"a\"; they must differ"),
            .flags("status --namespace a.b", "--namespace \"a.b\" is not the name of a namespace"),
            .flags("status --kubeconfig=", "--kubeconfig is empty"),
            .flags("status --set-defaults", "Unknown option '--set-defaults'"),
            .flags("status slow", "Unexpected argument 'slow'"),
            .flags("--dry-run status", "Unexpected argument 'status'"),
            .migrate("-keep-source=2", "--keep-source must be true or false, not \"2\""),
            .migrate("--discard-changes", "Unknown option '--discard-changes'"),
            .flags("rollback", "--source-sc is missing"),
            .flags("rollback --source-sc a", "--dest-sc is missing"),
            .flags("rollback --source-sc a --dest-sc=", "--dest-sc is empty"),
            .flags("rollback --source-sc a --dest-sc a", "--source-sc and --dest-sc are both \"a\"; they must differ"),
            .rollback("-pvc", "Missing value for '--pvc <namespace/name>'"),
            .rollback("-pvc=", "--pvc \"\" is not a claim's NAMESPACE/NAME"),
            .rollback("-pvc data", "--pvc \"data\" is not a claim's NAMESPACE/NAME"),
            .rollback("-pvc /data", "--pvc \"/data\" is not a claim's NAMESPACE/NAME"),
            .rollback("-pvc shop/", "--pvc \"shop/\" is not a claim's NAMESPACE/NAME"),
            .rollback("-pvc shop/data -pvc a/b/c", "--pvc \"a/b/c\" is not a claim's NAMESPACE/NAME"),
            .rollback("-pvc a.b/c", "--pvc \"a.b/c\" is not a claim's NAMESPACE/NAME"),
            .rollback("-discard-changes=maybe", "--discard-changes must be true or false, not \"maybe\""),
            .rollback("-rsync-image=", "--rsync-image is empty"),
            .rollback("-set-defaults", "Unknown option '--set-defaults'"),
            .rollback("shop/data", "Unexpected argument 'shop/data'"),
            .flags("abort", "--source-sc is missing"),
            .flags("abort -dest-sc b", "--source-sc is missing"),
            .flags(
                "abort -source-sc a -dest-sc b -namespace=",
                "--namespace is empty; leave it out for all namespaces"
            ),
            .flags("abort -source-sc a -dest-sc b -dry-run", "Unknown option '--dry-run'"),
            .flags("abort -source-sc a -dest-sc b -context=", "--context is empty"),
            .flags("cleanup", "--keep-days is missing"),
            .flags("cleanup --dry-run -namespace shop", "--keep-days is missing"),
            .flags("cleanup --keep-days", "Missing value for '--keep-days <days>'"),
            .flags("cleanup --keep-days=", "The value '' is invalid for '--keep-days <days>'"),
            .flags("cleanup -keep-days abc", "The value 'abc' is invalid for '--keep-days <days>'"),
            .flags("cleanup -keep-days 7d", "The value '7d' is invalid for '--keep-days <days>'"),
            .flags("cleanup -keep-days 0.5", "The value '0.5' is invalid for '--keep-days <days>'"),
            .flags("cleanup -keep-days -1", "Missing value for '--keep-days <days>'"),
            .flags("cleanup -keep-days=-1", "--keep-days must be a whole number of days from 0 to 100000, not -1"),
            .flags(
                "cleanup -keep-days 100001",
                "--keep-days must be a whole number of days from 0 to 100000, not 100001"
            ),
            .flags(
                "cleanup -keep-days 99999999999999999999",
                "The value '99999999999999999999' is invalid for '--keep-days <days>'"
            ),
            .flags("cleanup -keep-days 7 -namespace A", "--namespace \"A\" is not the name of a namespace"),
            .flags("cleanup -keep-days 7 -source-sc a", "Unknown option '--source-sc'"),
            .flags("cleanup 7", "Unexpected argument '7'"),
            .flags("stauts", "there is no command \"stauts\" (did you mean status?)"),
        ]
    )
    func flags(input: BadInput) async throws { try await check(input) }

    @Test(
        "in the environment",
        arguments: [
            BadInput.environment(
                ["KUBECONFIG": "DIR/gone"],
                "no file of KUBECONFIG exists: DIR/gone"
            ),
            .environment(["KUBECONFIG": "DIR"], "DIR: the kubeconfig cannot be read: is a directory"),
            .environment(
                ["KUBECONFIG": "", "HOME": "DIR"],
                "no kubeconfig: DIR/.kube/config does not exist; name one with --kubeconfig or KUBECONFIG"
            ),
            .environment([:], "no kubeconfig: .kube/config does not exist; name one with --kubeconfig or KUBECONFIG"),
        ]
    )
    func environment(input: BadInput) async throws { try await check(input) }

    @Test(
        "in the kubeconfig",
        arguments: [
            BadInput.kubeconfig(
                "",
                message: "DIR/config: the kubeconfig is empty: it has no contexts, clusters or users"
            ),
            .kubeconfig(
                "a: [",
                message: "DIR/config:2:1: while parsing a flow node from 2:1: did not find expected node content"
            ),
            .kubeconfig("kind: Pod", message: "DIR/config:1:7: this is no kubeconfig: its kind is Pod, not Config"),
            .kubeconfig(
                kubeconfig(),
                "--context",
                "prod",
                message: "DIR/config: there is no context \"prod\"; there are: c"
            ),
            .kubeconfig(
                "contexts: [{name: a, context: {cluster: x}}]\ncurrent-context: a\nclusters: [{name: v}]",
                message: "DIR/config:1:41: there is no cluster \"x\"; there are: v"
            ),
            .kubeconfig(
                kubeconfig(cluster: "{server: 'https://a', certificate-authority-data: '%%'}"),
                message: "DIR/config:5:81: certificate-authority-data is not valid base64"
            ),
            .kubeconfig(
                kubeconfig(user: "{client-certificate: gone.crt}"),
                message: "DIR/config:6:46: client-certificate DIR/gone.crt cannot be used: no such file or directory"
            ),
            .kubeconfig(
                kubeconfig(user: "{auth-provider: {name: gcp}}"),
                message: "DIR/config:6:41: the auth-provider \"gcp\" was removed in kubectl 1.26; use an exec plugin "
                    + "(gke-gcloud-auth-plugin, kubelogin, ...)"
            ),
            .kubeconfig(
                kubeconfig(
                    user: "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, "
                        + "interactiveMode: Never, installHint: see example.com}}"
                ),
                message:
                    "list persistentvolumes: the credential plugin no-such-plugin of the user \"u\" (DIR/config:6:32) was not "
                    + "found, or cannot be run; see example.com"
            ),
        ]
    )
    func kubeconfigs(input: BadInput) async throws { try await check(input) }

    @Test(
        "in annotations",
        arguments: [
            BadInput.annotation(
                ScriptedServer.shop(claim: ["kurl.sh/pvcmigrate-destinationaccessmode": "ReadWriteSometimes"]),
                "shop        PersistentVolumeClaim shop/data   the annotation kurl.sh/pvcmigrate-destinationaccessmode is "
                    + "\"ReadWriteSometimes\"; it must be one of ReadWriteOnce, ReadWriteMany, ReadOnlyMany, "
                    + "ReadWriteOncePod"
            ),
            .annotation(
                ScriptedServer.shop(workload: ["kurl.sh/pvcmigrate-scale": "many"]),
                "shop        Deployment shop/web   the annotation kurl.sh/pvcmigrate-scale is \"many\", which is no "
                    + "number of replicas; correct or remove it"
            ),
            .annotation(
                ScriptedServer.shop(workload: ["kurl.sh/pvcmigrate-scale": "-1"]),
                "shop        Deployment shop/web   the annotation kurl.sh/pvcmigrate-scale is \"-1\", which is no "
                    + "number of replicas; correct or remove it"
            ),
        ]
    )
    func annotations(input: BadInput) async throws { try await check(input) }

    private static let whoever = "is https://a.example.com an API server of Kubernetes?"

    @Test(
        "in what the server says",
        arguments: [
            BadInput.says(
                200,
                "<html>\n<body>Log in</body></html>",
                "the answer is not what an API server says: <html> <body>Log in</body></html>; \(whoever)"
            ),
            .says(
                200,
                #"{"kind":"PersistentVolumeList","metadata":{},"items":[{"meta"#,
                #"the answer is not what an API server says: {"kind":"PersistentVolumeList","metadata":{},"#
                    + #""items":[{"meta; \#(whoever)"#
            ),
            .says(
                200,
                #"{"kind":"PodList","metadata":{},"items":[]}"#,
                #"the answer is not what an API server says: {"kind":"PodList","metadata":{},"items":[]}; \#(whoever)"#
            ),
            .says(200, "", "the answer is not what an API server says: an empty body; \(whoever)"),
            .says(200, "[]", "the answer is not what an API server says: []; \(whoever)"),
            .says(
                302,
                "",
                "the server answered with a redirect (HTTP 302); is the server in the kubeconfig the API server itself?"
            ),
            .says(
                401,
                #"{"kind":"Status","code":401,"reason":"Unauthorized","message":"Unauthorized"}"#,
                "Unauthorized; the credentials of the context \"c\" are not accepted: log in again, or choose another "
                    + "--context"
            ),
            .says(
                403,
                #"{"kind":"Status","code":403,"reason":"Forbidden","message":"jane may not\tlist volumes\n\nask bob"}"#,
                "jane may not list volumes; ask bob; `pvmigrate rbac` prints all permissions that a run needs"
            ),
            .says(404, "404 page not found", "the server answered HTTP 404: 404 page not found; \(whoever)"),
            .says(
                500,
                #"{"kind":"Status","code":500,"message":"etcd is gone"}"#,
                "etcd is gone; run again when the server is well"
            ),
            .says(
                503,
                "no healthy upstream",
                "the server answered HTTP 503: no healthy upstream; run again when the server is well"
            ),
            .says(
                200,
                "\u{1b}[31mred\u{7}",
                "the answer is not what an API server says: [31mred; \(whoever)"
            ),
            .status(
                .says(status: 403, body: #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not you"}"#),
                "not you; `pvmigrate rbac` prints all permissions that a run needs"
            ),
            .status(
                .breaks(TransportError(.notSent, "connection refused")),
                "connection refused; is https://a.example.com right, and can it be reached from here?"
            ),
            .server(
                .breaks(TransportError(.notSent, "connection refused")),
                "list persistentvolumes: connection refused; is https://a.example.com right, and can it be reached "
                    + "from here?"
            ),
            .server(
                .breaks(TransportError(.configuration, "the certificate is not trusted")),
                "list persistentvolumes: the certificate is not trusted"
            ),
        ]
    )
    func servers(input: BadInput) async throws { try await check(input) }

    private func check(_ input: BadInput) async throws {
        let folder = try TemporaryFolder()
        if let text = input.kubeconfig { try folder.write("config", text) }
        func inFolder(_ text: String) -> String { text.replacingOccurrences(of: "DIR", with: folder.path) }
        let server = ScriptedServer { request in
            switch input.server {
            case .says(let status, let headers, let body):
                return Response(status: status, headers: headers, body: Data(body.utf8))
            case .breaks(let error): throw error
            case .lists(let objects):
                var response = try ScriptedServer.lists(objects)(request)
                response.headers = []
                return response
            case .notAsked, .real:
                Issue.record("the server was asked")
                return Response(status: 500)
            }
        }
        let console = Console()
        let code = await run(
            input.arguments.map(inFolder),
            in: console.surroundings(environment: input.environment.mapValues(inFolder), time: .instant) { found in
                if case .real = input.server { return try CurlTransport.make(found) }
                return server
            },
            interruption: Interruption()
        )
        let result = console.run(ending: code)
        #expect(result.code == input.code)
        #expect(result.errors == "error: " + inFolder(input.message) + "\n")
        for row in input.rows {
            #expect(result.output.split(separator: "\n").contains { $0 == row }, "\(result.output)")
        }
        if input.rows.isEmpty { #expect(result.output == "") }
        // An access review asks, and keeps nothing.
        #expect(server.requests.allSatisfy { $0.method == .get || $0.target.hasSuffix("selfsubjectaccessreviews") })
    }
}
