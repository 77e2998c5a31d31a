import Kubernetes
import Testing

/// Copies that are made while the workload writes.
struct LiveTests {
    /// A workload that writes all the time, and verifies what it wrote whenever it starts.
    private func ledger(in scene: Scene) async throws -> TestWorkload {
        try await scene.createClaim("ledger")
        return try await scene.deploy("ledger", claims: ["/data": "ledger"], script: Files.ledger)
    }

    /// Checks that a ledger's pods have verified something, and found nothing broken.
    private func expectWhole(_ workload: TestWorkload, in scene: Scene) async throws {
        var verified = 0
        var broken: [Substring] = []
        for pod in try await scene.pods(of: workload) {
            for line in try await scene.client.log(of: pod.name, container: "main", tail: 1000).split(separator: "\n") {
                if line.hasPrefix("broken") { broken.append(line) }
                if line.hasPrefix("verified"), let count = line.split(separator: " ").dropFirst().first {
                    verified = Int(count) ?? 0
                }
            }
        }
        #expect(verified > 0 && broken.isEmpty, "\(broken)")
    }

    @Test("a workload that writes all the time loses nothing with --live, and is stopped only after the passes")
    func live() async throws {
        try await Scene.with { scene in
            let deployment = try await ledger(in: scene)
            let run = try await scene.migrate("--live", "--max-outage", "2s")
            scene.expect(run, exit: 0)
            let pass = run.errors.firstRange(of: "pass 1 took")?.lowerBound
            let stop = run.errors.firstRange(of: "stopped: scale")?.lowerBound
            #expect(pass != nil && stop != nil && pass ?? run.errors.endIndex < stop ?? run.errors.startIndex)
            #expect(run.output.contains("predicted"), "\(run.output)")
            try await scene.expectMigrated("ledger")
            try await expectWhole(deployment, in: scene)
            try await scene.expectNothingLeft()
        }
    }

    @Test("pvmigrate stage leaves a workload alone, can be repeated, and the migration goes on from what it copied")
    func stage() async throws {
        try await Scene.with { scene in
            let deployment = try await ledger(in: scene)
            let volume = try await scene.volume(of: "ledger")
            let pods = try await scene.pods(of: deployment).map(\.metadata.uid)
            for _ in 1...2 {
                scene.expect(try await scene.run(["stage"] + scene.classes), exit: 0)
                #expect(try await scene.pods(of: deployment).map(\.metadata.uid) == pods)
                #expect(try await scene.volume(of: "ledger").metadata.uid == volume.metadata.uid)
                #expect(try await scene.volume(of: "ledger").reclaimPolicy == volume.reclaimPolicy)
            }
            let staged = try await scene.volume(of: "ledger-pvcmigrate")
            scene.expect(try await scene.migrate("--live"), exit: 0)
            #expect(try await scene.volume(of: "ledger").metadata.uid == staged.metadata.uid)
            try await expectWhole(deployment, in: scene)
            try await scene.expectMigrated("ledger")
            try await scene.expectNothingLeft()
        }
    }

    @Test("what pvmigrate stage has copied is taken back by abort")
    func abort() async throws {
        try await Scene.with { scene in
            let deployment = try await ledger(in: scene)
            let pods = try await scene.pods(of: deployment).map(\.metadata.uid)
            scene.expect(try await scene.run(["stage"] + scene.classes), exit: 0)
            scene.expect(try await scene.run(["abort"] + scene.classes), exit: 0)
            #expect(try await scene.pods(of: deployment).map(\.metadata.uid) == pods)
            try await scene.expectBound("ledger", to: scene.sourceClass)
            try await scene.expectNothingLeft()
        }
    }
}
