import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("How a copy is checked")
struct VerifyTests {
    private static let claim = ObjectName("data", in: "shop")

    private func options(_ verification: Options.Verification) -> Options {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.verification = verification
        return options
    }

    /// Migrates a claim whose new volume has a file from somewhere that differs from the source's by its content only.
    private func migrateOverDecoy(
        _ verification: Options.Verification,
        logFileSize: Int? = nil
    ) throws -> (run: World.Run, content: String?) {
        var world = Scenario.deployment.world()
        if let logFileSize { world.cluster.behaviour.logFileSize = logFileSize }
        let source = try #require(world.volume(of: Self.claim))
        let files = try #require(world.cluster.content(ofVolumeNamed: source, node: "node-2"))
        var decoys = files.filter { ["dir", "dir/private"].contains($0.key) }
        decoys["dir/private"]?.content = String(repeating: "x", count: files["dir/private"]?.size ?? 0)
        let run = world.migrate(
            options(verification),
            meddler: { [decoys] _, cluster in
                let staging = ObjectKey(.persistentVolumeClaims, "shop", "data-pvcmigrate")
                guard let volume = cluster.get(staging)?[path: ["spec", "volumeName"]]?.string,
                    cluster.content(ofVolumeNamed: volume, node: "node-2")?.isEmpty != false
                else { return }
                cluster.write(decoys, toVolumeNamed: volume, node: "node-2")
            }
        )
        let volume = try #require(run.world.volume(of: Self.claim))
        return (run, run.world.cluster.content(ofVolumeNamed: volume, node: "node-2")?["dir/private"]?.content)
    }

    @Test("by contents with --verify checksum: what sizes and times do not tell is found, and copied again")
    func checksum() throws {
        let (run, content) = try migrateOverDecoy(.checksum)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(content == "secret of shop/data")
        #expect(run.messages.contains { $0.contains("1 entries still differ") }, "\(run.messages)")
    }

    @Test("a check whose log was rotated proves nothing: the differences may be in the file that was there before")
    func rotated() throws {
        // The check's first line fits into a file; a difference after it begins another one.
        let (run, content) = try migrateOverDecoy(.checksum, logFileSize: 40)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(content == "secret of shop/data")
        #expect(run.messages.contains { $0.contains("from its beginning to its end") }, "\(run.messages)")
    }

    @Test("by sizes, times and other metadata otherwise")
    func quick() throws {
        let (run, content) = try migrateOverDecoy(.quick)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(content?.hasPrefix("xxx") == true)
    }

    @Test("not at all with --verify none, which is said; what was copied is complete all the same")
    func none() {
        let world = Scenario.deployment.world()
        let invariants = Invariants(of: world)
        let run = world.migrate(options(.none), observer: invariants.observer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.shortcomings(keepsLines: invariants) == [])
        #expect(run.messages.contains { $0.contains("is not checked") }, "\(run.messages)")
        let checked = world.migrate(options(.quick))
        #expect(checked.report?.succeeded == true && !checked.messages.contains { $0.contains("is not checked") })
    }

    @Test("an image that is named by a tag is told of once, and one with a digest is not")
    func tag() {
        var options = options(.quick)
        var world = Scenario.twoClaimsInOnePod.world()
        let said = world.migrate(options).messages.filter { $0.contains("is named by a tag") }
        #expect(said.count == 1 && said.first?.contains("eeacms/rsync:2.3") == true, "\(said)")
        options.rsyncImage = "eeacms/rsync@sha256:\(String(repeating: "a", count: 64))"
        world.cluster.behaviour.images.insert(options.rsyncImage)
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true && !run.messages.contains { $0.contains("is named by a tag") })
    }

    @Test("a copy that fails is not taken for one that is not to be checked")
    func failing() {
        var world = Scenario.deployment.world()
        world.cluster.behaviour.rsyncExits = [23, 23, 23]
        #expect(world.migrate(options(.none)).report?.claims.map(\.result) == [.failed])
    }
}
