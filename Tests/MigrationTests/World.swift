import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// A cluster with workloads that write all the time, and what has to be true of it after a migration.
struct World: Sendable {
    static let source = "slow"
    static let destination = "fast"
    static let otherNamespace = "shop-eu"

    var cluster: Cluster
    /// The workloads as they were made, by kind and name: their scale is to be the same afterwards.
    private(set) var scales: [ObjectKey: Int] = [:]
    /// What is stopped otherwise than by its scale, as it was before.
    var going: [ObjectKey: JSON] = [:]
    /// Who else is at work in the cluster, such as an operator.
    var meddler: Meddler?
    /// The claims that are to be on the destination class afterwards.
    private(set) var claims: Set<ObjectName> = []
    /// The claims and their volumes as they were before anything was migrated.
    private(set) var sources: [ObjectName: Source] = [:]
    /// The claims that standing pods mount before anything is migrated.
    private(set) var used: Set<ObjectName> = []
    /// What is none of the migration's business, as it was at the start.
    private(set) var bystanders: [ObjectKey: JSON] = [:]
    /// The reclaim policy that the source class gives to its volumes.
    let policy: String
    /// The classes of the migration, which goes back where they are the other way round.
    private(set) var (from, to) = (Self.source, Self.destination)
    /// What is to become of the source volumes.
    var sourcesLater = Fate.gone
    /// True where the destination class is to be the default one afterwards, else the source class stays it.
    var hasNewDefault = false

    /// True where a process has died: one that dies between creating a staging claim and writing that down leaks it.
    var mayLeak = false

    /// True where claim templates are to name the destination class afterwards.
    var hasNewTemplates = false

    /// The transfer that the world goes through in place of a migration.
    var handover: Handover?

    enum Fate {
        case gone
        /// For a rollback.
        case kept
        /// Untouched, since the Go tool has left nothing that would say whose it is.
        case left
    }

    init(
        seed: UInt64 = 1,
        policy: String = "Delete",
        waitForFirstConsumer: Bool = false,
        lostRaces: Double = 0,
        provisioner: String = "network.csi.example.com"
    ) {
        cluster = Cluster(seed: seed)
        self.policy = policy
        cluster.behaviour.lostRaceProbability = lostRaces
        cluster.behaviour.denied = Self.commands
        for node in ["node-1", "node-2"] { cluster.addNode(node) }
        make(
            .storageClasses,
            nil,
            [
                "metadata": [
                    "name": .string(Self.source), "annotations": .object([StorageClass.defaultAnnotation: "true"]),
                ],
                "provisioner": .string(provisioner), "reclaimPolicy": .string(policy),
            ]
        )
        make(
            .storageClasses,
            nil,
            [
                "metadata": ["name": .string(Self.destination)], "provisioner": .string(provisioner),
                "reclaimPolicy": "Delete",
                "volumeBindingMode": waitForFirstConsumer ? "WaitForFirstConsumer" : "Immediate",
            ]
        )
        make(.namespaces, nil, ["metadata": ["name": "shop"]])
    }

    /// The same with another cluster: of another moment, mostly.
    func with(_ cluster: Cluster) -> World {
        var world = self
        world.cluster = cluster
        return world
    }

    @discardableResult
    mutating func make(_ resource: Resource, _ namespace: String?, _ object: JSON) -> JSON {
        do {
            return try cluster.create(resource, namespace: namespace, object)
        } catch {
            Issue.record("the world could not be made: \(error)")
            return .null
        }
    }

    mutating func change(_ key: ObjectKey, _ change: (inout JSON) -> Void) {
        do {
            try cluster.update(key, change)
        } catch {
            Issue.record("the world could not be made: \(error)")
        }
    }

    // MARK: What there is

    mutating func addClaim(
        _ name: String,
        in namespace: String = "shop",
        annotations: [String: JSON] = [:],
        modes: JSON = ["ReadWriteOnce"]
    ) {
        var spec = Self.claimSpec(of: Self.source)
        spec["accessModes"] = modes
        make(
            .persistentVolumeClaims,
            namespace,
            [
                "metadata": [
                    "name": .string(name), "labels": ["app": "x"],
                    "annotations": .object(annotations.merging(["team": "blue"]) { $1 }),
                ],
                "spec": spec,
            ]
        )
        claims.insert(ObjectName(name, in: namespace))
    }

    private static let commands: Set<String> = ["get pods/exec", "create pods/exec"]

