import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration
@testable import pvmigrate

@Suite("Sizes that no volume has end no run")
struct OverflowTests {
    private static let most = "9223372036854775807"

    private func kept(_ name: String) throws -> KeptVolume {
        let volume: JSON = [
            "metadata": [
                "name": .string(name), "uid": "u", "resourceVersion": "1",
                "annotations": [
                    Marks.kept: "2026-08-01T10:00:00Z", Marks.sourceNamespace: "shop", Marks.sourceClaim: "data",
                ],
            ],
            "spec": ["capacity": ["storage": .string(Self.most)]],
        ]
        return try #require(KeptVolume(try JSONDecoder().decode(PersistentVolume.self, from: volume.text)))
    }

    @Test("sums stop at the largest number, and at the smallest")
    func sums() {
        #expect([Int64.max, 1, Int64.max].sum() == .max)
        #expect([Int64.min, -1].sum() == .min)
        #expect([Int64.max, -1].sum() == .max - 1 && [Int64]().sum() == 0)
    }

    @Test("in a report, whatever a mover says that it has copied, and in however short a time")
    func report() {
        var report = Report()
        report.claims = ["a", "b"].map {
            Report.Claim(
                name: ObjectName($0, in: "shop"),
                size: Self.most,
                files: .max,
                bytes: .max,
                copyTime: .microseconds(1001),
                result: .migrated
            )
        }
        let page = HTMLReport(
            outcome: Outcome(kind: .migrated, code: .done, message: "done", report: report),
            options: Options(sourceClass: "slow", destinationClass: "fast"),
            arguments: [],
            began: .now,
            took: .seconds(1),
            milestones: [],
            messages: []
        )
        #expect(page.text.contains("<dd>8192.0 PiB</dd>") && page.text.contains("<dd>\(Int.max)</dd>"))
        #expect(page.text.contains(">8192.0 PiB/s<"))
    }

    @Test("in what is kept, and in what cleanup frees of it")
    func keptVolumes() throws {
        var status = MigrationStatus()
        status.kept = try ["a", "b"].map { MigrationStatus.Kept(kept: try kept($0), hasSuccessor: true) }
        #expect(status.keptBytes == .max)
        let cleaned = status.kept.map { Cleaned(kept: $0.kept, result: .freed) }
        #expect(CleanupOutcome(cleaned, dryRun: false).message == "done: 2 volumes of 8192.0 PiB freed")
    }

    @Test("in what a terminal shows of copies")
    func overview() {
        var overview = Overview()
        let names = ["a", "b"].map { ObjectName($0, in: "shop") }
        overview.note(Milestone(elapsed: .zero, unit: "one", claims: names, kind: .stepBegan("copy")))
        overview.note(
            Milestone(elapsed: .zero, unit: "two", claims: [ObjectName("c", in: "shop")], kind: .stepBegan("copy"))
        )
        for name in names + [ObjectName("c", in: "shop")] {
            overview.note(name, CopyProgress(bytes: .max, total: .max, rate: .max))
        }
        #expect(overview.lines(width: 200, height: 24, now: .zero).last?.contains("8192.0 PiB/s") == true)
    }

    @Test("in the order of units: the largest still comes first")
    func order() throws {
        func unit(_ sizes: [String]) throws -> Migration.Unit {
            let claims = try sizes.enumerated().map { number, size in
                var state = ClaimState(Transfer(of: ObjectName("\(number)", in: "shop"), uid: ""))
                let volume: JSON = [
                    "metadata": ["name": "pv", "uid": "u", "resourceVersion": "1"],
                    "spec": ["capacity": ["storage": .string(size)]],
                ]
                state.source = try JSONDecoder().decode(PersistentVolume.self, from: volume.text)
                return state
            }
            return Migration.Unit(claims: claims, workloads: [], obstacles: [])
        }
        var discovery = Discovery()
        discovery.units = [try unit(["1Gi"]), try unit([Self.most, "1"])]
        var schedule = Schedule(discovery, atMost: 2, perNode: 2)
        #expect(schedule.next() == 1 && schedule.next() == 0)
    }
}
