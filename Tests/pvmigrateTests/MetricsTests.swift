import Foundation
import Kubernetes
import Migration
import Synchronization
import Testing

@testable import pvmigrate

@Suite("--metrics")
struct MetricsTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func read(_ path: String) throws -> [Substring] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    }

    @Test("has in the end what the run has come to, each metric with its help and type")
    func end() throws {
        let path = folder.path + "/pvmigrate.prom"
        var shop = try Shop()
        let run = try shop.run("--metrics", path, "--output=json")
        #expect(run.code == .done, "\(run.errors)")
        let lines = try read(path)
        #expect(lines.contains("pvmigrate_claims{result=\"migrated\"} 1.0"), "\(lines)")
        #expect(lines.contains("pvmigrate_copied_bytes 5.0") && lines.contains("pvmigrate_run_exit_code 0.0"))
        #expect(
            lines.contains("pvmigrate_run_info{destination=\"fast\",source=\"slow\",version=\"\(version)\"} 1.0")
        )
        let claim = try run.object(schema: "run")["claims"]?.array?.first
        guard case .number(let outage)? = claim?["outageSeconds"] else {
            Issue.record("there is no outage: \(run.output)")
            return
        }
        #expect(lines.contains("pvmigrate_outage_seconds{unit=\"Deployment shop/web\"} \(outage)"), "\(lines)")
        for line in lines where !line.hasPrefix("#") {
            let name = line.prefix { $0 != "{" && $0 != " " }
            #expect(name.wholeMatch(of: /pvmigrate_[a-z_]+/) != nil)
            #expect(lines.contains("# TYPE \(name) gauge") && lines.contains { $0.hasPrefix("# HELP \(name) ") })
        }
        #expect(Set(lines).count == lines.count)
    }

    @Test("tells how a run ended that failed, or that did nothing")
    func failed() throws {
        let path = folder.path + "/pvmigrate.prom"
        var shop = try Shop()
        #expect(try shop.run("--metrics=\(path)", "--dest-sc=none").code == .refused)
        #expect(try read(path).contains("pvmigrate_run_exit_code 2.0"))
        #expect(try read(path).contains("pvmigrate_claims{result=\"pending\"} 1.0"))
    }

    @Test("is there while the run goes on, without an exit code, and counts an outage as it lasts")
    func running() throws {
        let invocation = try Invocation.read(["--source-sc=a", "--dest-sc=b"])
        let path = folder.path + "/x"
        let metrics = Metrics(file: ResultFile(flag: "--metrics", path: path), invocation)
        let claim = ObjectName("data", in: "shop")
        let unit = #"Deployment "we\b""# + "\n"
        func mark(_ seconds: Int, _ kind: Milestone.Kind) {
            metrics.note(Milestone(elapsed: .seconds(seconds), unit: unit, claims: [claim], kind: kind))
        }
        mark(10, .outageBegan)
        metrics.note(claim, CopyProgress(bytes: 1000))
        metrics.note(claim, CopyProgress(bytes: 3000))
        mark(25, .stepEnded("copy", took: .milliseconds(1500), failed: false))
        let text = metrics.text(.seconds(30), exitCode: nil)
        #expect(text.contains(#"pvmigrate_outage_seconds{unit="Deployment \"we\\b\"\n"} 20.0"#), "\(text)")
        #expect(text.contains("pvmigrate_copied_bytes 3000.0\n") && text.contains("pvmigrate_copy_seconds 1.5\n"))
        #expect(!text.contains("exit_code"))
        mark(40, .outageEnded(took: .seconds(30)))
        mark(41, .ended(isDone: true))
        let later = metrics.text(.seconds(99), exitCode: nil)
        #expect(later.contains(#""} 30.0"#) && later.contains("pvmigrate_claims{result=\"migrated\"} 1.0\n"))
    }

    @Test("is written every 15 seconds")
    func every() async throws {
        let path = folder.path + "/x"
        let invocation = try Invocation.read(["--source-sc=a", "--dest-sc=b"])
        let metrics = Metrics(file: ResultFile(flag: "--metrics", path: path), invocation)
        let slept = Box<[Duration]>([])
        let time = TimeSource(
            now: { slept.value.withLock { $0.last ?? .zero } },
            sleep: { moment in
                #expect(FileManager.default.fileExists(atPath: path))
                try FileManager.default.removeItem(atPath: path)
                let count = slept.value.withLock { slept in
                    slept.append(moment)
                    return slept.count
                }
                if count == 3 { throw CancellationError() }
            }
        )
        await metrics.keepWritten(Log(time: time) { _ in })
        #expect(slept.value.withLock { $0 } == [.seconds(15), .seconds(30), .seconds(45)])
    }
}
