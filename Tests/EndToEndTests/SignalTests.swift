import Foundation
import Kubernetes
import Testing

/// What becomes of a run that a person, or a system that shuts down, interrupts.
struct SignalTests {
    /// How many seconds whoever interrupts a run has to wait at most.
    private static let patience = 30.0

    init() {
        // Ignored signals are inherited, and stay ignored: the tests may have been started by nohup.
        for number in [SIGINT, SIGTERM, SIGHUP] { _ = signal(number, SIG_DFL) }
    }

    @Test(
        "a signal in the middle of a copy brings everything back to its old volumes",
        arguments: [SIGINT, SIGTERM, SIGHUP]
    )
    func interrupted(number: Int32) async throws {
        try await Scene.with { scene in
            let set = try await scene.deploySet("database", replicas: 2, template: "data")
            let before = try await scene.contents(of: set)
            let old = try await scene.volume(of: "data-database-0")
            let run = try await scene.startSlowly()
            run.send(number)
            let end = try await run.end(limit: Self.patience, signal: SIGKILL)
            scene.expect(end, exit: 1)
            #expect(end.errors.contains("\nerror: interrupted; 0 of 2 claims migrated"), "\(end.errors)")
            for claim in before.keys { try await scene.expectBound(claim, to: scene.sourceClass) }
            #expect(try await scene.volume(of: "data-database-0").metadata.uid == old.metadata.uid)
            // It returns when the workload was started, not when it is ready.
            try await scene.waitUntilReady(set)
            try await scene.expectRestarted(set, on: before)

            let since = try await scene.contents(of: set)
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated("data-database-0", "data-database-1")
            try await scene.expectRestarted(set, on: since)
            try await scene.expectNothingLeft()
        }
    }

    @Test("a second signal ends a run at once, with 3, and the next one finishes")
    func twice() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            let run = try await scene.startSlowly()
            // Two different ones: of one kind no two wait in line.
            for number in [SIGINT, SIGTERM] { run.send(number) }
            let end = try await run.end(limit: Self.patience, signal: SIGKILL)
            scene.expect(end, exit: 3)
            #expect(end.errors.hasSuffix("exiting at once; run the same command again to finish\n"), "\(end.errors)")
            scene.expect(try await scene.status(), exit: 3)
            try await scene.removeLocks()
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated("data")
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
        }
    }

    @Test(
        "a run goes on to its end when nobody can read what it says",
        arguments: [Program.Output.unread, .closed]
    )
    func noTerminal(output: Program.Output) async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            let run = try await scene.start(scene.classes + ["--verbose-copy"], output: output).end()
            scene.expect(run, exit: 0)
            #expect(run.output.isEmpty && run.errors.isEmpty)
            try await scene.expectMigrated("data")
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
        }
    }
}
