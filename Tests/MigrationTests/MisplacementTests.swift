import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

private func decode<Object: Decodable>(_ json: JSON) throws -> Object {
    try JSONDecoder().decode(Object.self, from: json.text)
}

private func metadata(_ name: String, _ more: JSON = [:]) -> JSON {
    var metadata: JSON = ["name": .string(name), "namespace": "shop", "uid": .string(name), "resourceVersion": "1"]
    for (key, value) in more.object ?? [:] { metadata[key] = value }
    return metadata
}

private func node(_ name: String, zone: String, taints: JSON = [], cordoned: Bool = false) throws -> Node {
    try decode([
        "metadata": metadata(name, ["labels": ["zone": .string(zone)]]),
        "spec": ["taints": taints, "unschedulable": .bool(cordoned)],
    ])
}

private func volume(_ name: String, zones: [String]? = nil) throws -> PersistentVolume {
    var spec: JSON = [:]
    if let zones {
        let expression: JSON = ["key": "zone", "operator": "In", "values": .array(zones.map(JSON.string))]
        spec[path: ["nodeAffinity", "required", "nodeSelectorTerms"]] = [["matchExpressions": [expression]]]
    }
    return try decode(["metadata": metadata(name), "spec": spec])
}

@Suite("The nodes that take a pod")
struct TaintTests {
    private static func taking(_ pod: JSON, _ nodes: [Node], isNow: Bool = true) throws -> [String] {
        Sites(nodes: nodes).taking(try decode(pod), isNow: isNow).sorted()
    }

    @Test(
        "are those whose taints it bears",
        arguments: [
            ([:], false), (["key": "a", "value": "1"], true), (["key": "a", "value": "2"], false),
            (["key": "a"], false), (["key": "a", "operator": "Exists"], true),
            (["key": "b", "operator": "Exists"], false), (["operator": "Exists"], true),
            (["key": "a", "operator": "Exists", "effect": "NoSchedule"], true),
            (["key": "a", "operator": "Exists", "effect": "NoExecute"], false),
            (["key": "a", "operator": "Equal", "value": "1", "effect": ""], true),
        ] as [(JSON, Bool)]
    )
    func tolerations(toleration: JSON, expected: Bool) throws {
        let tainted = try node("one", zone: "a", taints: [["key": "a", "value": "1", "effect": "NoSchedule"]])
        let pod: JSON = ["tolerations": toleration == [:] ? [] : [toleration]]
        #expect(try Self.taking(pod, [tainted]) == (expected ? ["one"] : []))
    }

    @Test("are not those that it only prefers not to be on, nor those that are cordoned now")
    func effects() throws {
        let nodes = [
            try node("one", zone: "a", taints: [["key": "a", "effect": "PreferNoSchedule"]]),
            try node("two", zone: "a", cordoned: true),
            try node("three", zone: "a", taints: [["key": "node.kubernetes.io/not-ready", "effect": "NoExecute"]]),
            try node("four", zone: "a", taints: [["key": "dedicated", "effect": "NoExecute"]]),
        ]
        #expect(try Self.taking([:], nodes) == ["one"])
        #expect(try Self.taking([:], nodes, isNow: false) == ["one", "three", "two"])
    }

    @Test("is the one that it names, past its cordon, but not past what drives pods away")
    func named() throws {
        let nodes = [
            try node("one", zone: "a"), try node("two", zone: "a", cordoned: true),
            try node("three", zone: "a", taints: [["key": "dedicated", "effect": "NoExecute"]]),
        ]
        #expect(try Self.taking(["nodeName": "two"], nodes) == ["two"])
        #expect(try Self.taking(["nodeName": "three"], nodes) == [])
        #expect(try Self.taking(["nodeName": "two", "nodeSelector": ["zone": "b"]], nodes) == [])
    }
}

@Suite("Pods that could not run with new volumes")
struct MisplacementTests {
    private static func sites() throws -> Sites {
        Sites(nodes: [try node("one", zone: "a"), try node("two", zone: "b"), try node("three", zone: "b")])
    }

