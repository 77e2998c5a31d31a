import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

@Suite("The layout of a tree")
struct TreeLayoutTests {
    private static let set = ObjectName("db", in: "shop")

    /// A StatefulSet with these claim templates and where each is mounted.
    private static func object(_ mounts: [String: String]) throws -> WorkloadObject {
        let json: JSON = [
            "metadata": ["name": "db", "namespace": "shop", "uid": "1", "resourceVersion": "1"],
            "spec": [
                "template": [
                    "spec": [
                        "containers": [
                            [
                                "volumeMounts": .array(
                                    mounts.map { ["name": .string($0.key), "mountPath": .string($0.value)] }
                                )
                            ]
                        ]
                    ]
                ],
                "volumeClaimTemplates": .array(mounts.keys.map { ["metadata": ["name": .string($0)]] }),
            ],
        ]
        return try JSONDecoder().decode(WorkloadObject.self, from: json.text)
    }

    private static func claims(_ names: String...) -> [ObjectName] { names.map { ObjectName($0, in: "shop") } }

    private static func paths(_ layout: TreeLayout) -> [String] { layout.parts.map { "\($0.path) \($0.claim.name)" } }

    @Test("ordinals go by their numbers, 10 after 9, and each directory to the claim of its own pod")
    func numbers() throws {
        let all = (0..<11).map { ObjectName("data-db-\($0)", in: "shop") }
        let claims = TreeLayout.Claims(of: Self.set, try Self.object(["data": "/var/lib/pg"]), among: all)
        let tree = Dictionary(uniqueKeysWithValues: (0..<11).map { ("\($0)", ["data"] as [String]?) })
        let layout = TreeLayout(uploading: tree, to: claims, nil)
        #expect(layout.problems.isEmpty)
        #expect(Self.paths(layout) == (0..<11).map { "\($0)/data data-db-\($0)" })
    }

    @Test("a directory may be named as what the claim is mounted at")
    func mounted() throws {
        let claims = TreeLayout.Claims(
            of: Self.set,
            try Self.object(["data": "/var/lib/pg", "wal": "/wal"]),
            among: Self.claims("data-db-0", "wal-db-0")
        )
        let layout = TreeLayout(uploading: ["0": ["pg", "wal"]], to: claims, nil)
        #expect(layout.problems.isEmpty)
        #expect(Self.paths(layout) == ["0/pg data-db-0", "0/wal wal-db-0"])
    }

    @Test("a name with two readings is refused with both")
    func ambiguous() throws {
        let claims = TreeLayout.Claims(
            of: Self.set,
            try Self.object(["data": "/logs", "logs": "/var/data"]),
            among: Self.claims("data-db-0", "logs-db-0")
        )
        let layout = TreeLayout(uploading: ["0": ["data", "logs"]], to: claims, nil)
        #expect(
            layout.problems.contains(
                "0/data may be the claim template data, or what the claim template logs is mounted at (/var/data)"
            ),
            "\(layout.problems)"
        )
        let twice = TreeLayout.Claims(of: Self.set, try Self.object(["data": "/pg"]), among: Self.claims("data-db-0"))
        let both = TreeLayout(uploading: ["0": ["data", "pg"]], to: twice, nil)
        #expect(both.problems.contains("the claim shop/data-db-0 may be 0/data, or 0/pg"), "\(both.problems)")
    }

    @Test("missing and extra ordinals and directories are told, each by its name")
    func missing() throws {
        let claims = TreeLayout.Claims(
            of: Self.set,
            try Self.object(["data": "/pg", "wal": "/wal"]),
            among: Self.claims("data-db-0", "wal-db-0", "data-db-1", "wal-db-1")
        )
        let tree: [String: [String]?] = ["0": ["data", "etc"], "2": ["data"], "07": ["data"], "notes": nil]
        let problems = TreeLayout(uploading: tree, to: claims, nil).problems
        for expected in [
            "07 is no directory with an ordinal as its name", "notes is no directory with an ordinal as its name",
            "0/etc is neither a claim template of shop/db nor where one is mounted",
            "there is no directory 0/wal for the claim shop/wal-db-0",
            "2 is extra: shop/db has no claim of that ordinal",
            "there is no directory 1, though shop/db has claims of that ordinal",
        ] {
            #expect(problems.contains(expected), "\(expected) is missing in \(problems)")
        }
    }

    @Test("--ordinals chooses, and what it names must be there")
    func chosen() throws {
        let claims = TreeLayout.Claims(
            of: Self.set,
            try Self.object(["data": "/pg"]),
            among: Self.claims("data-db-0", "data-db-1", "data-db-2")
        )
        let tree: [String: [String]?] = ["0": ["data"], "1": ["data"]]
        let some = TreeLayout(uploading: tree, to: claims, Ordinals("0-1"))
        #expect(some.problems.isEmpty && Self.paths(some) == ["0/data data-db-0", "1/data data-db-1"])
        let gone = TreeLayout(uploading: tree, to: claims, Ordinals("1,5"))
        #expect(gone.problems == ["--ordinals names 5, and there is no directory of that ordinal"])
        let down = TreeLayout(downloading: claims, Ordinals("2"))
        #expect(down.problems.isEmpty && Self.paths(down) == ["2/data data-db-2"])
    }

    @Test("claims are found before their StatefulSet is there")
    func before() {
        let claims = TreeLayout.Claims(
            of: Self.set,
            nil,
            among: Self.claims("data-db-0", "data-db-1", "data-dbx-0", "db-0")
        )
        #expect(Self.paths(TreeLayout(downloading: claims, nil)) == ["0/data data-db-0", "1/data data-db-1"])
    }

    @Test("ordinals are read as a person writes them", arguments: ["0", "0-2,5", "3,1"])
    func ordinals(text: String) { #expect(Ordinals(text) != nil) }

    @Test("what is no list of ordinals is refused", arguments: ["", "a", "-1", "2-1", "1-2-3", "01", "1,,2", "+1"])
    func noOrdinals(text: String) { #expect(Ordinals(text) == nil) }
}
