import ClusterSimulator
import Kubernetes
import Testing

@Suite("The rate of requests")
struct RequestRateTests {
    /// A request of several that were sent at once.
    private struct Sent: Sendable {
        var number: Int
        var ended: Duration
    }

    private func send(_ count: Int, perSecond: Int) throws -> [Sent] {
        let time = VirtualTime(seed: 1)
        let client = Client(
            transport: ClusterSimulator(Cluster(seed: 1), time: time.source),
            time: time.source,
            rate: RequestRate(perSecond: perSecond)
        )
        return try time.run {
            await withTaskGroup(of: Sent.self) { group in
                for number in 0..<count {
                    group.addTask {
                        do {
                            // One after the other, so that it is known who came first.
                            try await time.source.sleep(.microseconds(number))
                            _ = try await client.list(PersistentVolume.self)
                        } catch {
                            Issue.record("\(error)")
                        }
                        return Sent(number: number, ended: time.source.now())
                    }
                }
                var all: [Sent] = []
                for await sent in group { all.append(sent) }
                return all
            }
        }
    }

    @Test("lets twice as many requests begin at once, and the others one by one")
    func burst() throws {
        let sent = try send(50, perSecond: 10)
        #expect(sent.count { $0.ended < .milliseconds(50) } == 20)
        let last = sent.map(\.ended).max() ?? .zero
        #expect((.milliseconds(2990)...(.milliseconds(3010))).contains(last), "\(last)")
    }

    @Test("lets requests begin in the order in which they came")
    func order() throws {
        let late = try send(50, perSecond: 10).filter { $0.ended > .milliseconds(50) }
        #expect(late.sorted { $0.ended < $1.ended }.map(\.number) == Array(20..<50))
    }

    @Test("does not keep a request that is given up")
    func cancelled() throws {
        let time = VirtualTime(seed: 1)
        let client = Client(
            transport: ClusterSimulator(Cluster(seed: 1), time: time.source),
            time: time.source,
            rate: RequestRate(perSecond: 1)
        )
        let ended: Duration = try time.run {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        do { _ = try await client.list(PersistentVolume.self) } catch {}
                    }
                }
                do { try await time.source.sleep(.seconds(1)) } catch { Issue.record("\(error)") }
                group.cancelAll()
            }
            return time.source.now()
        }
        #expect(ended < .seconds(2))
    }
}
