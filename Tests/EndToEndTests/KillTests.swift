import Foundation
import Kubernetes
import Testing

/// The program dies at random moments, and the next run goes on from there.
struct KillTests {
    enum Situation: UInt32, CaseIterable {
        case statefulSet
        case twoClaims
        case claimWithoutPod
        /// There with `--keep-source`, and back with a rollback.
        case keptSource
    }

    /// All moments follow from it: a person may repeat them.
    private static let seed: UInt32 = {
        let seed = TestCluster.variable("SEED").flatMap { UInt32($0) } ?? .random(in: 0 ... .max)
        print("kills: PVMIGRATE_E2E_SEED=\(seed) repeats their moments")
        return seed
    }()
    /// How often the program is killed in each situation; on a real cluster everything takes longer.
    private static let wanted = TestCluster.isSandbox ? 13 : 2

    @Test("what a killed run has left half done is finished by the next one", arguments: Situation.allCases)
    func kills(situation: Situation) async throws {
        try await Scene.with { scene in
            var chance = Chance(seed: Self.seed &+ situation.rawValue)
            let subject = try await Subject(situation, in: scene)
            let commands = scene.commands(situation)
            var contents = try await subject.contents(in: scene)
            var contentsOnSource = contents

            try await subject.prepare(in: scene)
            let began = ContinuousClock.now
            let unharmed = try await scene.run(commands.there)
            let duration = (ContinuousClock.now - began) / .seconds(1)
            scene.expect(unharmed, exit: 0)
            let pauses = Self.pauses(in: unharmed.errors, until: duration)
            contents = try await subject.expectMoved(to: scene.destinationClass, with: contents, in: scene)

            var kills = 0
            var isBack = false
            var wasTakenOver = false
            // A run may end before its moment comes.
            for _ in 1...Self.wanted * 3 where kills < Self.wanted {
                let command = isBack ? commands.there : commands.back
                try await subject.prepare(in: scene)
                var isLocked = false
                for attempt in 1... {
                    let run = try scene.start(command)
                    let isSpared =
                        isLocked || kills == Self.wanted || attempt > 3 || (attempt > 1 && chance.next() < 0.5)
                    let lines = Int(chance.next() * Double(pauses.count))
                    let pause = chance.next() * pauses[lines]
                    let end =
                        isSpared
                        ? try await run.end() : try await run.end(afterLines: lines, limit: pause, signal: SIGKILL)
                    guard end.exitCode == 128 + SIGKILL else {
                        scene.expect(end, exit: 0)
                        if isLocked { #expect(end.errors.contains("seems dead; taking over"), "\(end.errors)") }
                        break
                    }
                    kills += 1
                    let last = end.errors.split(separator: "\n").last.map { scene.withoutPrefix($0) } ?? "nothing said"
                    let status = try await scene.status()
                    print(
                        "kills: \(situation) \(kills), \(isBack ? "there" : "back"), attempt \(attempt),"
                            + " status \(status.exitCode): \(last)"
                    )
                    #expect([0, 3].contains(status.exitCode), "\(status.exitCode): \(status.errors)")
                    // Once for all: the takeover of a dead run's lock takes 15 s.
                    isLocked = !wasTakenOver && status.exitCode == 3
                    if isLocked { wasTakenOver = true } else { try await scene.removeLocks() }
                }
                isBack.toggle()
                // A rollback brings back what there was before the migration.
                contents = try await subject.expectMoved(
                    to: isBack ? scene.sourceClass : scene.destinationClass,
                    with: isBack && situation == .keptSource ? contentsOnSource : contents,
                    in: scene
                )
                if isBack { contentsOnSource = contents }
                scene.expect(try await scene.status(), exit: 0)
                try await Self.removeLeaks(in: scene)
                if isBack || situation != .keptSource { try await scene.expectNothingLeft() }
            }
            #expect(kills == Self.wanted)
        }
    }

    /// Removes the staging claims that are left where a run was killed between creating one and writing that down, once
    /// `status` has told of them.
    private static func removeLeaks(in scene: Scene) async throws {
        for namespace in try await scene.namespaces().map(\.metadata.name) {
            for claim in try await scene.client.list(PersistentVolumeClaim.self, in: namespace)
            where claim.metadata.annotation("kurl.sh/pvcmigrate-kind") == "dest" {
                let told = try await scene.status("--output", "json").output
                #expect(told.contains("PersistentVolumeClaim \(claim.name)") && told.contains("no volume proves"))
                try await scene.client.delete(.claims, claim.name, uid: claim.metadata.uid)
                try await scene.client.wait(
                    for: PersistentVolume.self,
                    in: nil,
                    limit: .seconds(120),
                    what: "the volume of \(claim.name) to be gone"
                ) { volumes in
                    volumes.objects.values.contains { $0.spec.claimRef?.uid == claim.metadata.uid } ? nil : ()
                }
            }
        }
    }

    /// How long a run is silent before its first line and after each one, in seconds.
    private static func pauses(in errors: String, until end: Double) -> [Double] {
        let stamps = errors.matches(of: /(?m)^\[ *([0-9.]+)s\]/).compactMap { Double($0.1) }
        return zip([0] + stamps, stamps + [end]).map { max(0, $1 - $0) }
    }
}

/// What is moved.
private struct Subject {
    var claims: [String]
    /// Nil where no pod mounts the claim.
    var workload: TestWorkload?

