import Foundation
import Kubernetes

/// The cluster that the tests run on: the one that `scripts/e2e` names, or a sandbox of their own.
///
/// Nothing is asked of it but two StorageClasses that provision, two images, and a node that takes pods.
struct TestCluster: Sendable {
    var kubeconfig: String
    var context: String?
    /// The classes whose provisioners and parameters the tests' own classes have.
    var sourceClass = "default"
    var destinationClass = "mynewsc"
    /// An image with a shell and the usual programs, busybox suffices.
    var image = "busybox:latest"
    var rsyncImage = "eeacms/rsync:2.3"
    /// Only where there is no cluster but the sandbox.
    var sandbox: Sandbox?
    let client: Client
    /// The host name of the node that all pods of the tests run on, so that they find each other's data where volumes
    /// are directories of a node.
    let hostname: String
    /// That node's name.
    let node: String
    /// The host names of the other nodes that take pods.
    let otherHostnames: [String]

    private static let environment = ProcessInfo.processInfo.environment
    static let isSandbox = variable("KUBECONFIG") == nil
    private static let starting = Task { try await TestCluster() }

    /// The same cluster for all tests.
    static var shared: TestCluster { get async throws { try await starting.value } }

    static func variable(_ name: String) -> String? {
        guard let value = environment["PVMIGRATE_E2E_" + name], !value.isEmpty else { return nil }
        return value
    }

    private init() async throws {
        if let kubeconfig = Self.variable("KUBECONFIG") {
            self.kubeconfig = kubeconfig
        } else {
            let sandbox = try Sandbox()
            self.sandbox = sandbox
            kubeconfig = sandbox.kubeconfig
        }
        context = Self.variable("CONTEXT")
        sourceClass = Self.variable("SOURCE_SC") ?? sourceClass
        destinationClass = Self.variable("DEST_SC") ?? destinationClass
        image = Self.variable("IMAGE") ?? image
        rsyncImage = Self.variable("RSYNC_IMAGE") ?? rsyncImage
        let configuration = try Configuration.load(
            kubeconfig: kubeconfig,
            context: context,
            environment: Self.environment,
            home: Self.environment["HOME"]
        )
        client = Client(transport: try CurlTransport.make(configuration, userAgent: "pvmigrate-e2e"))
        let nodes = try await client.list(ReadyNode.self)
        guard let node = nodes.first(where: \.takesPods), let hostname = node.hostname else {
            throw Surprise("no node takes pods: \(nodes.map(\.metadata.name))")
        }
        self.node = node.metadata.name
        self.hostname = hostname
        otherHostnames = nodes.filter { $0.takesPods && $0.metadata.name != node.metadata.name }.compactMap(\.hostname)
    }

    /// How every command of `pvmigrate` finds this cluster.
    func connection(kubeconfig other: String? = nil) -> [String] {
        ["--kubeconfig", other ?? kubeconfig] + (context.map { ["--context", $0] } ?? [])
    }
}

/// A node, as far as it matters here.
private struct ReadyNode: KubernetesObject {
    static let resource = APIResource.nodes

    struct Spec: Decodable {
        struct Taint: Decodable { var effect: String }
        var unschedulable: Bool?
        var taints: [Taint]?
    }
    struct Status: Decodable {
        var conditions: [Pod.Condition]?
    }

    var metadata: ObjectMeta
    var spec: Spec
    var status: Status?

    var hostname: String? { metadata.labels?["kubernetes.io/hostname"] }
    var takesPods: Bool {
        spec.unschedulable != true && !(spec.taints ?? []).contains { $0.effect != "PreferNoSchedule" }
            && status?.conditions?.contains { $0.type == "Ready" && $0.status == "True" } == true && hostname != nil
    }
}

struct Namespace: KubernetesObject {
    static let resource = APIResource.namespaces
    var metadata: ObjectMeta
}
