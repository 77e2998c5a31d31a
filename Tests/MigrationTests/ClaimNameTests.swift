import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

@Suite("The claims of a StatefulSet")
struct ClaimNameTests {
    /// A set of some claim templates.
    private func set(
        _ name: String = "db",
        templates: [String] = ["data"],
        replicas: Int = 3,
        start: Int? = nil,
        mark: String? = nil
    ) throws -> Workload {
        var object: JSON = [
            "metadata": ["name": .string(name), "namespace": "shop", "uid": .string(name), "resourceVersion": "1"],
            "spec": [
                "replicas": .integer(Int64(replicas)),
                "volumeClaimTemplates": .array(templates.map { ["metadata": ["name": .string($0)]] }),
                "template": [
                    "spec": ["volumes": [["name": "shared", "persistentVolumeClaim": ["claimName": "shared"]]]]
                ],
            ],
        ]
        if let start { object[path: ["spec", "ordinals", "start"]] = .integer(Int64(start)) }
        if let mark { object[path: ["metadata", "annotations", Marks.scale]] = .string(mark) }
        return Workload(statefulSet: try JSONDecoder().decode(WorkloadObject.self, from: object.text))
    }

    private func claims(_ set: Workload, among names: [String], in namespace: String = "shop") -> [String] {
        [set].naming(names.map { ObjectName($0, in: namespace) })[0].claimNames.sorted()
    }

    @Test("are those that there are of its templates and ordinals, and those that its pods share")
    func own() throws {
        let names = [
            "data-db-0", "data-db-2", "data-db-3", "data-db", "data-db-", "data-db-00", "data-db-+1", "data-db--1",
            "data-db-1x", "data-db-1 ", "data-db-١", "data-db-99999999999999999999", "logs-db-0", "data-db2-0", "db-0",
            "-db-0", "data-db-0-pvcmigrate", "0", "-", "",
        ]
        #expect(claims(try set(), among: names) == ["data-db-0", "data-db-2", "shared"])
        #expect(claims(try set(), among: names, in: "bank") == ["shared"])
    }

    @Test("are told apart where names have hyphens")
    func hyphens() throws {
        let sets = [
            try set("a-b", templates: ["x"]), try set("b", templates: ["x-a"]), try set("c", templates: ["x-a-b"]),
        ]
        let found = sets.naming([ObjectName("x-a-b-0", in: "shop")])
        #expect(found.map { $0.claimNames.contains("x-a-b-0") } == [true, true, false])
    }

    @Test(
        "are those of the scale that it had, from the first ordinal on",
        arguments: [
            (0, nil, "2", ["data-db-0", "data-db-1"]), (1, 5, nil, ["data-db-5"]),
            (0, 5, "2", ["data-db-5", "data-db-6"]),
            (0, nil, "x", []), (0, nil, "-3", []),
        ] as [(Int, Int?, String?, [String])]
    )
    func ordinals(replicas: Int, start: Int?, mark: String?, expected: [String]) throws {
        let names = (0..<9).map { "data-db-\($0)" }
        let set = try set(replicas: replicas, start: start, mark: mark)
        #expect(claims(set, among: names) == expected + ["shared"])
    }

    @Test(
        "are counted on no fingers, whatever numbers somebody writes",
        arguments: [
            (Int.max, Int.max, "\(Int.max)"), (0, Int.min, "10000"), (Int.min, Int.max, "99999999999999999999"),
        ]
    )
    func numbers(replicas: Int, start: Int, mark: String) throws {
        _ = claims(try set(replicas: replicas, start: start, mark: mark), among: ["data-db-0"])
    }

    @Test("take no time to speak of where a set has thousands of templates and a claim thousands of hyphens")
    func many() throws {
        let templates = (0..<5000).map { "t\($0)" }
        let sets = try (0..<20).map { try set("db\($0)", templates: templates, replicas: 0, mark: "10000") }
        let names = (0..<5000).map { ObjectName("t\($0)-db7-9999", in: "shop") }
        let hostile = ObjectName(String(repeating: "-", count: 10_000) + "0", in: "shop")
        var found: [Workload] = []
        let took = ContinuousClock().measure { found = sets.naming(names + [hostile]) }
        #expect(found[7].claimNames.count == 5001)
        // Names that might be: a billion.
        #expect(took < .seconds(20), "\(took)")
    }
}
