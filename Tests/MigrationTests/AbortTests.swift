import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Abort")
struct AbortTests {
    @Test(
        "takes back a run that died at any request: the old volumes, the old scales, and no trace",
        arguments: [
            Scenario.deployment, .twoClaimsInOnePod, .claimWithoutPods, .whenScaledDelete, .waitForFirstConsumer,
        ]
    )
    func takesBack(scenario: Scenario) {
        let world = scenario.world()
        let options = Options(sourceClass: World.source, destinationClass: World.destination)
        var finished = 0
        let points = world.crashPoints(options, seed: 5)
        for (index, point) in points.enumerated() {
            let invariants = Invariants(of: point.world)
            var run = point.world.abort(seed: UInt64(index), observer: invariants.observer)
            run.world.cluster.advance(to: run.world.cluster.now + .seconds(30))
            // What is past the point of no return is finished instead.
            if run.world.isOn(World.destination) { finished += 1 }
            let areSafe = world.claims.allSatisfy {
                run.world.isOn(World.source, [$0]) || run.world.isOn(World.destination, [$0])
            }
            let isRight =
                run.report?.succeeded == true && run.world.areScalesRight && run.world.marksLeft().isEmpty
                && areSafe && run.world.policies == ["Delete"]
                && run.world.stagingClaims.count == run.world.leakedClaims().count
            guard isRight, invariants.violations.isEmpty else {
                Issue.record(
                    """
                    \(scenario), died \(point.name): \(run.failure ?? "") \(run.world.marksLeft()) \
                    \(invariants.violations.prefix(3))
                    \(run.messages.joined(separator: "\n"))
                    """
                )
                return
            }
        }
        #expect(finished > 0 && finished < points.count)
    }

    @Test("starts what an earlier run has stopped, says so, and finds nothing more to do")
    func nothingLeft() {
        let first = Scenario.deployment.world().abort()
        #expect(first.report?.claims.isEmpty == true)
        #expect(first.report?.succeeded == true)
    }
}

extension World {
    /// Runs an abort in virtual time, as one process.
    func abort(seed: UInt64 = 1, observer: Observer? = nil) -> Run {
        migrate(
            as: "abort",
            seed: seed,
            observer: observer,
            work: { migrator, _ in try await migrator.abort() }
        )
    }

    /// The reclaim policies of all volumes that claims are bound to.
    var policies: Set<String> {
        Set(
            cluster.list(.persistentVolumes).filter { $0[path: ["status", "phase"]] == "Bound" }
                .compactMap { $0[path: ["spec", "persistentVolumeReclaimPolicy"]]?.string }
        )
    }

    var stagingClaims: [String] {
        cluster.list(.persistentVolumeClaims).filter { $0[path: ["metadata", "annotations", Marks.claim]] != nil }
            .compactMap { $0[path: ["metadata", "name"]]?.string }
    }
}
