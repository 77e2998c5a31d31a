import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// A share of a scenario's crashes; there are so many that all processors are busy to the end.
struct CrashShare: Sendable, CustomTestStringConvertible {
    var scenario: Scenario
    /// Each round has another seed; `PVMIGRATE_ROUND` chooses one.
    var round: UInt64
    /// Every n-th moment is taken, beginning with that of this number.
    var first: Int
    var step: Int

    var testDescription: String { "\(scenario.rawValue), round \(round), every \(step)th from the \(first)th" }

    /// Whether a run after a crash dies at each of its moments too, not only at one of them.
    var takesAllPairs: Bool { Self.isExhaustive && scenario == .claimWithoutPods }

    /// The moments at which a run dies. Kinds of workloads differ only in how they are stopped and started: at every
    /// other one.
    func moments(of recording: Recording) -> [Int] {
        let all = Self.isExhaustive ? Array(0..<recording.count) : recording.distinct
        let isWhole = Self.isExhaustive || !Scenario.kindsOfWorkloads.contains(scenario)
        return stride(from: first, to: all.count, by: isWhole ? step : 2 * step).map { all[$0] }
    }

    private static let environment = ProcessInfo.processInfo.environment
    private static let isExhaustive = environment["PVMIGRATE_EXHAUSTIVE"] != nil

    /// All of them, the slowest first; `PVMIGRATE_SCENARIOS` may name some scenarios.
    static let all: [CrashShare] = {
        let chosen = environment["PVMIGRATE_SCENARIOS"]?.split(separator: " ").map(String.init)
        // What is stopped by its scale as a Deployment is, and a CronJob's Job, has nothing of its own to break.
        let covered: Set<Scenario> = isExhaustive ? [] : [.replicaSet, .replicationController, .job]
        let scenarios = Scenario.allCases.filter { chosen?.contains($0.rawValue) ?? !covered.contains($0) }
        let round = environment["PVMIGRATE_ROUND"].flatMap(UInt64.init) ?? 0
        let shares = scenarios.flatMap { scenario in
            let step = scenario == .statefulSet ? 12 : 4
            return (0..<step).map { CrashShare(scenario: scenario, round: round, first: $0, step: step) }
        }
        return shares.filter { $0.scenario == .statefulSet } + shares.filter { $0.scenario != .statefulSet }
    }()
}

/// Counts the crashes of all shares, and prints how many there were.
private final class Tally: Sendable {
    private struct Counts {
        var shares = 0
        var single = 0
        var double = 0

        mutating func add(_ other: Counts) {
            shares += other.shares
            single += other.single
            double += other.double
        }

        var inWords: String { "\(single + double) crash points (\(single) single, \(double) of a run after a crash)" }
    }

    private let counts = Mutex<[Scenario: Counts]>([:])
    private let failed = Mutex(false)

    var hasFailed: Bool { failed.withLock { $0 } }

    func fail() { failed.withLock { $0 = true } }

    func add(_ share: CrashShare, single: Int, double: Int) {
        counts.withLock { counts in
            counts[share.scenario, default: Counts()].add(Counts(shares: 1, single: single, double: double))
            func isComplete(_ scenario: Scenario) -> Bool {
                counts[scenario]?.shares == CrashShare.all.filter { $0.scenario == scenario }.count
            }
            guard isComplete(share.scenario), let own = counts[share.scenario] else { return }
            print("\(share.scenario.rawValue): \(own.inWords)")
            guard CrashShare.all.map(\.scenario).allSatisfy(isComplete) else { return }
            var total = Counts()
            for count in counts.values { total.add(count) }
            print("crash matrix: \(total.inWords) in \(counts.count) scenarios")
        }
    }
}

@Suite("Crashes")
struct CrashTests {
    private static let tally = Tally()

    @Test(
        "a run that dies at any request is finished by the next one, and where that dies too, by the third",
        arguments: CrashShare.all
    )
    func crashes(share: CrashShare) {
        let options = share.scenario.options
        let start = CrashPoint(world: share.scenario.world(seed: share.round + 1), crashes: [])
        let whole = WatchedRun(from: start, seed: share.round, options: options)
        guard Self.isFine(whole, share) else { return }
        var (single, double) = (0, 0)
        for index in share.moments(of: whole.recording) {
            let seed = share.round &* 1_000_003 &+ UInt64(index) &* 1009
            let next = WatchedRun(from: whole.recording[index], seed: seed, options: options)
            guard Self.isFine(next, share) else { return }
            single += 1
            var random = SeededGenerator(seed: seed)
            var seconds = Array(0..<next.recording.count)
            if !share.takesAllPairs { seconds = [Int.random(in: 0..<next.recording.count, using: &random)] }
            for second in seconds {
                let seed = random.next() >> 32
                let last = WatchedRun(from: next.recording[second], seed: seed, options: options)
                if Self.tally.hasFailed { return }
                guard last.problems.isEmpty else {
                    // Each of the two crashes may do it alone, the second one in a run that no crash came before.
                    let name = next.recording.name(second)
                    let alone = [index] + (0..<whole.recording.count).filter { whole.recording.name($0) == name }
                    let shorter = alone.lazy.map { WatchedRun(from: whole.recording[$0], seed: seed, options: options) }
                        .first { !$0.problems.isEmpty }
                    _ = Self.isFine(shorter ?? last, share)
                    return
                }
                double += 1
            }
        }
        Self.tally.add(share, single: single, double: double)
    }

    /// Says what was wrong with a run; after one that was, all shares end.
    private static func isFine(_ run: WatchedRun, _ share: CrashShare) -> Bool {
        if tally.hasFailed { return false }
        if run.problems.isEmpty { return true }
        tally.fail()
        Issue.record("\(share.scenario.rawValue), round \(share.round), \(run.story)")
        return false
    }
}
