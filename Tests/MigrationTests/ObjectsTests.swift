import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("Objects that hold state")
struct ObjectsTests {
    private static let secret = ObjectKey(.secrets, "shop", "pw")
    private static let there = ObjectKey(.secrets, World.otherNamespace, "pw")
    /// "geheim", as the API has it.
    private static let value = "Z2VoZWlt"

    private static func world() -> World {
        var world = Scenario.copy.world(alone: true)
        let owner = world.make(.configMaps, "shop", ["metadata": ["name": "conf"], "data": ["mode": "fast"]])
        world.make(
            .secrets,
            "shop",
            [
                "metadata": [
                    "name": "pw", "labels": ["app": "db", "app.kubernetes.io/instance": "shop"],
                    "annotations": ["note": "x", "argocd.argoproj.io/tracking-id": "shop:/Secret:shop/pw"],
                    "ownerReferences": [
                        [
                            "apiVersion": "v1", "kind": "ConfigMap", "name": "conf",
                            "uid": owner[path: ["metadata", "uid"]] ?? .null, "controller": true,
                        ]
                    ],
                ],
                "type": "Opaque", "data": ["password": .string(value)],
            ]
        )
        world.make(
            .secrets,
            "shop",
            [
                "metadata": [
                    "name": "default-dockercfg", "annotations": ["openshift.io/token-secret.name": "default-token"],
                ],
                "type": "Opaque", "data": ["x": "eA=="],
            ]
        )
        world.make(
            .secrets,
            "shop",
            [
                "metadata": ["name": "sh.helm.release.v1.shop.v1"], "type": "helm.sh/release.v1",
                "data": ["release": "eA=="],
            ]
        )
        return world
    }

    private static func options(_ choices: [String], overwrites: Bool = false) -> Options {
        var options = Scenario.copy.options
        options.handover?.included = choices.compactMap(ObjectChoice.init)
        options.handover?.overwrites = overwrites
        return options
    }

    @Test(
        "are named as kubectl names resources",
        arguments: [
            ("secrets", "secrets", nil, nil), ("Secret/pw", "Secret", nil, "pw"),
            ("elasticsearches.elasticsearch.k8s.elastic.co", "elasticsearches", "elasticsearch.k8s.elastic.co", nil),
            ("widgets.example.com/a.b", "widgets", "example.com", "a.b"),
        ] as [(String, String, String?, String?)]
    )
    func choices(text: String, kind: String, group: String?, name: String?) throws {
        let choice = try #require(ObjectChoice(text))
        #expect(choice.kind == kind && choice.group == group && choice.name == name)
        #expect("\(choice)" == text)
    }