    /// Lets movers stand, which are told what to do by commands.
    mutating func letMoversStand() {
        cluster.behaviour.denied = []
        cluster.behaviour.scripts = [
            CopyScript.text: "serve /work \"$@\"", CopyScript.tellText: "ask /work \"$@\"",
        ]
    }

    /// Has SELinux label files on all nodes, so that no mover may stand beside a workload.
    mutating func labelFiles() {
        cluster.behaviour.scripts[RsyncFlags().tryingCommand[2]] =
            "\"$@\"; echo system_u:system_r:container_t:s0:c1,c2; echo label shown"
    }

    private static func claimSpec(of storageClass: String) -> JSON {
        [
            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(storageClass),
            "resources": ["requests": ["storage": "16Mi"]],
        ]
    }

    /// A Deployment whose pods write into each of the claims.
    mutating func addDeployment(
        _ name: String,
        in namespace: String = "shop",
        claims names: [String],
        replicas: Int = 1,
        nodeSelector: JSON = ["kubernetes.io/hostname": "node-2"]
    ) {
        var template = Self.template(app: name, mounts: names) { ["persistentVolumeClaim": ["claimName": .string($0)]] }
        template[path: ["spec", "nodeSelector"]] = nodeSelector
        make(
            .deployments,
            namespace,
            [
                "metadata": ["name": .string(name)],
                "spec": [
                    "replicas": .integer(Int64(replicas)), "selector": ["matchLabels": ["app": .string(name)]],
                    "template": template,
                ],
            ]
        )
        scales[ObjectKey(.deployments, namespace, name)] = replicas
    }

    /// A StatefulSet whose pods write into a claim of each template.
    mutating func addStatefulSet(
        _ name: String,
        in namespace: String = "shop",
        templates: [String],
        replicas: Int,
        whenScaled: String? = nil,
        whenDeleted: String? = nil
    ) {
        var spec: JSON = [
            "replicas": .integer(Int64(replicas)), "serviceName": .string(name),
            "selector": ["matchLabels": ["app": .string(name)]],
            "template": Self.template(app: name, mounts: templates, volume: nil),
            "volumeClaimTemplates": .array(
                templates.map { template in
                    [
                        "metadata": ["name": .string(template)],
                        "spec": Self.claimSpec(of: Self.source),
                    ]
                }
            ),
        ]
        if let whenScaled { spec["persistentVolumeClaimRetentionPolicy"] = ["whenScaled": .string(whenScaled)] }
        if let whenDeleted { spec["persistentVolumeClaimRetentionPolicy"] = ["whenDeleted": .string(whenDeleted)] }
        make(.statefulSets, namespace, ["metadata": ["name": .string(name)], "spec": spec])
        scales[ObjectKey(.statefulSets, namespace, name)] = replicas
        for template in templates {
            for ordinal in 0..<replicas { claims.insert(ObjectName("\(template)-\(name)-\(ordinal)", in: namespace)) }
        }
    }

