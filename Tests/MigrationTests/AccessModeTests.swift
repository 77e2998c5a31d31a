import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Access modes")
struct AccessModeTests {
    private func world(modes: [JSON], annotations: [String: JSON] = [:]) -> World {
        var world = World()
        world.make(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": ["name": "data", "annotations": .object(annotations)],
                "spec": [
                    "accessModes": .array(modes), "storageClassName": .string(World.source),
                    "resources": ["requests": ["storage": "16Mi"]],
                ],
            ]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        return world
    }

    private func modes(_ object: JSON?) -> [String]? {
        object?[path: ["spec", "accessModes"]]?.array?.compactMap(\.string)
    }

    @Test(
        "a claim keeps its access modes, and is written to with one that allows it",
        arguments: [
            ["ReadOnlyMany"], ["ReadWriteOncePod"], ["ReadWriteOnce", "ReadWriteMany"],
            ["ReadOnlyMany", "ReadWriteMany"],
        ]
    )
    func kept(own: [String]) {
        let claim = ObjectName("data", in: "shop")
        let world = world(modes: own.map(JSON.string))
        let run = world.migrate(observer: { _, _, cluster in
            let staging = cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data-pvcmigrate"))
            guard let staging else { return }
            let expected = own == ["ReadOnlyMany"] ? ["ReadWriteOnce"] : own
            if modes(staging) != expected { Issue.record("staging claim: \(staging)") }
        })
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(modes(run.world.object(.persistentVolumeClaims, claim)) == own)
        let volume = run.world.volume(of: claim).map { ObjectName($0, in: nil) }
        #expect(volume.map { modes(run.world.object(.persistentVolumes, $0)) } == own)
    }

    @Test("a mode that the pods can't live with is said before anything stops")
    func conflicts() throws {
        for (wanted, replicas, words) in [
            (
                "ReadWriteOnce", 2,
                "is to be ReadWriteOnce, which is for one node, but 2 pods use it on the nodes node-1, node-2"
            ),
            ("ReadWriteOncePod", 2, "is to be ReadWriteOncePod, but 2 pods use it"),
            ("ReadWriteOncePod", 1, nil), ("ReadWriteOnce", 1, nil), ("ReadWriteMany", 2, nil),
        ] as [(String, Int64, String?)] {
            var scene = try PreflightScene()
            try scene.addClaim(
                "data",
                modes: ["ReadWriteMany", "ReadOnlyMany"],
                annotations: [Marks.accessMode: .string(wanted)]
            )
            let pod = PreflightScene.pod("x", claim: "data")
            let template: JSON = ["metadata": pod["metadata"] ?? [:], "spec": pod["spec"] ?? [:]]
            try scene.add(
                .deployments,
                [
                    "metadata": ["name": "x"],
                    "spec": [
                        "selector": ["matchLabels": ["app": "x"]], "replicas": .integer(replicas), "template": template,
                    ],
                ]
            )
            let rows = try scene.preflight().table
            if let words {
                #expect(rows.count == 1 && rows[0].contains(words), "\(rows)")
            } else {
                #expect(rows == [])
            }
        }
    }
}
