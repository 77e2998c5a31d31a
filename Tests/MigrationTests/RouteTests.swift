import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

private func decode<Object: Decodable>(_ json: JSON) throws -> Object {
    try JSONDecoder().decode(Object.self, from: json.text)
}

private func metadata(_ name: String, _ labels: JSON = [:]) -> JSON {
    ["name": .string(name), "uid": .string(name), "resourceVersion": "1", "labels": labels]
}

@Suite("How data gets from one volume to the other")
struct RouteTests {
    private let sites: Sites

    init() throws {
        sites = Sites(
            nodes: try [("one", "a"), ("two", "b"), ("three", "b")].map { name, zone in
                try decode(["metadata": metadata(name, ["zone": .string(zone)])])
            }
        )
    }

    /// A claim whose source volume is in some zone, and its destination volume in another.
    private func state(source: String?, destination: String?) throws -> ClaimState {
        func volume(_ name: String, _ zone: String?) throws -> PersistentVolume {
            var spec: JSON = ["capacity": ["storage": "1Gi"]]
            if let zone {
                let expression: JSON = ["key": "zone", "operator": "In", "values": [.string(zone)]]
                spec[path: ["nodeAffinity", "required", "nodeSelectorTerms"]] = [["matchExpressions": [expression]]]
            }
            return try decode(["metadata": metadata(name), "spec": spec])
        }
        var state = ClaimState(Transfer(of: ObjectName("data", in: "shop"), uid: "c1"))
        (state.source, state.destination) = (try volume("old", source), try volume("new", destination))
        return state
    }

    private func route(_ state: ClaimState) -> Route { state.route(in: RouteSites(source: sites, destination: sites)) }

    @Test("one mover mounts both where a node can")
    func together() throws {
        #expect(route(try state(source: nil, destination: nil)) == Route(mover: Placement()))
        let both = route(try state(source: "b", destination: "b"))
        #expect(both.source == nil && both.mover.node == nil && both.words == nil)
        let only = route(try state(source: "a", destination: nil))
        #expect(only.mover == Placement(node: "one", onlyThere: true) && only.source == nil)
    }

    @Test("two pods do it over the network where none can, each where its volume is")
    func apart() throws {
        let route = route(try state(source: "a", destination: "b"))
        #expect(route.source == Placement(node: "one", onlyThere: true))
        #expect(route.mover.onlyThere == false && route.to == ["two", "three"])
        #expect(route.words?.contains("copied over the network") == true)
    }

    @Test("each end has nodes of its own")
    func ends() throws {
        let state = try state(source: "a", destination: "b")
        let far = Sites(nodes: sites.nodes.filter { $0.metadata.name != "one" })
        let route = state.route(in: RouteSites(source: sites, destination: far))
        #expect(route.from == ["one"] && route.to == ["two", "three"])
    }

    @Test("nothing is known of it where nodes may not be listed")
    func unknown() throws {
        #expect(try state(source: "a", destination: "b").route(in: RouteSites()) == Route(mover: Placement()))
    }
}

@Suite("A stand-in")
struct StandInMomentTests {
    private let claim: PersistentVolumeClaim

    init() throws { claim = try decode(["metadata": metadata("copy"), "spec": [:]]) }

    @Test("may lack what was written since ten minutes before it was asked for")
    func since() throws {
        let standIn = try StandIn(claim: claim, taken: "1970-01-01T01:00:00Z")
        #expect(standIn.since == 3000)
    }

    @Test("is refused where nobody can read when it was asked for", arguments: [nil, "", "yesterday"])
    func unreadable(text: String?) {
        #expect(throws: Migration.Refusal.self) { try StandIn(claim: claim, taken: text) }
    }
}

@Suite("What a person selects")
struct SelectionPhraseTests {
    private let claim = ObjectName("data", in: "shop")

    @Test("leaves a claim out by the filter that it says")
    func phrases() {
        func phrase(_ change: (inout Selection) -> Void) -> String? {
            var selection = Selection()
            change(&selection)
            return selection.whatLeavesOut(claim)
        }
        #expect(phrase { _ in } == nil)
        #expect(phrase { $0.namespaces = ["shop"] } == nil)
        #expect(phrase { $0.namespaces = ["bank"] } == "outside of --namespace")
        #expect(phrase { $0.excludedNamespaces = ["shop"] } == "left out by --exclude-namespace")
        #expect(phrase { $0.claims = [ObjectName("data", in: "bank")] } == "not named by --pvc")
        #expect(phrase { $0.excludedClaims = [claim] } == "left out by --exclude")
    }

    @Test("a class is one of the class asked for, or any where none is")
    func classes() {
        #expect(ClassChoice(name: "a").admits("a") && !ClassChoice(name: "a").admits("b"))
        #expect(!ClassChoice(name: "a").admits(nil as String?) && ClassChoice(name: nil).admits(nil as String?))
    }
}

@Suite("What stops a workload")
struct WorkloadPatchTests {
    private func deployment(_ replicas: Int, annotations: JSON = [:]) throws -> Workload {
        let object: WorkloadObject = try decode([
            "metadata": [
                "name": "web", "namespace": "shop", "uid": "w", "resourceVersion": "7", "annotations": annotations,
            ],
            "spec": ["replicas": .integer(Int64(replicas)), "template": ["spec": [:]]],
        ])
        return try #require(Workload(object, of: .deployments))
    }

    @Test("writes its scale down in the same patch, and is nothing where it stands still")
    func stop() throws {
        let workload = try deployment(3)
        let change: JSON = [
            "metadata": ["annotations": .object([Marks.scale: "3"])], "spec": ["replicas": 0],
        ]
        #expect(workload.stopPatch() == .merge(onto: workload.metadata, change))
        #expect(try deployment(0).stopPatch() == nil)
    }

    @Test("is undone by a patch that leaves alone what somebody has started meanwhile")
    func start() throws {
        let mark: JSON = .object([Marks.scale: "3"])
        let unmarked: JSON = ["metadata": ["annotations": .object([Marks.scale: .null])]]
        var change = unmarked
        change["spec"] = ["replicas": 3]
        let stopped = try deployment(0, annotations: mark)
        #expect(try stopped.startPatch() == .merge(onto: stopped.metadata, change))
        let started = try deployment(1, annotations: mark)
        #expect(try started.startPatch() == .merge(onto: started.metadata, unmarked))
        #expect(try deployment(1).startPatch() == nil)
        #expect(throws: Migration.Refusal.self) {
            try deployment(0, annotations: .object([Marks.scale: "many"])).startPatch()
        }
    }
}
