import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("A copy to or from this computer that dies", .timeLimit(.minutes(10)))
struct TreeCrashTests {
    @Test(
        "at any request: the next run finishes it, and never does a workload run on what is half filled",
        arguments: LocalTree.Direction.allCases
    )
    func crashes(direction: LocalTree.Direction) {
        let scene = TreeScene(direction)
        let start = CrashPoint(world: scene.world, crashes: [])
        let recording = Recording(from: start, seed: 3)
        let whole = scene.run(seed: 3, observer: recording.observer)
        #expect(whole.report?.succeeded == true, "\(whole.messages)")
        #expect(recording.distinct.count > 20)
        for index in recording.distinct {
            let point = recording[index]
            if point.world.runsHalfFilled {
                Issue.record("\(point.name): a workload runs on what is half filled")
                return
            }
            // What a process had brought by then may be any part of all.
            let computer = scene.computer()
            let wrong = Mutex<[String]>([])
            let observer: Observer = { request, _, cluster in
                guard scene.world.with(cluster).runsHalfFilled else { return }
                wrong.withLock { $0.append(request.target) }
            }
            let run = scene.run(point.world, computer, as: "second", seed: UInt64(index), observer: observer)
            let problems = run.world.shortcomings(of: scene, computer) + wrong.withLock { $0 }
            guard run.report?.succeeded == true, problems.isEmpty else {
                Issue.record(
                    """
                    died \(point.name): \(run.failure ?? "") \(problems.prefix(5))
                    \(run.messages.joined(separator: "\n"))
                    """
                )
                return
            }
        }
    }

    @Test(
        "at any request: a run of other classes leaves the workload alone that a copy has stopped",
        arguments: LocalTree.Direction.allCases
    )
    func others(direction: LocalTree.Direction) {
        let scene = TreeScene(direction)
        let recording = Recording(from: CrashPoint(world: scene.world, crashes: []), seed: 5)
        _ = scene.run(seed: 5, observer: recording.observer)
        var isConcluded = false
        var stopped = 0
        for index in recording.distinct {
            let point = recording[index]
            let volumes = point.world.cluster.list(.persistentVolumes)
            let isBegun = volumes.contains { $0[path: ["metadata", "annotations", Marks.tree]] != nil }
            if stopped > 0, !isBegun { isConcluded = true }
            // Once all is copied anybody may start it.
            guard point.world.scale(of: "db") == 0, !isConcluded else { continue }
            stopped += 1
            let run = point.world.migrate(Options(sourceClass: "a", destinationClass: "b"))
            guard run.world.scale(of: "db") == 0, run.report?.succeeded == true else {
                Issue.record("\(point.name): \(run.report?.failures ?? [])\n\(run.messages.joined(separator: "\n"))")
                return
            }
        }
        #expect(stopped > 5 && isConcluded)
    }

    @Test("at any request: an abort starts what may run, and leaves stopped what is half filled")
    func aborts() {
        let scene = TreeScene(.upload)
        let recording = Recording(from: CrashPoint(world: scene.world, crashes: []), seed: 4)
        _ = scene.run(seed: 4, observer: recording.observer)
        var (started, left) = (0, 0)
        for index in recording.distinct {
            let point = recording[index]
            let run = scene.run(
                point.world,
                as: "abort",
                seed: UInt64(index),
                work: { migrator, _ in try await migrator.abort() }
            )
            let isHalf = TreeScene.claims.contains(where: run.world.isHalfFilled)
            if isHalf { left += 1 } else { started += 1 }
            guard run.world.scale(of: "db") == (isHalf ? 0 : 2), run.report?.succeeded == !isHalf else {
                Issue.record(
                    "died \(point.name): \(isHalf) \(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))"
                )
                return
            }
        }
        #expect(started > 0 && left > 0)
    }
}