    /// What others have in the cluster, each of it easily taken for the migration's.
    mutating func addBystanders() {
        let third = "third"
        make(
            .storageClasses,
            nil,
            ["metadata": ["name": .string(third)], "provisioner": "network.csi.example.com", "reclaimPolicy": "Delete"]
        )
        // A claim that waits, and could take any volume of the destination class that is there for all.
        let provisioners = cluster.behaviour.provisioners
        for name in provisioners.keys { cluster.behaviour.provisioners[name]?.delay = .seconds(1_000_000) }
        bystand(
            .persistentVolumeClaims,
            "shop",
            ["metadata": ["name": "waiting"], "spec": Self.claimSpec(of: Self.destination)]
        )
        cluster.advance(to: cluster.now + .seconds(1))
        cluster.behaviour.provisioners = provisioners
        // A released volume of the source class.
        bystand(
            .persistentVolumes,
            nil,
            [
                "metadata": ["name": "released"],
                "spec": [
                    "capacity": ["storage": "16Mi"], "accessModes": ["ReadWriteOnce"],
                    "storageClassName": .string(Self.source), "persistentVolumeReclaimPolicy": "Retain",
                    "csi": ["driver": "network.csi.example.com", "volumeHandle": "released"],
                    "claimRef": [
                        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "shop", "name": "gone",
                        "uid": "00000000-0000-4000-8000-000000000000",
                    ],
                ],
            ]
        )
        // A workload of a third class, and a claim that is named as the staging claim of its claim would be.
        bystand(.persistentVolumeClaims, "shop", ["metadata": ["name": "other"], "spec": Self.claimSpec(of: third)])
        bystand(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": ["name": .string(Marks.stagingName(of: "other"))],
                "spec": Self.claimSpec(of: Self.destination),
            ]
        )
        var template = Self.template(app: "other", mounts: ["other"]) {
            ["persistentVolumeClaim": ["claimName": .string($0)]]
        }
        template[path: ["spec", "containers"]] = [
            [
                "name": "c", "image": "busybox:latest", "command": ["sleep", "infinity"],
                "volumeMounts": [["name": "other", "mountPath": "/other"]],
            ]
        ]
        bystand(
            .deployments,
            "shop",
            [
                "metadata": ["name": "other"],
                "spec": ["replicas": 1, "selector": ["matchLabels": ["app": "other"]], "template": template],
            ]
        )
    }

    private mutating func bystand(_ resource: Resource, _ namespace: String?, _ object: JSON) {
        let name = make(resource, namespace, object)[path: ["metadata", "name"]]?.string ?? ""
        bystanders[ObjectKey(resource, namespace, name)] = .null
    }

    static func template(app: String, mounts: [String], volume: ((String) -> JSON)?) -> JSON {
        var spec: JSON = [
            "terminationGracePeriodSeconds": 1, "nodeSelector": ["kubernetes.io/hostname": "node-2"],
            "containers": .array(
                mounts.enumerated().map { index, name in
                    [
                        "name": .string("c\(index)"), "image": "busybox:latest",
                        "command": ["writer", .string("/\(name)/log"), "1"],
                        "volumeMounts": [["name": .string(name), "mountPath": .string("/\(name)")]],
                    ]
                }
            ),
        ]
        if let volume {
            spec["volumes"] = .array(
                mounts.map { name in
                    var source = volume(name)
                    source["name"] = .string(name)
                    return source
                }
            )
        }
        return ["metadata": ["labels": ["app": .string(app)]], "spec": spec]
    }

    /// Lets time pass until all pods run, and puts files into the claims' volumes.
    mutating func settle() {
        let end = cluster.now + .seconds(60)
        while cluster.now < end { cluster.advance(to: cluster.now + .seconds(1)) }
        for claim in claims {
            guard let volume = self.volume(of: claim) else {
                Issue.record("\(claim) is not bound after a minute")
                continue
            }
            note(claim, volume)
            let node = cluster.list(.pods, namespace: claim.namespace).lazy
                .filter { $0.claimNames.contains(claim.name) }
                .compactMap { $0[path: ["spec", "nodeName"]]?.string }.first
            // A CronJob's pods come and go.
            let stands = cluster.list(.cronJobs, namespace: claim.namespace).isEmpty
            if node != nil, stands { used.insert(claim) }
            cluster.write(Self.files(of: claim), toVolumeNamed: volume, node: node ?? "node-1")
        }
        for key in bystanders.keys { bystanders[key] = cluster.get(key) }
        for key in going.keys { going[key] = cluster.get(key).map { Self.intent(of: $0, key.resource) } }
    }

    private mutating func note(_ claim: ObjectName, _ volume: String) {
        let uid = object(.persistentVolumeClaims, claim)?[path: ["metadata", "uid"]]?.string ?? ""
        sources[claim] = Source(uid: uid, volume: volume, storage: storage(of: volume))
    }

    /// What is behind a volume, by which another object of the same storage is known.
    func storage(of volume: String) -> JSON? {
        let spec = object(.persistentVolumes, ObjectName(volume, in: nil))?["spec"]
        return (spec?["csi"]?["volumeHandle"] ?? spec?["hostPath"]?["path"])
    }

    /// Makes of a migrated world one that goes back.
    mutating func turn() {
        (from, to) = (to, from)
        cluster.advance(to: cluster.now + .seconds(20))
        for claim in claims { note(claim, volume(of: claim) ?? "") }
    }

    static func files(of claim: ObjectName) -> Content {
        var private0 = File("secret of \(claim)", mode: 0o600, owner: 999, group: 998)
        private0.attributes = ["user.origin": "x"]
        return [
            "dir": .directory(mode: 0o750), "dir/private": private0, "empty": File(""),
            "link": .link(to: "dir/private"),
        ]
    }

    /// A claim that is to be migrated, as it was before.
    struct Source: Sendable {
        var uid: String
        var volume: String
        var storage: JSON?
    }

    // MARK: Running

    struct Run: Sendable {
        var report: Report?
        var failure: String?
        var messages: [String]
        var world: World
        var requests: Int
    }

    /// Runs a whole migration in virtual time, as one process.
    func migrate(
        _ options: Options = Options(sourceClass: World.source, destinationClass: World.destination),
        as identity: String = "first",
        seed: UInt64 = 1,
        interruption: Interruption = Interruption(),
        interceptor: Interceptor? = nil,
        observer: Observer? = nil,
        meddler: Meddler? = nil,
        watch: (@Sendable (ObjectName, CopyProgress) -> Void)? = nil,
        through door: (any Transport) -> any Transport = { $0 },
        local: ModelTree? = nil,
        work: @escaping @Sendable (Migrator, Interruption) async throws -> Report = {
            await $0.migrate(try await $0.discover(), interruption: $1)
        }
    ) -> Run {
        let time = VirtualTime(seed: seed)
        let messages = Mutex<[String]>([])
        let count = Mutex(0)
        let simulator = ClusterSimulator(
            cluster,
            time: time.source,
            latency: .milliseconds(5),
            interceptor: interceptor,
            observer: { request, response, cluster in
                count.withLock { $0 += 1 }
                observer?(request, response, cluster)
            },
            meddler: meddler ?? self.meddler
        )
        let journal = Journal(
            time: time.source,
            write: { message in
                messages.withLock {
                    $0.append("[\(message.elapsed.inWords)] \(message.level) \(message.subject): \(message.text)")
                }
            },
            watch: watch
        )
        let client = Client(transport: door(simulator), time: time.source)
        local?.connect(to: simulator)
        let migrator = Migrator(client: client, options: options, journal: journal, local: local)
        var run = Run(messages: [], world: self, requests: 0)
        do {
            // Where it fails, the cluster is not as it was all the same.
            let (result, cluster) = try time.run {
                try await withThrowingTaskGroup(of: Result<Report, any Error>?.self) { group in
                    group.addTask {
                        try await simulator.run()
                        return nil
                    }
                    group.addTask {
                        await Result.of {
                            try await migrator.exclusively(as: identity, interruption: interruption) {
                                try await work(migrator, interruption)
                            }
                        }
                    }
                    defer { group.cancelAll() }
                    while let next = try await group.next() {
                        if let next { return (next, await simulator.snapshot) }
                    }
                    throw CancellationError()
                }
            }
            run.world.cluster = cluster
            run.report = try result.get()
        } catch {
            run.failure = "\(error)"
        }
        run.messages = messages.withLock { $0 }
        run.requests = count.withLock { $0 }
        return run
    }

    // MARK: Looking

    func object(_ resource: Resource, _ name: ObjectName) -> JSON? {
        cluster.get(ObjectKey(resource, name.namespace, name.name))
    }

    func volume(of claim: ObjectName) -> String? {
        object(.persistentVolumeClaims, claim)?[path: ["spec", "volumeName"]]?.string
    }

    /// How many lines the claim's writer has written, as far as a content has them; nil where other files are wrong.
    static func lines(in content: Content, of claim: ObjectName) -> Int? {
        for (path, file) in files(of: claim) {
            guard let found = content[path], found.content == file.content, found.mode == file.mode,
                found.kind == file.kind,
                found.owner == file.owner
            else { return nil }
        }
        // Each pod counts from one; a line that is missing in the middle was lost. A pod that ends may write beside the
        // next one for a moment.
        var (lines, number) = (0, 0)
        var last: [Int] = []
        for byte in Array((content["log"]?.content ?? "").utf8) {
            if byte == UInt8(ascii: "\n") {
                if number == 1 {
                    last.append(1)
                } else if let pod = last.lastIndex(of: number - 1) {
                    last[pod] = number
                } else {
                    return nil
                }
                (lines, number) = (lines + 1, 0)
            } else {
                number = number * 10 + Int(byte) - Int(UInt8(ascii: "0"))
            }
        }
        return lines
    }
}

extension JSON {
    fileprivate var claimNames: [String] {
        (self[path: ["spec", "volumes"]]?.array ?? []).compactMap {
            $0[path: ["persistentVolumeClaim", "claimName"]]?.string
        }
    }
}
