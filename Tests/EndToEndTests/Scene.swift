import Foundation
import Kubernetes
import Testing

/// What one test has of the cluster: namespaces and a pair of StorageClasses of its own, so that tests run side by side
/// and never touch anybody else's claims.
struct Scene: Sendable {
    let cluster: TestCluster
    /// What all names of this test begin with.
    let prefix: String
    let sourceClass: String
    let destinationClass: String

    var client: Client { cluster.client }
    /// The first namespace; there always is one.
    var namespace: String { prefix + "-a" }
    /// Another one, where a test asked for it.
    var otherNamespace: String { prefix + "-b" }

    /// How long anything may take that the cluster does on its own.
    static let limit: Duration = .seconds(180)

    /// How a test's StorageClasses differ from those that the cluster was given with.
    struct Class {
        /// `Immediate` or `WaitForFirstConsumer`; nil for what the original has.
        var bindingMode: String?
        var reclaimPolicy = "Delete"
        var provisioner: String?
    }

    /// Runs a test in a scene, and takes everything away again, whatever came of it.
    ///
    /// - Parameters:
    ///   - namespaces: one or two.
    static func with(
        source: Class = Class(),
        destination: Class = Class(),
        namespaces: Int = 1,
        _ body: (Scene) async throws -> Void
    ) async throws {
        let cluster = try await TestCluster.shared
        try await Places.few.take()
        let prefix = "pvmigrate-e2e-" + String(UInt32.random(in: .min ... .max), radix: 36)
        let scene = Scene(
            cluster: cluster,
            prefix: prefix,
            sourceClass: prefix + "-source",
            destinationClass: prefix + "-dest"
        )
        var failure: (any Error)?
        do {
            try await scene.createClass(scene.sourceClass, like: cluster.sourceClass, source)
            try await scene.createClass(scene.destinationClass, like: cluster.destinationClass, destination)
            for namespace in [scene.namespace, scene.otherNamespace].prefix(namespaces) {
                try await scene.create(.namespaces, namespace, [:])
            }
            try await body(scene)
        } catch {
            failure = error
        }
        // In a task of its own: this one may have been cancelled.
        let end = await Task { try await scene.end() }.result
        await Places.few.leave()
        if let failure { throw failure }
        try end.get()
    }

    // MARK: Making

    /// Creates an object of the test, in a namespace where its kind lives in one.
    @discardableResult
    func create(_ resource: APIResource, _ name: String, in namespace: String? = nil, _ manifest: JSON) async throws
        -> JSON
    {
        let namespace = resource.namespaced ? namespace ?? self.namespace : nil
        var manifest = manifest
        manifest["apiVersion"] = .string(resource.apiVersion)
        manifest["kind"] = .string(resource.kind)
        manifest[path: ["metadata", "name"]] = .string(name)
        return try await client.create(resource, in: namespace, manifest)
    }

    private func createClass(_ name: String, like original: String, _ wanted: Class) async throws {
        let original = try await client.get(.storageClasses, ObjectName(original, in: nil))
        var manifest: JSON = ["reclaimPolicy": .string(wanted.reclaimPolicy)]
        for field in ["provisioner", "parameters", "mountOptions", "allowVolumeExpansion", "allowedTopologies"] {
            manifest[field] = original[field]
        }
        if let provisioner = wanted.provisioner { manifest["provisioner"] = .string(provisioner) }
        manifest["volumeBindingMode"] = wanted.bindingMode.map(JSON.string) ?? original["volumeBindingMode"]
        try await create(.storageClasses, name, manifest)
    }

    /// Creates a claim on the source class.
    func createClaim(
        _ name: String,
        in namespace: String? = nil,
        class className: String? = nil,
        modes: [String] = ["ReadWriteOnce"],
        metadata: JSON = [:]
    ) async throws {
        var manifest = Self.claim(class: className ?? sourceClass, modes: modes)
        manifest["metadata"] = metadata
        try await create(.claims, name, in: namespace, manifest)
    }

    static func claim(class className: String, modes: [String] = ["ReadWriteOnce"]) -> JSON {
        [
            "spec": [
                "accessModes": .array(modes.map(JSON.string)), "storageClassName": .string(className),
                "resources": ["requests": ["storage": "1Gi"]],
            ]
        ]
    }

    /// Writes down on which node the volume of a claim is that no pod mounts, where nothing else tells it.
    func nameNode(of claim: String) async throws {
        let volume = try await volume(of: claim)
        guard volume.spec.hostPath != nil, volume.spec.nodeAffinity == nil else { return }
        let mark: JSON = ["annotations": .object(["kurl.sh/pvcmigrate-sourcenode": .string(cluster.node)])]
        try await client.patch(PersistentVolume.self, volume.name, .merge(["metadata": mark]))
    }

    // MARK: Running pvmigrate

    /// The flags that name the test's classes.
    var classes: [String] { ["--source-sc", sourceClass, "--dest-sc", destinationClass] }

    /// Runs `pvmigrate` from the test's source class to its destination class.
    func migrate(_ further: String..., kubeconfig: String? = nil) async throws -> Program {
        try await run(classes + further, kubeconfig: kubeconfig)
    }

    /// Runs `pvmigrate` where it depends on the storage whether it can do what the test wants of it: preflight's
    /// refusal then ends the test without a verdict, but for the sandbox, whose storage can do everything.
    func migrateWherePossible() async throws -> Program {
        let run = try await migrate()
        if run.exitCode == 2, cluster.sandbox == nil {
            try Test.cancel("this cluster's storage cannot do that:\n\(run.output)")
        }
        return run
    }

