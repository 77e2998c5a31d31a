import Foundation
import Kubernetes
import Synchronization

@testable import pvmigrate

/// What a run wrote, and how it ended.
struct Run {
    var code: ExitCode
    var output: String
    var errors: String
    var errorLines: [Substring] { errors.split(separator: "\n") }
}

/// Takes down what a run writes.
final class Console: Sendable {
    private let text = Mutex((output: "", errors: ""))

    func surroundings(
        environment: [String: String] = [:],
        terminal: LiveTerminal? = nil,
        ask: Ask? = nil,
        time: TimeSource,
        connect: @escaping @Sendable (Configuration) throws -> any Transport
    ) -> Surroundings {
        Surroundings(
            environment: environment,
            output: { line in self.text.withLock { $0.output += line } },
            errors: { line in
                self.text.withLock { $0.errors += line }
                terminal?.write(line)
            },
            terminal: terminal,
            ask: ask,
            time: time,
            connect: connect
        )
    }

    func run(ending code: ExitCode) -> Run {
        text.withLock { Run(code: code, output: $0.output, errors: $0.errors) }
    }
}

extension TimeSource {
    /// Time in which nobody waits: every sleep ends at once, at the moment that it waited for.
    static var instant: TimeSource {
        let now = Box(Duration.zero)
        return TimeSource(
            now: { now.value.withLock { $0 } },
            sleep: { moment in
                try Task.checkCancellation()
                now.value.withLock { $0 = max($0, moment) }
            }
        )
    }
}

final class Box<Value: Sendable>: Sendable {
    let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }
}

/// An API server of fixed answers, which takes down what it is asked.
final class ScriptedServer: Transport {
    private let answer: @Sendable (Request) throws -> Response
    private let seen = Mutex<[Request]>([])

    init(_ answer: @escaping @Sendable (Request) throws -> Response) { self.answer = answer }

    var requests: [Request] { seen.withLock { $0 } }

    func send(_ request: Request) async throws -> Response {
        seen.withLock { $0.append(request) }
        return try answer(request)
    }

    func open(_ request: Request) async throws -> StreamingResponse {
        throw TransportError(.configuration, "nothing is followed here")
    }

    /// A cluster of two classes, and of what else is given: the items of a list by the list's name in the path.
    static func lists(_ objects: [String: JSON] = [:]) -> @Sendable (Request) throws -> Response {
        let kinds = [
            "storageclasses": "StorageClass", "persistentvolumes": "PersistentVolume",
            "persistentvolumeclaims": "PersistentVolumeClaim", "pods": "Pod", "statefulsets": "StatefulSet",
            "deployments": "Deployment", "daemonsets": "DaemonSet", "replicasets": "ReplicaSet",
            "replicationcontrollers": "ReplicationController", "jobs": "Job", "cronjobs": "CronJob",
            "configmaps": "ConfigMap",
        ]
        return { request in
            let plural = request.target.prefix { $0 != "?" }.split(separator: "/").last.map(String.init) ?? ""
            guard let kind = kinds[plural] else {
                return Response(status: 404, body: Data(#"{"kind":"Status","message":"no \#(plural) here"}"#.utf8))
            }
            let classes: JSON = [storageClass("slow"), storageClass("fast")]
            let items = objects[plural] ?? (plural == "storageclasses" ? classes : [])
            let list: JSON = ["kind": .string(kind + "List"), "metadata": ["resourceVersion": "1"], "items": items]
            return Response(status: 200, headers: [("Warning", "299 - \"this is old\"")], body: list.text)
        }
    }

    static func storageClass(_ name: String) -> JSON {
        ["metadata": metadata(name, namespaced: false), "provisioner": "example.com/disk"]
    }

    static func metadata(_ name: String, namespaced: Bool = true, annotations: [String: JSON] = [:]) -> JSON {
        var metadata: JSON = [
            "name": .string(name), "uid": .string("uid-\(name)"), "resourceVersion": "1",
            "annotations": .object(annotations),
        ]
        if namespaced { metadata["namespace"] = "shop" }
        return metadata
    }

    /// A bound claim with its volume, and a Deployment that mounts it.
    static func shop(claim: [String: JSON] = [:], workload: [String: JSON] = [:]) -> [String: JSON] {
        [
            "persistentvolumes": [
                [
                    "metadata": metadata("pv-1", namespaced: false),
                    "spec": [
                        "storageClassName": "slow", "capacity": ["storage": "1Gi"],
                        "persistentVolumeReclaimPolicy": "Delete",
                        "claimRef": ["namespace": "shop", "name": "data", "uid": "uid-data"],
                    ],
                    "status": ["phase": "Bound"],
                ]
            ],
            "persistentvolumeclaims": [
                [
                    "metadata": metadata("data", annotations: claim),
                    "spec": [
                        "storageClassName": "slow", "volumeName": "pv-1", "accessModes": ["ReadWriteOnce"],
                        "resources": ["requests": ["storage": "1Gi"]],
                    ],
                    "status": ["phase": "Bound"],
                ]
            ],
            "deployments": [
                [
                    "metadata": metadata("web", annotations: workload),
                    "spec": [
                        "replicas": 2,
                        "template": [
                            "spec": [
                                "volumes": [["name": "v", "persistentVolumeClaim": ["claimName": "data"]]]
                            ]
                        ],
                    ],
                ]
            ],
        ]
    }
}

/// A folder for one test, which goes away with it.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "pvmigrate-\(UUID())").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // Best effort: nothing depends on it.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file and returns its path.
    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(filePath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }
}

/// A kubeconfig with one context; both arguments are flow mappings.
func kubeconfig(cluster: String = "{server: 'https://a.example.com'}", user: String = "{}") -> String {
    """
    apiVersion: v1
    kind: Config
    current-context: c
    contexts: [{name: c, context: {cluster: k, user: u}}]
    clusters: [{name: k, cluster: \(cluster)}]
    users: [{name: u, user: \(user)}]

    """
}
