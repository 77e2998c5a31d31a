import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// What is kept of a stopped workload decides what is created and changed with the caller's rights.
@Suite("Records of stopped workloads")
struct StoppedRecordTests {
    private static let uid = "5ca1ab1e-0000-4000-8000-000000000000"
    private static let claim = ObjectName("data", in: "shop")

    /// A record of a pod that some run has deleted.
    private static let pod: JSON = [
        "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "x", "uid": .string(uid), "claims": ["data"],
        "scale": 1,
        "manifest": [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "x", "namespace": "shop"],
            "spec": ["containers": [["name": "c", "image": "busybox:latest", "command": ["sleep", "infinity"]]]],
        ],
    ]

    private static func record(_ change: (inout JSON) -> Void) -> String {
        var record = pod
        change(&record)
        return String(decoding: record.text, as: UTF8.self)
    }

    /// A world whose source volume bears a text as the record of a workload.
    private static func world(bearing text: String, as key: String = uid) throws -> World {
        var world = Scenario.deployment.world(alone: true)
        let volume = try #require(world.volume(of: claim))
        world.change(ObjectKey(.persistentVolumes, nil, volume)) {
            $0[path: ["metadata", "annotations", Marks.stopped + key]] = .string(text)
        }
        return world
    }

    /// The writes of a run, and all that it has asked for.
    private final class Requests: Sendable {
        private let all = Mutex<[Request]>([])

        var observer: Observer { { request, _, _ in self.all.withLock { $0.append(request) } } }
        var paths: [String] { all.withLock { $0.map { String($0.target.prefix { $0 != "?" }) } } }
        var created: [String] {
            all.withLock { $0.filter { $0.method == .post }.map { String($0.target.prefix { $0 != "?" }) } }
        }
    }

    // MARK: In a namespace

    @Test("a ConfigMap of a tenant means nothing, whatever it says, and nobody reads it")
    func configMap() {
        var world = Scenario.deployment.world(alone: true)
        let text = """
            {"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","plural":"rolebindings","name":"x","uid":"u",\
            "claims":[],"scale":1,"manifest":{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding",\
            "metadata":{"name":"x"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole",\
            "name":"cluster-admin"},"subjects":[{"kind":"ServiceAccount","name":"default","namespace":"shop"}]}}
            """
        let map = world.make(
            .configMaps,
            "shop",
            [
                "metadata": ["name": "pvmigrate-stopped-u", "labels": .object([Marks.kind: "stopped"])],
                "data": ["workload": .string(text)],
            ]
        )
        for work in [false, true] {
            let requests = Requests()
            let run =
                work
                ? world.abort(observer: requests.observer) : world.migrate(observer: requests.observer)
            #expect(run.report?.succeeded == true, "\(run.failure ?? "")\(run.messages)")
            #expect(run.world.cluster.list(.roleBindings).isEmpty)
            #expect(run.world.cluster.get(ObjectKey(.configMaps, "shop", "pvmigrate-stopped-u")) == map)
            #expect(!requests.paths.contains { $0.contains("configmaps") || $0.contains("rolebindings") })
        }
    }

    // MARK: On a volume

    /// Records that no run writes, each with a word of why they are not believed.
    static let unbelievable: [String: (text: String, why: String)] = [
        "no JSON": ("{", "it can't be read"),
        "without what a record has": ("{}", "it can't be read"),
        "of another UID": (record { $0["uid"] = "u" }, "it can't be read"),
        "with a scale below zero": (record { $0["scale"] = -1 }, "it can't be read"),
        "with a scale beyond all": (record { $0["scale"] = .integer(1 << 40) }, "it can't be read"),
        "of another namespace": (record { $0["namespace"] = "kube-system" }, "it is of the namespace kube-system"),
        "with a manifest of another kind": (
            record { $0[path: ["manifest", "kind"]] = "Secret" }, "its manifest is of another object"
        ),
        "with a manifest of another version": (
            record { $0[path: ["manifest", "apiVersion"]] = "apps/v1" }, "its manifest is of another object"
        ),
        "with a manifest of another name": (
            record { $0[path: ["manifest", "metadata", "name"]] = "y" }, "its manifest is of another object"
        ),
        "with a manifest of another namespace": (
            record { $0[path: ["manifest", "metadata", "namespace"]] = "kube-system" },
            "its manifest is of another object"
        ),
        "of a role binding": (
            record {
                $0["apiVersion"] = "rbac.authorization.k8s.io/v1"
                $0["kind"] = "RoleBinding"
                $0[path: ["manifest", "apiVersion"]] = "rbac.authorization.k8s.io/v1"
                $0[path: ["manifest", "kind"]] = "RoleBinding"
            }, "no run keeps anything of a RoleBinding"
        ),
        "of a Deployment to be created": (
            record {
                $0["apiVersion"] = "apps/v1"
                $0["kind"] = "Deployment"
            }, "no run keeps anything of a Deployment"
        ),
        "of a custom resource to be created": (
            record {
                $0["apiVersion"] = "example.com/v1"
                $0["kind"] = "Roller"
            }, "no run deletes a Roller and creates it again"
        ),
        "of a pod to be patched": (
            record {
                $0["manifest"] = nil
                $0["patch"] = [:]
                $0["inverse"] = ["metadata": ["labels": ["x": "y"]]]
            }, "no run stops a Pod as it says"
        ),
        "of a pod to be scaled": (record { $0["manifest"] = nil }, "no run stops a Pod as it says"),
        "of a custom resource both ways": (
            record {
                $0["apiVersion"] = "example.com/v1"
                $0["kind"] = "Roller"
                $0["patch"] = [:]
                $0["inverse"] = [:]
            }, "no run stops a Roller as it says"
        ),
        "of a custom resource with a patch that is none": (
            record {
                $0["apiVersion"] = "example.com/v1"
                $0["kind"] = "Roller"
                $0["manifest"] = nil
                $0["patch"] = "x"
                $0["inverse"] = "y"
            }, "no run stops a Roller as it says"
        ),
        "of a kind that there is not": (
            record {
                $0["apiVersion"] = "example.com/v1"
                $0["kind"] = "Other"
            }, "the API server has no Other"
        ),
        "of a version that is a path": (
            record {
                $0["apiVersion"] = "example.com/v1%2Fnamespaces%2Fshop?x="
                $0["kind"] = "Namespace"
            }, "can't be a part of a path"
        ),
        "of the core group by a detour": (
            record {
                $0["apiVersion"] = "example.com/../../../api/v1"
                $0["kind"] = "Namespace"
            }, "no run keeps anything of a Namespace"
        ),
        "of a name that is a path": (
            record {
                $0["name"] = "a/b"
                $0[path: ["manifest", "metadata", "name"]] = "a/b"
            }, "can't be a part of a path"
        ),
        "of no name": (
            record {
                $0["name"] = ""
                $0[path: ["manifest", "metadata", "name"]] = ""
            }, "can't be a part of a path"
        ),
    ]

    @Test(
        "one that no run writes is told of and left, nothing is done for it, and all else is migrated",
        arguments: unbelievable.keys.sorted()
    )
    func unbelieved(which: String) throws {
        let (text, why) = try #require(Self.unbelievable[which])
        var world = try Self.world(bearing: text)
        world.addRoller("other", hasScale: true)
        world.settle()
        let claims = world.claims.subtracting([Self.claim])
        let volume = try #require(world.volume(of: Self.claim))
        let found = try world.discovery()
        let said = "PersistentVolume \(volume) bears what is kept of a stopped workload"
        let notes = found.notes.map { "\($0.resource) \($0.message)" }.filter { $0.hasPrefix(said) }
        #expect(notes.count == 1 && notes.first?.contains(why) == true, "\(found.notes)")
        #expect(notes.first?.hasSuffix("kubectl annotate pv \(volume) \(Marks.stopped)\(Self.uid)-") == true)
        #expect(try world.status().leftovers.map { "\($0.resource) \($0.message)" } == notes)

        let requests = Requests()
        let run = world.migrate(observer: requests.observer)
        let places = [
            "/namespaces/shop/persistentvolumeclaims", "/namespaces/shop/pods", "/namespaces/default/leases", "reviews",
        ]
        #expect(
            requests.created.filter { target in !places.contains { target.hasSuffix($0) } } == [],
            "nothing else is created"
        )
        #expect(!requests.paths.contains { $0.contains("%") || $0.contains("namespaces/kube-system") })
        #expect(run.world.cluster.get(ObjectKey(.pods, "shop", "x")) == nil)
        #expect(run.world.isOn(World.destination, claims), "\(run.messages)")
        // Its own claim is migrated, too, and only the storage is not freed that may be needed to see to it.
        #expect(run.world.isOn(World.destination) && run.world.areScalesRight, "\(run.messages)")
        let source = run.world.object(.persistentVolumes, ObjectName(volume, in: nil))
        #expect(source?[path: ["metadata", "annotations", Marks.stopped + Self.uid]]?.string == text)
        #expect(source?[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain")
        #expect(
            run.report?.claims.first { $0.name == Self.claim }?.reason?.contains("\(volume) is kept, since") == true
        )
    }

    @Test("one whose key is that of another workload is not believed")
    func otherKey() throws {
        let world = try Self.world(bearing: Self.record { _ in }, as: "other")
        #expect(try world.discovery().notes.contains { $0.message.contains("it can't be read") })
        #expect(try world.discovery().forgotten.isEmpty)
    }

    @Test("the pod that a run has deleted is created again by the next run, and by abort", arguments: [true, false])
    func believed(aborts: Bool) throws {
        let world = try Self.world(bearing: Self.record { $0["claims"] = [] })
        let run = aborts ? world.abort() : world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.cluster.get(ObjectKey(.pods, "shop", "x")) != nil)
        #expect(run.world.records() == [])
    }

    @Test("one of a namespace that is not looked at stays, and is not told of")
    func elsewhere() throws {
        let world = try Self.world(bearing: "{")
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.selection.namespaces = ["bank"]
        #expect(try world.discovery(options).notes.isEmpty)
    }

    // MARK: While a run goes on

    @Test(
        "somebody removes or replaces it while the workload is stopped: it is started as it was all the same",
        arguments: [Scenario.pod, .customScale, .pausedOperator],
        [nil, "{", record { $0[path: ["manifest", "metadata", "name"]] = "evil" }]
    )
    func edited(scenario: Scenario, text: String?) throws {
        let start = scenario.world(alone: true)
        let run = start.migrate(
            scenario.options,
            meddler: { request, cluster in
                start.meddler?(request, &cluster)
                guard cluster.isCopying else { return }
                for volume in cluster.list(.persistentVolumes) {
                    let keys = (volume[path: ["metadata", "annotations"]]?.object ?? [:]).keys
                    for key in keys where key.hasPrefix(Marks.stopped) {
                        let name = volume[path: ["metadata", "name"]]?.string ?? ""
                        do {
                            try cluster.update(ObjectKey(.persistentVolumes, nil, name)) {
                                $0[path: ["metadata", "annotations", key]] = text.map(JSON.string)
                            }
                        } catch {
                            Issue.record("\(error)")
                        }
                    }
                }
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.messages.contains { $0.contains("somebody has removed its mark") })
        #expect(run.world.changedOwners().filter { !$0.contains("is still there") } == [])
        #expect(run.world.cluster.get(ObjectKey(.pods, "shop", "evil")) == nil)
    }

    @Test("costs no conflict with what is written on the volume besides", arguments: [Scenario.pod, .keda])
    func noConflict(scenario: Scenario) {
        let conflicts = Mutex<[String]>([])
        let run = scenario.world(alone: true).migrate(
            scenario.options,
            observer: { request, response, _ in
                guard response.status == 409, request.target.contains("persistentvolumes") else { return }
                conflicts.withLock { $0.append(request.target) }
            }
        )
        #expect(run.report?.succeeded == true)
        // One is the provisioner's, which takes its finalizer off when it sees that the volume is retained.
        #expect(conflicts.withLock(\.count) <= 1)
    }

    @Test("a workload that can't be looked up keeps the storage of its claim from being freed until it is started")
    func unresolved() throws {
        let start = Scenario.customScale.world(alone: true)
        let options = Scenario.customScale.options
        let point = try #require(
            start.crashPoints(options, seed: 1).first { $0.world.cluster.isCopying && !$0.world.records().isEmpty }
        )
        let run = point.world.migrate(
            options,
            interceptor: { request, _ in
                guard request.target == "/apis/example.com/v1" else { return nil }
                let body: JSON = ["kind": "Status", "code": 403, "reason": "Forbidden", "message": "not today"]
                return .answer(Response(status: 403, body: body.text))
            }
        )
        #expect(run.report?.succeeded == false)
        #expect(run.world.records().count == 1, "\(run.messages)")
        let failed = (run.report?.claims ?? []).compactMap(\.reason)
        #expect(
            failed.contains { $0.contains("is kept, since it bears what is kept of a stopped workload") },
            "\(failed)"
        )
        let last = run.world.migrate(options)
        #expect(last.report?.succeeded == true, "\(last.messages)")
        #expect(last.world.isOn(World.destination) && last.world.changedOwners() == [])
    }

    @Test("a volume that is kept for a rollback is not freed while it bears one")
    func cleanup() throws {
        var world = Scenario.keepSource.world(alone: true).migrate(Scenario.keepSource.options).world
        let kept = try #require(try world.keptVolumes().first)
        world.change(ObjectKey(.persistentVolumes, nil, kept.volume.metadata.name)) {
            $0[path: ["metadata", "annotations", Marks.stopped + Self.uid]] = .string(Self.record { _ in })
        }
        let cleaned = Mutex<[Cleaned]>([])
        _ = world.migrate(work: { migrator, _ in
            let all = try await migrator.cleanup(olderThan: .zero, dryRun: false)
            cleaned.withLock { $0 = all }
            return Report()
        })
        guard case .kept(let why)? = cleaned.withLock({ $0 }).first?.result else {
            Issue.record("\(cleaned.withLock { $0 })")
            return
        }
        #expect(why.contains("bears what is kept of a stopped workload"))
    }

    // MARK: Room

    @Test("a pod whose manifest no volume can bear is left alone before anything is stopped")
    func tooLarge() throws {
        var world = Scenario.pod.world(alone: true)
        let pod = ObjectKey(.pods, "shop", "web")
        world.change(pod) {
            $0[path: ["metadata", "annotations", "example.com/notes"]] = .string(String(repeating: "x", count: 200_000))
        }
        let uid = world.cluster.get(pod)?[path: ["metadata", "uid"]]
        let run = world.migrate(Scenario.pod.options)
        #expect(run.report?.claims.map(\.result) == [.skipped])
        let reason = run.report?.claims.first?.reason ?? ""
        #expect(reason.hasPrefix("Pod shop/web: it is not stopped: what is kept of it meanwhile has 201"), "\(reason)")
        #expect(run.world.cluster.get(pod)?[path: ["metadata", "uid"]] == uid)
        #expect(run.world.isOn(World.source) && run.world.marksLeft().isEmpty)
    }

    @Test("two pods whose manifests no volume can bear together are left alone, too")
    func tooLargeTogether() throws {
        var world = Scenario.pod.world(alone: true)
        world.addOwner(.pods, "web2", claim: "data")
        world.settle()
        for name in ["web", "web2"] {
            world.change(ObjectKey(.pods, "shop", name)) {
                $0[path: ["metadata", "annotations", "example.com/notes"]] = .string(
                    String(repeating: "x", count: 100_000)
                )
            }
        }
        let obstacles = try world.discovery(Scenario.pod.options).units.flatMap(\.obstacles)
        #expect(obstacles.map(\.resource) == ["Pod shop/web2"])
        #expect(obstacles.first?.message.contains("would have 20") == true, "\(obstacles)")
    }
}