    @Test(
        "are not named by anything else",
        arguments: ["", "/", "Secret/", "/pw", "a/b/c", "x/y z", "a b", "x.", "x.A_B", "x/-"]
    )
    func noChoices(text: String) { #expect(ObjectChoice(text) == nil) }

    @Test("go along without what belongs to their own place, before the claims, and once")
    func goAlong() throws {
        let world = Self.world()
        let options = Self.options(["secrets", "ConfigMap"])
        let run = world.migrate(options)
        let story = run.messages.joined(separator: "\n")
        #expect(run.report?.succeeded == true, "\(story)")
        let secret = try #require(run.world.cluster.get(Self.there))
        #expect(secret[path: ["data", "password"]]?.string == Self.value)
        #expect(secret[path: ["metadata", "labels"]] == ["app": "db"])
        #expect(secret[path: ["metadata", "annotations"]] == ["note": "x"])
        #expect(secret[path: ["metadata", "ownerReferences"]] == nil)
        let names = run.world.cluster.list(.configMaps, namespace: World.otherNamespace)
            .compactMap { $0[path: ["metadata", "name"]]?.string }
        #expect(names.contains("conf"))
        #expect(run.world.cluster.list(.secrets, namespace: World.otherNamespace).count == 1)
        #expect(!story.contains(Self.value) && !story.contains("geheim"))

        let before = run.world.cluster.get(Self.there)
        let again = run.world.migrate(options, as: "second")
        #expect(again.report?.succeeded == true)
        #expect(again.world.cluster.get(Self.there) == before)
    }

    @Test("of kinds that only the cluster knows go along, by their group")
    func custom() throws {
        var world = Self.world()
        world.addRoller("db", hasScale: false)
        let roller = try #require(world.cluster.list(World.rollers, namespace: "shop").first)
        let early = Mutex(false)
        let run = world.migrate(
            Self.options(["rollers.example.com"]),
            observer: { request, _, cluster in
                guard request.method == .post, request.target.contains("/shop-eu/rollers"),
                    !request.target.contains("dryRun")
                else { return }
                let target = cluster.get(ObjectKey(.persistentVolumeClaims, World.otherNamespace, "data"))
                if target?[path: ["status", "phase"]] != "Bound" { early.withLock { $0 = true } }
            }
        )
        #expect(!early.withLock { $0 }, "its operator could have made the claim before")
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        let there = run.world.cluster.list(World.rollers, namespace: World.otherNamespace)
        #expect(there.map { $0["spec"] } == [roller["spec"]])
    }

    @Test(
        "that are there already and differ stop all, and are changed only where that is asked for",
        arguments: [false, true]
    )
    func conflict(overwrites: Bool) throws {
        var world = Self.world()
        world.make(
            .secrets,
            World.otherNamespace,
            [
                "metadata": ["name": "pw", "labels": ["theirs": "yes"]], "type": "Opaque",
                "data": ["password": "YW5kZXJz", "more": "eA=="],
            ]
        )
        let run = world.migrate(Self.options(["Secret/pw"], overwrites: overwrites))
        let story = run.messages.joined(separator: "\n") + (run.report?.failures.joined() ?? "")
        let now = try #require(run.world.cluster.get(Self.there))
        #expect(!story.contains(Self.value) && !story.contains("YW5kZXJz"))
        #expect(story.contains("data.password"), "\(story)")
        if overwrites {
            #expect(run.report?.succeeded == true, "\(story)")
            #expect(now["data"] == ["password": .string(Self.value)])
            #expect(now[path: ["metadata", "labels"]] == ["theirs": "yes", "app": "db"])
        } else {
            #expect(run.report?.succeeded == false, "\(story)")
            #expect(now[path: ["data", "password"]] == "YW5kZXJz")
            #expect(run.world.cluster.replicas(ObjectKey(.deployments, "shop", "web")) == 1)
            #expect(run.world.object(.persistentVolumeClaims, TransferTests.target) == nil)
            #expect(run.world.marksLeft().isEmpty)
        }
    }

    @Test("are compared field by field, and no value is told")
    func paths() {
        let patch = PlannedObject.patch(
            making: [
                "kind": "Secret", "metadata": ["uid": "1", "labels": ["a": "1"]], "data": ["x": "1", "y": "2"],
                "status": ["z": 1],
            ],
            like: [
                "kind": "Secret", "metadata": ["labels": ["b": "2"]], "data": ["x": "1", "z": "3"], "type": "Opaque",
            ]
        )
        #expect(patch == ["metadata": ["labels": ["b": "2"]], "data": ["y": nil, "z": "3"], "type": "Opaque"])
        #expect(PlannedObject.paths(in: patch) == ["data.y", "data.z", "metadata.labels.b", "type"])
    }

    @Test(
        "that nobody can take along are refused by name",
        arguments: [
            "Secret/none", "pvc", "pods", "nodes", "deployments.apps", "rolebindings.rbac.authorization.k8s.io",
        ]
    )
    func refused(text: String) throws {
        let found = Self.world().find(Self.options([text])).0
        #expect(found.unmatched.map(\.resource) == [text], "\(found.unmatched)")
        #expect(found.objects.isEmpty)
    }
}
