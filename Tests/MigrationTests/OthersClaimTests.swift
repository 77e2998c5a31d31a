import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Somebody deletes the source claim")
struct OthersDeletionTests {
    enum Moment: Sendable {
        case protected, stopped, copying, copied, sealed

        func isNow(_ request: Request?, _ cluster: Cluster) -> Bool {
            switch self {
            case .protected: cluster.isProtected
            case .stopped: cluster.replicas(Others.deployment) == 0
            case .copying: cluster.isCopying
            case .copied: cluster.isCopied
            case .sealed: cluster.isSealed
            }
        }
    }

    @Test("while it is stopped: the data is kept, the workload waits, and the claim is got back as the message says")
    func stopped() {
        for moment in [Moment.stopped, .copying, .copied] {
            var scene = Others()
            scene.forgiven = [Others.deletion]
            scene.migrate(once(when: moment.isNow) { try $0.delete(Others.claim) })
            scene.expectFailure(
                stopped: ["Deployment shop/web"],
                saying: ["somebody has deleted this claim", "stays stopped"]
            )
            // It is not forgotten.
            scene.migrate()
            #expect(scene.runs.last?.report?.claims.map(\.result) == [.skipped])
            scene.getBack()
            scene.migrate()
            scene.expectSuccess()
        }
    }

    @Test("of one of a StatefulSet's pods: all of it waits, until the claim is got back")
    func statefulSet() {
        var scene = Others(Scenario.statefulSet.world(alone: true))
        scene.forgiven = [Others.deletion]
        let key = ObjectKey(.persistentVolumeClaims, "shop", "logs-db-1")
        scene.migrate(once(when: { $1.isCopying }) { try $0.delete(key) })
        scene.expectFailure(stopped: ["StatefulSet shop/db"], saying: ["stays stopped"])
        scene.getBack()
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("before it is stopped: nothing is stopped, and the data is kept when the claim goes")
    func protected() {
        var scene = Others()
        scene.forgiven = [Others.deletion]
        scene.migrate(once(when: Moment.protected.isNow) { try $0.delete(Others.claim) })
        scene.expectFailure(saying: ["somebody deletes this claim", "when the one of that name is gone"])
        #expect(scene.world.cluster.replicas(Others.deployment) == 1)
        scene.change { try $0.scale(Others.deployment, to: 0) }
        scene.wait(.seconds(30))
        #expect(scene.world.cluster.get(Others.claim) == nil)
        scene.getBack()
        scene.change { try $0.scale(Others.deployment, to: 1) }
        scene.wait(.seconds(30))
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("after the seal: the claim is made anew all the same")
    func sealed() {
        var scene = Others()
        scene.forgiven = [Others.deletion]
        scene.migrate(once(when: Moment.sealed.isNow) { try $0.delete(Others.claim) })
        scene.expectSuccess()
    }

    @Test("and its volume too, after a failed run: the next run starts the workload again")
    func discarded() {
        var scene = Others()
        scene.forgiven = [Others.deletion]
        let volume = scene.world.cluster.get(Others.claim)?[path: ["spec", "volumeName"]]?.string ?? ""
        scene.migrate(once(when: Moment.copying.isNow) { try $0.delete(Others.claim) })
        scene.change { try $0.delete(ObjectKey(.persistentVolumes, nil, volume)) }
        scene.wait(.seconds(10))
        scene.migrate()
        #expect(scene.runs.last?.report?.succeeded == true, "\(scene.story)")
        #expect(scene.world.cluster.replicas(Others.deployment) == 1)
    }
}

@Suite("Somebody deletes the staging claim")
struct OthersStagingTests {
    @Test("during the copy: the unit goes back, and a later run migrates it")
    func copying() {
        var scene = Others()
        scene.migrate(once(when: { $1.isCopying }) { try $0.delete(Others.staging) })
        scene.expectFailure(saying: ["data-pvcmigrate"])
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("after the copy, before the seal: the unit goes back, and a later run migrates it")
    func copied() {
        var scene = Others()
        scene.migrate(once(when: { $1.isCopied }) { try $0.delete(Others.staging) })
        scene.expectFailure(saying: ["the staging claim shop/data-pvcmigrate was deleted by somebody"])
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("after the seal: its volume is kept, and gets the claim's name")
    func sealed() {
        var scene = Others()
        scene.migrate(once(when: { $1.isSealed }) { try $0.delete(Others.staging) })
        scene.expectSuccess()
    }
}

extension Others {
    /// Does what a message says of how a claim is got back.
    mutating func getBack(_ told: [String] = []) {
        let said = (told + runs.flatMap(\.messages)).joined(separator: "\n")
        guard let line = said.split(separator: "\n").first(where: { $0.contains("kubectl create -n shop") }),
            let manifest = line.split(separator: "'").dropFirst().first
        else {
            Issue.record("nobody said how the claim is got back:\n\(story)")
            return
        }
        change {
            let claim = JSON(parsingLeniently: String(manifest)) ?? .null
            let name = claim[path: ["spec", "volumeName"]]?.string ?? ""
            try $0.update(ObjectKey(.persistentVolumes, nil, name)) {
                $0[path: ["spec", "claimRef", "uid"]] = nil
                $0[path: ["spec", "claimRef", "resourceVersion"]] = nil
            }
            try $0.create(.persistentVolumeClaims, namespace: "shop", claim)
        }
        wait(.seconds(30))
    }
}
