import ClusterSimulator
import Foundation
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("How far a copy is")
struct CopyProgressTests {
    @Test("rsync's own line tells it, with the total as soon as rsync knows it")
    func rsyncLine() {
        let done = CopyAmount(rsync: "     10,485,760  83%  284.82MB/s    0:00:00 (xfr#5, to-chk=0/9)")
        #expect(done == CopyAmount(bytes: 10_485_760, total: 12_633_445, isTotalKnown: true))
        // In the middle of a file nothing is said of the others.
        let first = CopyAmount(rsync: "         32,768   0%    0.00kB/s    0:00:00  ")
        #expect(first == CopyAmount(bytes: 32768, total: nil, isTotalKnown: nil))
        let looking = CopyAmount(rsync: "  2,097,152  16%  328.12MB/s    0:00:00 (xfr#1, ir-chk=1006/1200)")
        #expect(looking?.isTotalKnown == false)
        // No volume is as large; but a number it must be, also where a hundred claims have it.
        #expect(
            CopyAmount(rsync: " 9,000,000,000,000,000   1%    1.00kB/s    0:00:09  ")?.total == 10_000_000_000_000_000
        )
        #expect(CopyAmount(rsync: "         10.49M  50%  284.82MB/s    0:00:00  ")?.total == 20_980_000)
        #expect(
            CopyAmount(rsync: "\r   1,000  10%    1.00kB/s    0:00:09  \r   2,000  20%    1.00kB/s    0:00:08  ")?.bytes
                == 2000
        )
    }

    @Test(
        "other lines tell nothing",
        arguments: [
            "", "Total file size: 12,582,914 bytes",
            "sent 10,488,734 bytes  received 144 bytes  20,977,756.00 bytes/sec",
            "a name 16%  1.00MB/s 0:00:00", "1,000 200%  1.00MB/s 0:00:00", "999999999999999999999 1% 1.00MB/s 0:00:00",
            "-5 1% 1.00MB/s 0:00:00", "1e300P 1% 1.00MB/s 0:00:00", "nan 1% 1.00MB/s 0:00:00",
        ]
    )
    func otherLines(line: String) {
        #expect(CopyAmount(rsync: line[...]) == nil)
        #expect(DeviceScript().amount(in: line[...]) == nil)
    }

    @Test("with --verbose-copy rsync tells of single files only, which is not taken for the whole")
    func verbose() {
        let line = "     10,485,760 100%  284.82MB/s    0:00:00 (xfr#5, to-chk=4/9)"
        #expect(RsyncFlags().amount(in: line[...]) != nil && RsyncFlags(verbose: true).amount(in: line[...]) == nil)
    }

    @Test("a device's line tells it")
    func deviceLine() {
        let amount = DeviceScript().amount(in: "256 of 1024 MiB compared, 12 MiB written")
        #expect(amount == CopyAmount(bytes: 256 << 20, total: 1 << 30, isTotalKnown: true))
        for line in ["2048 of 1024 MiB compared, 12 MiB written", "1 of 99999999999 MiB compared,", "written 12"] {
            #expect(DeviceScript().amount(in: line[...]) == nil)
        }
    }

    @Test("the rate is that of the last seconds, and what is left takes as long as it says")
    func pace() {
        var pace = CopyPace()
        func say(_ megabytes: Int64, at second: Double, known: Bool? = nil) -> CopyProgress? {
            let amount = CopyAmount(bytes: megabytes * 1_000_000, total: 1_000_000_000, isTotalKnown: known)
            return pace.add(amount, at: .seconds(second))
        }
        #expect(say(100, at: 10) == CopyProgress(bytes: 100_000_000, total: 1_000_000_000))
        // Nobody reads faster than once a second.
        #expect(say(110, at: 10.5) == nil)
        let second = say(200, at: 12)
        #expect(second?.rate == 50_000_000 && second?.timeLeft == .seconds(16))
        // A line whose beginning was cut off.
        #expect(say(3, at: 13) == nil)
        // Twenty seconds later the old rate is forgotten.
        #expect(say(220, at: 32)?.rate == nil)
        #expect(say(221, at: 33)?.rate == 1_000_000)
        // rsync has found a directory that it had not seen.
        let looking = say(230, at: 34, known: false)
        #expect(looking?.total == nil && looking?.timeLeft == nil && looking?.rate == 5_000_000)
    }

    /// Whether something was told, and which requests it took.
    private struct Watched: Sendable {
        var told: [ObjectName: [CopyProgress]] = [:]
        var follows = 0
    }

    /// Migrates a claim with many files, whose copy takes more than a second.
    private func migrate(
        watching: Bool,
        _ fault: @escaping Interceptor = { _, _ in nil }
    ) throws -> (World.Run, Watched) {
        var world = World()
        world.addClaim("data")
        world.settle()
        var files = World.files(of: ObjectName("data", in: "shop"))
        for number in 1...400 { files["many/\(number)"] = File("some text") }
        world.cluster.write(
            files,
            toVolumeNamed: try #require(world.volume(of: ObjectName("data", in: "shop"))),
            node: "node-1"
        )
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.rsyncFlags = ["--info=progress2"]
        let watched = Mutex(Watched())
        let watch: @Sendable (ObjectName, CopyProgress) -> Void = { claim, progress in
            watched.withLock { $0.told[claim, default: []].append(progress) }
        }
        let run = world.migrate(
            options,
            interceptor: { request, number in
                if request.target.contains("follow=true") { watched.withLock { $0.follows += 1 } }
                return await fault(request, number)
            },
            watch: watching ? watch : nil
        )
        return (run, watched.withLock { $0 })
    }

    @Test("it is told to whoever watches, for each claim; without a watcher no mover is asked")
    func told() throws {
        let (run, watched) = try migrate(watching: true)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        let told = try #require(watched.told[ObjectName("data", in: "shop")])
        #expect(watched.told.count == 1 && told.last?.total == told.last?.bytes && (told.last?.bytes ?? 0) >= 3600)
        let (_, unwatched) = try migrate(watching: false)
        #expect(watched.follows == 1 && unwatched.follows == 0)
    }

    @Test("where the log can't be followed, the copy goes on and that is said once")
    func refused() throws {
        let (run, watched) = try migrate(watching: true) { request, _ in
            request.target.contains("follow=true")
                ? .answer(Response(status: 403, body: Data(#"{"kind":"Status"}"#.utf8))) : nil
        }
        #expect(run.report?.succeeded == true && watched.told.isEmpty)
        #expect(run.messages.count { $0.contains("can't be followed any more") } == 1, "\(run.messages)")
    }
}
