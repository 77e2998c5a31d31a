import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("A claim whose manifest is too large for an annotation")
struct ManifestSizeTests {
    private static func annotate(_ cluster: inout Cluster, _ bytes: Int) throws {
        try cluster.update(Others.claim) {
            $0[path: ["metadata", "annotations", "example.com/notes"]] = .string(String(repeating: "x", count: bytes))
        }
    }

    @Test("is left alone before anything is stopped or changed, also without preflight")
    func refused() {
        var scene = Others()
        scene.change { try Self.annotate(&$0, 200_000) }
        let before = scene.world.cluster
        scene.migrate()
        let run = scene.runs.last
        #expect(run?.report?.claims.map(\.result) == [.skipped])
        let reason = run?.report?.claims.first?.reason ?? ""
        #expect(reason.hasPrefix("PersistentVolumeClaim shop/data: its manifest has 200"))
        #expect(
            reason.hasSuffix(
                "bytes, more than the 196608 that can be kept on its new volume meanwhile; the largest annotation is "
                    + "example.com/notes with 200000 bytes: shorten it, or remove it "
                    + "(kubectl annotate pvc data --namespace shop example.com/notes-)"
            )
        )
        for key in [Others.deployment, Others.claim] {
            #expect(scene.world.cluster.get(key)?["metadata"] == before.get(key)?["metadata"])
        }
        #expect(scene.world.cluster.list(.persistentVolumes, namespace: nil).count == 1)

        scene.change { try Self.annotate(&$0, 190_000) }
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("only since the copy goes back to where it was")
    func grown() {
        var scene = Others()
        scene.migrate(once(when: { $1.isCopied }) { try Self.annotate(&$0, 200_000) })
        scene.expectFailure(saying: ["the claim's manifest has 200", "more than an annotation can hold"])
        #expect(scene.world.cluster.replicas(Others.deployment) == 1)
    }
}