    private static func unit(
        _ claims: [String],
        pod: JSON = [:],
        runs: Bool = true,
        others: [String: PersistentVolume] = [:]
    ) throws -> Unit {
        let names = (claims + others.keys.sorted()).map { ObjectName($0, in: "shop") }
        var unit = Unit(
            claims: claims.map { ClaimState(Transfer(of: ObjectName($0, in: "shop"), uid: "")) },
            workloads: [],
            obstacles: []
        )
        unit.pods = [
            PodWithClaims(
                title: "Pod shop/web",
                spec: try decode(pod),
                runs: runs,
                claims: names,
                others: Dictionary(uniqueKeysWithValues: others.map { (ObjectName($0.key, in: "shop"), $0.value) })
            )
        ]
        return unit
    }

    /// The claims whose volumes are at the wrong place; nil where nothing is wrong, and `others` where it is not theirs.
    private static func wrong(
        _ unit: Unit,
        _ volumes: [String: PersistentVolume],
        _ storageClass: StorageClass? = nil
    ) throws -> [String]? {
        let place = DestinationSites(sites: try sites(), storageClass: storageClass)
        let found = unit.misplacement(in: place) { volumes[$0.name.name].map { .volume($0) } ?? .new }
        return found.map { found in
            found.claims.map { ids in unit.claims.filter { ids.contains($0.id) }.map(\.name.name) } ?? ["others"]
        }
    }

    @Test("are those whose volumes have no node in common")
    func volumes() throws {
        let (a, b, any) = (try volume("pa", zones: ["a"]), try volume("pb", zones: ["b"]), try volume("p"))
        #expect(try Self.wrong(Self.unit(["x", "y"]), ["x": a, "y": b]) == ["x", "y"])
        #expect(try Self.wrong(Self.unit(["x", "y"]), ["x": b, "y": b]) == nil)
        #expect(try Self.wrong(Self.unit(["x", "y"]), ["x": a, "y": any]) == nil)
        #expect(try Self.wrong(Self.unit(["x", "y"]), ["x": a]) == nil)
        #expect(try Self.wrong(Self.unit(["x", "y"]), ["x": a, "y": volume("p", zones: ["a", "b"])]) == nil)
    }

    @Test("are those that may not be where a volume is, and only that volume is to go")
    func constraints() throws {
        let (a, b) = (try volume("pa", zones: ["a"]), try volume("pb", zones: ["b"]))
        let pinned: JSON = ["nodeSelector": ["zone": "b"]]
        #expect(try Self.wrong(Self.unit(["x", "y"], pod: pinned), ["x": a, "y": b]) == ["x"])
        #expect(try Self.wrong(Self.unit(["x"], pod: pinned), ["x": b]) == nil)
        #expect(try Self.wrong(Self.unit(["x"], others: ["z": b]), ["x": a]) == ["x"])
        #expect(try Self.wrong(Self.unit(["x"], others: ["z": a]), ["x": a]) == nil)
    }

    @Test("are those that run and could not be started again as things are, whatever the new volumes are")
    func asThingsAre() throws {
        let nowhere: JSON = ["nodeSelector": ["zone": "c"]]
        let a = try volume("pa", zones: ["a"])
        #expect(try Self.wrong(Self.unit(["x"], pod: nowhere), ["x": a]) == ["others"])
        #expect(try Self.wrong(Self.unit(["x"], pod: nowhere, runs: false), ["x": a]) == nil)
        let pinned: JSON = ["nodeSelector": ["zone": "b"]]
        #expect(try Self.wrong(Self.unit(["x"], pod: pinned, others: ["z": a]), ["x": a]) == ["others"])
    }

    @Test("are those that may not be where a class makes its volumes")
    func topologies() throws {
        let storageClass: StorageClass = try decode([
            "metadata": metadata("fast"), "provisioner": "p",
            "allowedTopologies": [["matchLabelExpressions": [["key": "zone", "values": ["a"]]]]],
        ])
        #expect(try Self.wrong(Self.unit(["x"], pod: ["nodeSelector": ["zone": "b"]]), [:], storageClass) == [])
        #expect(try Self.wrong(Self.unit(["x"], pod: ["nodeSelector": ["zone": "a"]]), [:], storageClass) == nil)
        #expect(try Self.wrong(Self.unit(["x", "y"]), ["y": volume("pb", zones: ["b"])], storageClass) == ["y"])
    }
}

