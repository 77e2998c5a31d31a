import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// A cluster as lists of objects.
private struct Objects {
    var volumes: [JSON] = []
    var claims: [JSON] = []
    var pods: [JSON] = []
    var deployments: [JSON] = []
    var sets: [JSON] = []
    var leases: [JSON] = []
    var classes: [String]? = ["slow", "fast"]

    func status(
        source: String? = nil,
        destination: String? = nil,
        namespace: String? = nil,
        now: String = "2026-08-01T12:00:00Z"
    ) throws -> MigrationStatus {
        func decode<Value: Decodable>(_ objects: [JSON]) throws -> [Value] {
            try objects.map { try JSONDecoder().decode(Value.self, from: $0.text) }
        }
        let deployments: [WorkloadObject] = try decode(deployments)
        let sets: [WorkloadObject] = try decode(sets)
        let survey = Survey(
            inventory: Inventory(
                volumes: try decode(volumes),
                claims: try decode(claims),
                pods: try decode(pods),
                workloads: deployments.compactMap { Workload($0, of: .deployments) }
                    + sets.compactMap { Workload($0, of: .statefulSets) }
            ),
            leases: try decode(leases),
            classes: classes,
            now: try #require(Date(api: now))
        )
        var scope = MigrationStatus.Scope()
        (scope.sourceClass, scope.destinationClass) = (source, destination)
        if let namespace { scope.selection.namespaces = [namespace] }
        return MigrationStatus(survey, scope: scope)
    }

    private static func metadata(_ name: String, _ marks: [String: String], namespaced: Bool = true) -> JSON {
        var metadata: JSON = [
            "name": .string(name), "uid": .string("uid-\(name)"), "resourceVersion": "1",
            "creationTimestamp": "2026-08-01T10:00:00Z", "annotations": .object(marks.mapValues(JSON.string)),
        ]
        if namespaced { metadata["namespace"] = "shop" }
        return metadata
    }

    mutating func addVolume(
        _ name: String,
        of storageClass: String,
        claim: String?,
        uid: String? = nil,
        policy: String = "Retain",
        phase: String = "Bound",
        _ marks: [String: String] = [:]
    ) {
        var spec: JSON = [
            "storageClassName": .string(storageClass), "persistentVolumeReclaimPolicy": .string(policy),
            "capacity": ["storage": "1Gi"],
        ]
        if let claim {
            spec["claimRef"] = ["namespace": "shop", "name": .string(claim), "uid": .string(uid ?? "uid-\(claim)")]
        }
        volumes.append([
            "metadata": Self.metadata(name, marks, namespaced: false), "spec": spec,
            "status": ["phase": .string(phase)],
        ])
    }

    mutating func addClaim(
        _ name: String,
        of storageClass: String,
        volume: String?,
        phase: String = "Bound",
        created: String = "2026-08-01T10:00:00Z",
        _ marks: [String: String] = [:]
    ) {
        var spec: JSON = ["storageClassName": .string(storageClass), "accessModes": ["ReadWriteOnce"]]
        spec["volumeName"] = volume.map(JSON.string)
        var metadata = Self.metadata(name, marks)
        metadata["creationTimestamp"] = .string(created)
        claims.append(["metadata": metadata, "spec": spec, "status": ["phase": .string(phase)]])
    }

    mutating func addPod(_ name: String, _ marks: [String: String]) {
        pods.append(["metadata": Self.metadata(name, marks), "spec": [:], "status": ["phase": "Running"]])
    }

    mutating func addDeployment(_ name: String, replicas: Int, claim: String, _ marks: [String: String]) {
        let volume: JSON = ["name": "v", "persistentVolumeClaim": ["claimName": .string(claim)]]
        deployments.append([
            "metadata": Self.metadata(name, marks),
            "spec": ["replicas": .integer(Int64(replicas)), "template": ["spec": ["volumes": [volume]]]],
        ])
    }

    mutating func addLease(_ name: String, renewed: String, classes: String? = nil) {
        leases.append([
            "metadata": Self.metadata(name, classes.map { [Marks.classes: $0] } ?? [:]),
            "spec": [
                "holderIdentity": "there process 7", "acquireTime": "2026-08-01T11:00:00.000000Z",
                "renewTime": .string(renewed), "leaseDurationSeconds": 15,
            ],
        ])
    }

