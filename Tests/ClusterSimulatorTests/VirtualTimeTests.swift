import Foundation
import Kubernetes
import Testing

@testable import ClusterSimulator

struct VirtualTimeTests {
    @Test("hours pass without real time passing")
    func jumps() throws {
        let time = VirtualTime()
        let source = time.source
        let start = ContinuousClock.now
        let moments = try time.run {
            try await source.sleep(.seconds(3600))
            let first = source.now()
            try await source.sleep(.seconds(7200))
            return [first, source.now()]
        }
        #expect(moments == [.seconds(3600), .seconds(7200)])
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    @Test("sleepers wake in the order of their moments")
    func order() throws {
        let time = VirtualTime()
        let source = time.source
        let woken = try time.run {
            try await withThrowingTaskGroup(of: Int.self) { group in
                for seconds in [3, 1, 2] {
                    group.addTask {
                        try await source.sleep(.seconds(seconds))
                        return seconds
                    }
                }
                var woken: [Int] = []
                for try await seconds in group { woken.append(seconds) }
                return woken
            }
        }
        #expect(woken == [1, 2, 3])
    }

    /// In what order tasks that are ready at once take their turns.
    private static func interleaving(seed: UInt64) throws -> [Int] {
        try VirtualTime(seed: seed).run {
            let turns = Turns()
            await withTaskGroup(of: Void.self) { group in
                for task in 0..<6 {
                    group.addTask { for _ in 0..<5 { await turns.take(task) } }
                }
            }
            return await turns.all
        }
    }

    private actor Turns {
        var all: [Int] = []
        func take(_ task: Int) { all.append(task) }
    }

    @Test("the same seed repeats a run, another one interleaves differently")
    func seeds() throws {
        #expect(try Self.interleaving(seed: 7) == Self.interleaving(seed: 7))
        let different = Set(try (1...5).map(Self.interleaving))
        #expect(different.count > 1)
    }

    @Test("a cancelled sleeper wakes at once with CancellationError")
    func cancellation() throws {
        let time = VirtualTime()
        let source = time.source
        let now = try time.run {
            await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await source.sleep(.seconds(1_000_000)) }
                group.addTask { try await source.sleep(.seconds(1)) }
                do { try await group.next() } catch {}
                group.cancelAll()
                await #expect(throws: CancellationError.self) { try await group.next() }
            }
            return source.now()
        }
        #expect(now == .seconds(1))
    }

    @Test("waiting for what cannot happen is an error, not a hang")
    func stuck() throws {
        let time = VirtualTime(patience: 50)
        let bell = Bell()
        #expect(throws: (any Error).self) { try time.run { try await bell.wait(past: 0) } }
    }

    @Test("a job from another thread is taken in")
    func otherThreads() throws {
        let time = VirtualTime()
        let sum = try time.run {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread { continuation.resume(returning: 42) }
            }
        }
        #expect(sum == 42)
    }

    @Test("actors run on the calling thread too")
    func actors() throws {
        let time = VirtualTime()
        let simulator = ClusterSimulator(try Replay.makeCluster(seed: 1), time: time.source, latency: .milliseconds(4))
        let status = try time.run {
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask {
                    try await simulator.run()
                    return 0
                }
                group.addTask { try await simulator.send(Request(.get, "/api/v1/namespaces/rec")).status }
                defer { group.cancelAll() }
                return try await group.next() ?? 0
            }
        }
        #expect(status == 200)
    }
}