@Suite("The pods of a unit")
struct PodWithClaimsTests {
    private static func workload(_ kind: String, _ resource: APIResource, _ spec: JSON) throws -> Workload {
        let object: WorkloadObject = try decode(["metadata": metadata("web"), "spec": spec])
        return try #require(Workload(object, of: resource))
    }

    private static func template(_ spec: JSON) -> JSON { ["spec": spec] }

    private static func claimVolume(_ name: String) -> JSON {
        ["name": .string(name), "persistentVolumeClaim": ["claimName": .string(name)]]
    }

    private static func pods(_ claims: [String], _ workloads: [Workload], pods: [JSON] = []) throws -> [PodWithClaims] {
        let cache: PersistentVolumeClaim = try decode([
            "metadata": metadata("cache"), "spec": ["volumeName": "pv-cache"],
        ])
        let inventory = Inventory(
            volumes: [try volume("pv-cache", zones: ["a"])],
            claims: [cache],
            pods: try pods.map { try decode($0) },
            workloads: workloads
        )
        var unit = Unit(
            claims: claims.map { ClaimState(Transfer(of: ObjectName($0, in: "shop"), uid: "")) },
            workloads: workloads.naming(claims.map { ObjectName($0, in: "shop") }),
            obstacles: []
        )
        unit.namePods(in: inventory)
        return unit.pods
    }

    private static func pod(_ name: String, _ volumes: [JSON], node: String?, phase: String = "Running") -> JSON {
        var spec: JSON = ["volumes": .array(volumes)]
        spec["nodeName"] = node.map(JSON.string)
        return ["metadata": metadata(name), "spec": spec, "status": ["phase": .string(phase)]]
    }

    @Test("are those that mount its claims, without the node that the scheduler has chosen")
    func running() throws {
        let ephemeral: JSON = ["name": "scratch", "ephemeral": [:]]
        let found = try Self.pods(
            ["data"],
            [],
            pods: [
                Self.pod("a", [Self.claimVolume("data"), Self.claimVolume("cache"), ephemeral], node: "one"),
                Self.pod("b", [Self.claimVolume("cache")], node: "one"),
                Self.pod("c", [Self.claimVolume("data")], node: nil, phase: "Pending"),
                Self.pod("d", [Self.claimVolume("data")], node: "one", phase: "Succeeded"),
            ]
        )
        #expect(found.map(\.title) == ["Pod shop/a", "Pod shop/c"] && found.map(\.runs) == [true, false])
        #expect(found.allSatisfy { $0.spec.nodeName == nil })
        #expect(found[0].claims.map(\.name) == ["data", "cache"])
        #expect(found[0].others.map { "\($0.key.name) \($0.value.metadata.name)" } == ["cache pv-cache"])
    }

    @Test("have the node that their template names")
    func namedNode() throws {
        let spec: JSON = ["nodeName": "one", "volumes": [Self.claimVolume("data")]]
        let deployment = try Self.workload(
            "Deployment",
            .deployments,
            ["replicas": 1, "template": Self.template(spec)]
        )
        let pod = Self.pod("a", [Self.claimVolume("data")], node: "one")
        #expect(try Self.pods(["data"], [deployment], pods: [pod]).map(\.spec.nodeName) == ["one"])
        let found = try Self.pods(["data"], [deployment])
        #expect(found.map(\.title) == ["Deployment shop/web"] && found.map(\.spec.nodeName) == ["one"])
    }

    @Test("of a StatefulSet that stands still have claims of their own each")
    func statefulSet() throws {
        let set = try Self.workload(
            "StatefulSet",
            .statefulSets,
            [
                "replicas": 2, "template": Self.template(["volumes": [Self.claimVolume("shared")]]),
                "volumeClaimTemplates": [["metadata": ["name": "data"]], ["metadata": ["name": "logs"]]],
            ]
        )
        let found = try Self.pods(["data-web-0", "data-web-1", "logs-web-0", "logs-web-1"], [set])
        #expect(
            found.map { $0.claims.map(\.name) } == [
                ["shared", "data-web-0", "logs-web-0"], ["shared", "data-web-1", "logs-web-1"],
            ]
        )
    }
}