    /// A claim in use, on the source class.
    mutating func addSource(_ name: String = "data", _ marks: [String: String] = [:]) {
        addVolume("pv-\(name)", of: "slow", claim: name, policy: marks.isEmpty ? "Delete" : "Retain", marks)
        addClaim(name, of: "slow", volume: "pv-\(name)")
    }

    static let protected = [Marks.reclaimPolicy: "Delete", Marks.sourceUID: "uid-data", Marks.sourceNode: "node-1"]
    static let staged = protected.merging([Marks.stagingUID: "uid-data-pvcmigrate"]) { $1 }
    static let staging = [Marks.claim: "data", Marks.kind: "dest", Marks.sourceUID: "uid-data"]
    /// The Go tool's marks, which it never removes.
    static let swapped = [
        Marks.sourceNamespace: "shop", Marks.sourceClaim: "data", Marks.reclaimPolicy: "Delete",
    ]
}

@Suite("The status of a cluster")
struct StatusTests {
    private func objects(_ change: (inout Objects) -> Void) -> Objects {
        var objects = Objects()
        change(&objects)
        return objects
    }

    @Test("with nothing of a migration's in it is not open, and counts the claims of both classes")
    func untouched() throws {
        let objects = objects {
            $0.addSource()
            $0.addSource("logs")
            $0.addClaim("other", of: "fast", volume: "pv-other")
            $0.addClaim("new", of: "fast", volume: nil, phase: "Pending")
            $0.addDeployment("web", replicas: 2, claim: "data", [:])
            // A person may set this one.
            $0.addVolume("pv-there", of: "slow", claim: nil, phase: "Available", [Marks.sourceNode: "node-1"])
        }
        let all = try objects.status()
        #expect(!all.isOpen && all.leftovers.isEmpty && all.notes.isEmpty && all.commands.isEmpty)
        #expect(all.toMigrate == nil && all.onDestination == nil)
        let some = try objects.status(source: "slow", destination: "fast")
        #expect(!some.isOpen && some.toMigrate == 2 && some.onDestination == 1)
        #expect(
            some.notes.map { "\($0.resource) \($0.message)" } == [
                "PersistentVolume pv-there is Available with the policy Retain, and has no claim"
            ]
        )
    }

    // MARK: The Go tool

    @Test("tells the Go tool's staging claims from strangers' of their name")
    func stagedByGoTool() throws {
        let status = try objects {
            $0.addSource()
            $0.addClaim("data-pvcmigrate", of: "fast", volume: "pv-9", [Marks.claim: "data", Marks.kind: "dest"])
            $0.addSource("logs")
            $0.addClaim("logs-pvcmigrate", of: "fast", volume: "pv-8")
            $0.addPod("migrate-data", [Marks.claim: "data", Marks.kind: "migrate"])
        }.status()
        #expect(status.claims.isEmpty && status.commands.isEmpty)
        #expect(
            status.leftovers.map(\.resource) == ["PersistentVolumeClaim shop/data-pvcmigrate", "Pod shop/migrate-data"]
        )
    }

    @Test("is not open for the marks that the Go tool leaves for ever")
    func migratedByGoTool() throws {
        for policy in ["Delete", "Retain"] {
            let bound = try objects {
                $0.addVolume("pv-9", of: "fast", claim: "data", policy: policy, Objects.swapped)
                $0.addClaim("data", of: "fast", volume: "pv-9")
                $0.addDeployment("web", replicas: 1, claim: "data", [:])
            }.status()
            #expect(!bound.isOpen && bound.notes.isEmpty && bound.leftovers.isEmpty)
        }
        let deleted = try objects {
            $0.addVolume("pv-9", of: "fast", claim: "data", phase: "Released", Objects.swapped)
        }.status()
        #expect(!deleted.isOpen && deleted.notes.isEmpty && deleted.leftovers.isEmpty)
    }

    @Test("says where the Go tool was cut off while it swapped, and from which class as far as volumes tell")
    func swappingByGoTool() throws {
        var objects = objects {
            $0.addVolume("pv-9", of: "fast", claim: "data-pvcmigrate", Objects.swapped)
            $0.addClaim("data-pvcmigrate", of: "fast", volume: "pv-9", [Marks.claim: "data", Marks.kind: "dest"])
            $0.addDeployment("web", replicas: 0, claim: "data", [Marks.scale: "2"])
        }
        let status = try objects.status()
        #expect(
            status.claims.map(\.state) == [
                "its data is complete on the destination volume; the claim is to be created anew (left so by the Go tool)"
            ]
        )
        #expect(status.claims.map(\.stage) == [.sealed] && status.leftovers.isEmpty)
        #expect(status.commands == ["pvmigrate --source-sc <source class> --dest-sc fast"])
        objects.addVolume("pv-1", of: "slow", claim: "data", uid: "old", phase: "Released")
        let told = try objects.status()
        #expect(told.claims.first?.sourceVolume == "pv-1")
        #expect(told.commands == ["pvmigrate --source-sc slow --dest-sc fast"])
    }

    @Test("only notes what bears the Go tool's marks and may be anything")
    func unclear() throws {
        let status = try objects {
            $0.addVolume("pv-9", of: "fast", claim: nil, phase: "Available", Objects.swapped)
        }.status()
        #expect(!status.isOpen && status.leftovers.isEmpty)
        #expect(status.notes.map(\.resource) == ["PersistentVolume pv-9"])
    }

    // MARK: What a person has to settle

    @Test("is open where only a person can tell which volume has a claim's data")
    func cutOff() throws {
        func told(_ change: (inout Objects) -> Void) throws -> String? {
            var objects = Objects()
            change(&objects)
            objects.addDeployment("web", replicas: 0, claim: "data", [Marks.scale: "2"])
            let status = try objects.status()
            #expect(status.isOpen && status.leftovers.isEmpty)
            #expect(status.claims.allSatisfy { $0.stage == .cutOff && $0.isBlocked })
            #expect(status.workloads.map(\.state) == ["stopped; see to its claim data first"] || status.claims.isEmpty)
            #expect(status.commands.isEmpty != status.claims.isEmpty)
            return status.claims.first?.state
        }
        #expect(
            try told {
                $0.addVolume(
                    "pv-9",
                    of: "fast",
                    claim: "data",
                    Objects.swapped.merging([Marks.manifest: "{"]) { $1 }
                )
            } == "its data is complete on the destination volume, and the claim does not exist (its seal can't be read)"
        )
        // Somebody made a new claim while there was none.
        #expect(
            try told {
                $0.addVolume("pv-9", of: "fast", claim: nil, phase: "Available", Objects.swapped)
                $0.addClaim("data", of: "slow", volume: "pv-new", created: "2026-08-01T11:00:00Z")
            }
                == "it was copied to the destination volume, and is bound to pv-new instead (left so by the Go tool)"
        )
        // The source claim, which is older than the copy.
        #expect(
            try told {
                $0.addVolume("pv-9", of: "fast", claim: nil, phase: "Available", Objects.swapped)
                $0.addClaim("data", of: "slow", volume: "pv-old", created: "2026-08-01T09:00:00Z")
            } == nil
        )
    }

    @Test("is open where somebody has made a claim of the name of a sealed one")
    func blocked() throws {
        let seal = #"{"metadata":{"uid":"old","name":"data","namespace":"shop"},"spec":{"storageClassName":"slow"}}"#
        let status = try objects {
            $0.addVolume(
                "pv-9",
                of: "fast",
                claim: "data-pvcmigrate",
                phase: "Released",
                [Marks.manifest: seal, Marks.deleting: "old"]
            )
            $0.addClaim("data", of: "slow", volume: "pv-other")
        }.status()
        let claim = try #require(status.claims.first)
        #expect(claim.isBlocked && claim.state.contains("somebody made a new claim of this name"))
        #expect(claim.next == "goes on when that is settled")
        #expect(status.commands == ["pvmigrate --source-sc slow --dest-sc fast"])
    }

    @Test("tells of a seal that counts no more, since no run has deleted its claim")
    func uncounted() throws {
        let seal = #"{"metadata":{"uid":"old","name":"data","namespace":"shop"},"spec":{"storageClassName":"slow"}}"#
        let status = try objects {
            $0.addVolume("pv-9", of: "fast", claim: "data-pvcmigrate", phase: "Released", [Marks.manifest: seal])
            $0.addClaim("data", of: "slow", volume: "pv-other")
        }.status()
        #expect(status.claims.isEmpty)
        #expect(status.leftovers.map(\.resource) == ["PersistentVolume pv-9"])
        #expect(status.leftovers.first?.message.contains("a copy of shop/data") == true)
    }

    @Test("doesn't take a stranger's claim of a staging claim's name for ours, nor its volume")
    func stranger() throws {
        let status = try objects {
            $0.addSource("data", Objects.protected)
            $0.addClaim("data-pvcmigrate", of: "other", volume: "pv-theirs")
            $0.addVolume("pv-theirs", of: "other", claim: "data-pvcmigrate")
        }.status()
        let claim = try #require(status.claims.first)
        #expect(!claim.isBlocked && claim.destinationVolume == nil && claim.destinationClass == nil)
        #expect(status.commands == ["pvmigrate --source-sc slow --dest-sc <destination class>"])
        #expect(status.leftovers.isEmpty)
    }

    @Test("tells what is left over and why, and is not open for it")
    func leftovers() throws {
        let status = try objects {
            $0.addClaim("data-pvcmigrate", of: "fast", volume: "pv-9", Objects.staging)
            $0.addSource("logs")
            $0.addClaim(
                "logs-pvcmigrate",
                of: "fast",
                volume: "pv-8",
                [Marks.claim: "logs", Marks.kind: "dest", Marks.sourceUID: "uid-before"]
            )
            $0.addClaim("done", of: "fast", volume: "pv-7", [Marks.wake: "1"])
            $0.addClaim("done-pvcmigrate", of: "fast", volume: "pv-6", [Marks.claim: "done", Marks.kind: "dest"])
            $0.addVolume("pv-5", of: "slow", claim: "gone", phase: "Released", Objects.protected)
            $0.addPod("migrate-x", [Marks.claim: "x", Marks.kind: "migrate", Marks.sourceUID: "uid-x"])
            $0.addPod("pf-pod-1", [Marks.kind: "preflight"])
            $0.addDeployment("web", replicas: 1, claim: "done", [Marks.whenScaled: "Delete"])
            $0.addLease("pvmigrate-slow", renewed: "2026-08-01T11:59:00.123456Z")
        }.status()
        #expect(!status.isOpen && status.locks.isEmpty && status.commands.isEmpty)
        let told = status.leftovers.map { "\($0.resource) \($0.message)" }
        let beginnings = [
            "PersistentVolumeClaim shop/data-pvcmigrate bears the mark kurl.sh/pvcmigrate-kind=dest, and no volume proves",
            "PersistentVolumeClaim shop/done bears the mark kurl.sh/pvcmigrate-wake",
            "PersistentVolumeClaim shop/done-pvcmigrate bears the mark kurl.sh/pvcmigrate-kind=dest",
            "PersistentVolumeClaim shop/logs-pvcmigrate bears the mark kurl.sh/pvcmigrate-kind=dest",
            "Pod shop/migrate-x is a mover of shop/x, whose migration is not under way (Running)",
            "Pod shop/pf-pod-1 says that it was made by a preflight",
            "Deployment shop/web bears the mark kurl.sh/pvcmigrate-whenscaled without a scale",
            "PersistentVolume pv-5 is protected, with the data of the claim shop/gone, which was deleted before",
            "Lease shop/pvmigrate-slow is held by there process 7, not renewed since 2026-08-01T11:59:00.123456Z",
        ]
        #expect(told.count == beginnings.count)
        for (line, beginning) in zip(told, beginnings) { #expect(line.hasPrefix(beginning), "\(line)") }
    }

    // MARK: Workloads

    @Test("tells a stopped workload from one that somebody has started, and one whose mark can't be read")
    func workloads() throws {
        let status = try objects {
            $0.addClaim("data", of: "fast", volume: "pv-9")
            $0.addDeployment("a", replicas: 0, claim: "data", [Marks.scale: "2"])
            $0.addDeployment("b", replicas: 3, claim: "data", [Marks.scale: "2"])
            $0.addDeployment("c", replicas: 0, claim: "data", [Marks.scale: "many"])
            $0.addDeployment("d", replicas: 0, claim: "data", [Marks.scale: "1", Marks.whenScaled: "Delete"])
            $0.addDeployment("e", replicas: 0, claim: "data", [:])
            $0.addLease("pvmigrate-slow", renewed: "2026-08-01T11:00:00.000000Z")
        }.status()
        #expect(status.isOpen)
        #expect(
            status.workloads.map { "\($0.title) \($0.scale ?? -1) \($0.state)" } == [
                "Deployment shop/a 2 stopped; a rerun starts it again",
                "Deployment shop/b 2 somebody has started it again; a rerun takes the mark off",
                "Deployment shop/c -1 the annotation kurl.sh/pvcmigrate-scale is \"many\", which is no number of "
                    + "replicas; correct or remove it",
                "Deployment shop/d 1 stopped; a rerun starts it again, and lets it delete its claims again",
            ]
        )
        // The lock that died with the run tells the source class, the claims tell the other.
        #expect(status.commands == ["pvmigrate --source-sc slow --dest-sc fast"])
        #expect(status.locks.map(\.seemsAlive) == [false])
    }

    @Test("says that a workload runs which is to be stopped again for the copy")
    func restarted() throws {
        let status = try objects {
            $0.addSource("data", Objects.protected)
            $0.addDeployment("web", replicas: 1, claim: "data", [Marks.scale: "2"])
        }.status()
        #expect(status.workloads.map(\.state) == ["somebody has started it again; a rerun stops it for the copy"])
    }

    // MARK: Volumes that are kept

    @Test("tells the volumes that are kept for a rollback, and what they hold; they are not open")
    func kept() throws {
        func marks(_ claim: String) -> [String: String] {
            [
                Marks.kept: "2026-07-31T10:00:00Z", Marks.successor: "uid-\(claim)", Marks.sourceNamespace: "shop",
                Marks.sourceClaim: claim, Marks.reclaimPolicy: "Delete",
            ]
        }
        let objects = objects {
            $0.addVolume("pv-1", of: "slow", claim: "data", uid: "old", phase: "Released", marks("data"))
            $0.addVolume("pv-2", of: "slow", claim: "gone", uid: "old", phase: "Released", marks("gone"))
            $0.addClaim("data", of: "fast", volume: "pv-9")
        }
        let status = try objects.status(source: "slow")
        #expect(!status.isOpen && status.claims.isEmpty && status.leftovers.isEmpty && status.notes.isEmpty)
        #expect(status.kept.map(\.kept.volume.metadata.name) == ["pv-1", "pv-2"] && status.keptBytes == 2 << 30)
        #expect(
            status.kept.map(\.kept.claim.name) == ["data", "gone"] && status.kept.map(\.hasSuccessor) == [true, false]
        )
        #expect(try objects.status(source: "other").kept.isEmpty)
        #expect(try objects.status(destination: "other").kept.map(\.kept.volume.metadata.name) == ["pv-2"])
        #expect(try objects.status(namespace: "other").kept.isEmpty)
    }

    // MARK: Locks

    @Test("thinks a lock's holder dead after three times the time that a lease lasts, by this machine's clock")
    func locks() throws {
        let objects = objects {
            $0.addLease("pvmigrate-slow", renewed: "2026-08-01T11:59:50.250000Z")
            $0.addLease("someone-elses", renewed: "2026-08-01T11:59:50.250000Z")
        }
        let lock = try #require(try objects.status().locks.first)
        #expect(lock.storageClass == "slow" && lock.seemsAlive && lock.age == .seconds(9))
        #expect(try objects.status().locks.count == 1)
        #expect(try objects.status(now: "2026-08-01T12:00:35Z").locks.first?.seemsAlive == true)
        #expect(try objects.status(now: "2026-08-01T12:00:37Z").locks.isEmpty)
        #expect(try objects.status(now: "2026-08-01T12:00:37Z").leftovers.count == 1)
        // A clock that is behind the holder's.
        #expect(try objects.status(now: "2026-08-01T11:00:00Z").locks.first?.age == .zero)
        #expect(try objects.status(source: "other").locks.isEmpty)
        #expect(try objects.status(destination: "slow").locks.count == 1)
    }

    @Test("tells from a lock of either class what its run was")
    func locksOfBoth() throws {
        let status = try objects {
            $0.addClaim("data", of: "fast", volume: "pv-9")
            $0.addDeployment("a", replicas: 0, claim: "data", [Marks.scale: "2"])
            for name in ["pvmigrate-fast", "pvmigrate-slow"] {
                $0.addLease(name, renewed: "2026-08-01T11:00:00.000000Z", classes: "slow/fast")
            }
        }.status()
        #expect(status.locks.map(\.storageClass) == ["fast", "slow"])
        #expect(status.locks.map(\.sourceClass) == ["slow", "slow"])
        #expect(status.locks.map(\.destinationClass) == ["fast", "fast"])
        // Not a rollback, though the class of the claim is locked.
        #expect(status.commands == ["pvmigrate --source-sc slow --dest-sc fast"])
    }

    @Test(
        "has no command with a class that is called what no class can be",
        arguments: [("fast", "x;id/fast"), ("fast;id", "slow/fast")]
    )
    func unpasteable(storageClass: String, classes: String) throws {
        let status = try objects {
            $0.addClaim("data", of: storageClass, volume: "pv-9")
            $0.addDeployment("a", replicas: 0, claim: "data", [Marks.scale: "2"])
            $0.addLease("pvmigrate-slow", renewed: "2026-08-01T11:00:00.000000Z", classes: classes)
            $0.addLease("pvmigrate-fast", renewed: "2026-08-01T11:00:00.000000Z", classes: classes)
        }.status()
        #expect(status.commands.count == 1 && !status.commands.contains { $0.contains("id") }, "\(status.commands)")
    }

    // MARK: Scope and commands

    @Test("leaves out what is of other classes and namespaces")
    func scope() throws {
        let objects = objects {
            $0.addSource("data", Objects.staged)
            $0.addClaim("data-pvcmigrate", of: "fast", volume: "pv-9", Objects.staging)
            $0.addDeployment("web", replicas: 0, claim: "data", [Marks.scale: "2"])
        }
        for (source, destination, isOpen) in [
            ("slow", "fast", true), ("slow", nil, true), (nil, "fast", true), ("fast", "slow", false),
            ("other", nil, false), (nil, "other", false),
        ] {
            let status = try objects.status(source: source, destination: destination)
            #expect(
                status.isOpen == isOpen && status.workloads.isEmpty != isOpen,
                "\(source ?? "-") \(destination ?? "-")"
            )
            #expect(status.commands.isEmpty != isOpen)
        }
    }

    @Test("proposes a command for each pair of classes, and the flags that it needs")
    func commands() throws {
        var objects = objects {
            $0.addSource("data", Objects.staged)
            $0.addClaim("data-pvcmigrate", of: "fast", volume: "pv-9", Objects.staging)
            $0.addSource("logs", [Marks.reclaimPolicy: "Delete", Marks.sourceUID: "uid-logs"])
        }
        // The one whose destination is not to be seen yet is taken for one of the same run.
        #expect(try objects.status().commands == ["pvmigrate --source-sc slow --dest-sc fast"])
        #expect(
            try objects.status(namespace: "shop").commands == [
                "pvmigrate --source-sc slow --dest-sc fast --namespace shop"
            ]
        )
        objects.classes = ["fast"]
        #expect(
            try objects.status().commands == ["pvmigrate --source-sc slow --dest-sc fast --skip-source-validation"]
        )
        objects.classes = nil
        objects.addVolume("pv-x", of: "old", claim: "x", [Marks.reclaimPolicy: "Delete", Marks.sourceUID: "uid-x"])
        objects.addClaim("x", of: "old", volume: "pv-x")
        #expect(
            try objects.status().commands == [
                "pvmigrate --source-sc old --dest-sc <destination class>", "pvmigrate --source-sc slow --dest-sc fast",
            ]
        )
        #expect(
            try objects.status(source: "old", destination: "new").commands == [
                "pvmigrate --source-sc old --dest-sc new"
            ]
        )
    }
}