    init(_ situation: KillTests.Situation, in scene: Scene) async throws {
        switch situation {
        case .statefulSet:
            workload = try await scene.deploySet("database", replicas: 2, template: "data")
            claims = ["data-database-0", "data-database-1"]
        case .twoClaims:
            claims = ["orders", "archive"]
            for claim in claims { try await scene.createClaim(claim) }
            workload = try await scene.deploy("shop", claims: ["/data": "orders", "/old": "archive"])
        case .claimWithoutPod:
            claims = ["lonely"]
            try await scene.createClaim("lonely")
        case .keptSource:
            claims = ["data"]
            try await scene.createClaim("data")
            workload = try await scene.deploy("app", claims: ["/data": "data"])
        }
    }

    /// Says where the data is, where no pod tells it.
    func prepare(in scene: Scene) async throws {
        guard workload == nil else { return }
        for claim in claims { try await scene.nameNode(of: claim) }
    }

    func contents(in scene: Scene) async throws -> [String: Contents] {
        if let workload { return try await scene.contents(of: workload) }
        var contents: [String: Contents] = [:]
        for claim in claims { contents[claim] = try await scene.visit(claim) }
        return contents
    }

    /// Expects the claims on a class, with every file, and its workload at its scale, started once more.
    ///
    /// - Returns: what it has found.
    func expectMoved(
        to storageClass: String,
        with before: [String: Contents],
        in scene: Scene
    ) async throws -> [String: Contents] {
        for claim in claims { try await scene.expectBound(claim, to: storageClass) }
        // Where the last run but one has started it, the last one didn't wait for it.
        if let workload { try await scene.waitUntilReady(workload) }
        let after = try await contents(in: scene)
        for (claim, found) in before {
            scene.expectEqual(after[claim]?.lines ?? [], found.lines, in: claim)
            #expect(after[claim]?.starts == found.starts + 1)
        }
        return after
    }
}

extension Scene {
    /// What moves the claims there and back again.
    fileprivate func commands(_ situation: KillTests.Situation) -> (there: [String], back: [String]) {
        let further = ["--skip-preflight-validation"]
        if situation == .keptSource {
            return (classes + ["--keep-source"] + further, ["rollback"] + classes + ["--discard-changes"] + further)
        }
        return (classes + further, ["--source-sc", destinationClass, "--dest-sc", sourceClass] + further)
    }

    fileprivate func withoutPrefix(_ text: Substring) -> String {
        text.replacingOccurrences(of: prefix + "-", with: "")
    }
}

/// Random numbers from 0 to 1, the same for the same seed.
private struct Chance {
    private var state: [UInt16]

    init(seed: UInt32) { state = [0x330e, UInt16(seed & 0xffff), UInt16(seed >> 16)] }

    mutating func next() -> Double { erand48(&state) }
}