    /// Runs `pvmigrate` with these arguments, besides those that name cluster and image.
    func run(_ arguments: [String], kubeconfig: String? = nil) async throws -> Program {
        try await start(arguments, kubeconfig: kubeconfig).end()
    }

    /// Starts what `run` runs.
    func start(
        _ arguments: [String],
        kubeconfig: String? = nil,
        output: Program.Output = .kept
    ) throws -> RunningProgram {
        // Another command than a migration is named by the first argument.
        let names = arguments.prefix { !$0.hasPrefix("-") }
        let image =
            [[], ["rollback"], ["stage"], ["transfer"], ["stage", "transfer"]].contains(names)
                || ["upload", "download"].contains(names.first)
            ? ["--rsync-image", cluster.rsyncImage] : []
        let general = cluster.connection(kubeconfig: kubeconfig) + image
        return try Program.start(names + general + arguments.dropFirst(names.count), output: output)
    }

    /// Starts a migration that takes minutes, and waits until it copies what nobody uses any more.
    func startSlowly() async throws -> RunningProgram {
        let flags = ["--skip-preflight-validation", "--no-early-pass", "--rsync-flags=--bwlimit=200"]
        let run = try start(classes + flags)
        try await client.wait(for: Pod.self, in: namespace, limit: Self.limit, what: "a mover to run") { pods in
            let movers = pods.objects.values.filter { $0.metadata.annotation("kurl.sh/pvcmigrate-kind") == "migrate" }
            let isCopying = movers.contains { $0.state(of: "copy")?.running != nil }
            return isCopying && movers.count == pods.objects.count ? () : nil
        }
        return run
    }

    /// Asks `pvmigrate status` for what there is in the test's first namespace.
    func status(_ further: String...) async throws -> Program {
        try await run(["status", "--namespace", namespace] + further)
    }

    /// Swaps claims back to the volumes that were kept for them.
    func rollback(_ further: String...) async throws -> Program {
        try await run(["rollback"] + classes + further)
    }

    // MARK: Looking

    func claim(_ name: String, in namespace: String? = nil) async throws -> PersistentVolumeClaim {
        try await client.get(PersistentVolumeClaim.self, ObjectName(name, in: namespace ?? self.namespace))
    }

    /// The volume that a claim is bound to.
    func volume(of claim: String, in namespace: String? = nil) async throws -> PersistentVolume {
        let claim = try await self.claim(claim, in: namespace)
        guard let name = claim.spec.volumeName else { throw Surprise("\(claim.title) has no volume") }
        return try await client.get(PersistentVolume.self, ObjectName(name, in: nil))
    }

    /// The test's volumes: those of its two classes.
    func volumes() async throws -> [PersistentVolume] {
        try await client.list(PersistentVolume.self).filter {
            [sourceClass, destinationClass].contains($0.spec.storageClassName)
        }
    }

    /// The namespaces that the test has.
    func namespaces() async throws -> [Namespace] {
        try await client.list(Namespace.self).filter { $0.metadata.name.hasPrefix(prefix + "-") }
    }

    // MARK: Locks

    /// The lock of a run, where there is one.
    func lock(of storageClass: String) async throws -> Lock? {
        try await client.find(Lock.self, ObjectName("pvmigrate-\(storageClass)", in: "default"))
    }

    /// Removes the locks of runs that are dead, as whoever killed them may: else the next one first looks on for 15 s
    /// whether they are.
    func removeLocks() async throws {
        for storageClass in [sourceClass, destinationClass] {
            guard let lock = try await lock(of: storageClass) else { continue }
            try await client.delete(.leases, lock.name, uid: lock.metadata.uid)
        }
    }

    // MARK: Tidying up

    /// Deletes everything of the test and waits until it is gone.
    private func end() async throws {
        let namespaces = try await namespaces()
        for namespace in namespaces {
            try await client.delete(.namespaces, namespace.name, uid: namespace.metadata.uid)
        }
        for namespace in namespaces { try await waitUntilGone(namespace) }
        for volume in try await volumes() {
            do {
                if volume.phase == .available {
                    // Reserved for a claim that never came: nobody reclaims it.
                    try await client.delete(.volumes, volume.name, uid: volume.metadata.uid)
                } else if volume.reclaimPolicy != .delete {
                    // It was to be retained, but its storage is the test's own.
                    let policy: JSON = ["persistentVolumeReclaimPolicy": "Delete"]
                    try await client.patch(PersistentVolume.self, volume.name, .merge(["spec": policy]))
                }
            } catch let error as APIError where error.reason == .notFound {
                // Just gone.
            }
        }
        for volume in try await volumes() { try await waitUntilGone(volume) }
        try await removeLocks()
        for name in [sourceClass, destinationClass] {
            guard let made = try await client.find(StorageClass.self, ObjectName(name, in: nil)) else { continue }
            try await client.delete(.storageClasses, made.name, uid: made.metadata.uid)
        }
    }

    /// Waits until exactly this object is gone.
    func waitUntilGone<Object: KubernetesObject>(_ object: Object) async throws {
        try await client.wait(
            for: Object.self,
            in: object.metadata.namespace,
            named: object.metadata.name,
            limit: Self.limit,
            what: "\(object.title) to be gone"
        ) { $0.objects[object.metadata.uid] == nil ? () : nil }
    }
}

/// The Lease that keeps a second run from migrating the same class.
struct Lock: KubernetesObject {
    static let resource = APIResource.leases
    var metadata: ObjectMeta
}

/// Lets a few tests run at a time: many more would only slow each other, and small clusters, down.
private actor Places {
    static let few = Places(4)

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func take() async throws {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
        do {
            try Task.checkCancellation()
        } catch {
            leave()
            throw error
        }
    }

    func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
