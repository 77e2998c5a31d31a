import ClusterSimulator
import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("--output jsonl")
struct EventTests {
    @Test("streams the start, the plan, each message, each step with its claims, the outage and the result")
    func stream() throws {
        var shop = try Shop()
        // Every step that there is.
        let run = try shop.run("--output", "jsonl", "--live")
        #expect(run.code == .done, "\(run.errors)")
        let events = try run.events()
        #expect(events.first?["type"] == "started" && events.first?["command"] == "migrate")
        #expect(events.first?["options"]?["sourceStorageClass"] == "slow")
        #expect(events.dropFirst().first?["type"] == "plan")
        #expect(events.dropFirst().first?["units"]?.array?.first?["claims"]?.array?.first?["name"] == "data")

        let began = events.filter { $0["type"] == "step-began" }
        let ended = events.filter { $0["type"] == "step-ended" }
        #expect(began.compactMap { $0["step"]?.string } == Pipeline.live.steps.map(\.name))
        #expect(ended.compactMap { $0["step"]?.string } == Pipeline.live.steps.map(\.name))
        for step in began + ended {
            #expect(step["unit"] == "Deployment shop/web" && step["claims"] == ["shop/data"])
        }
        #expect(ended.allSatisfy { $0["failed"] == false && $0["took"] != nil })

        // The outage that is streamed is that of the result, and the messages are those on stderr.
        let last = try #require(events.last)
        #expect(last["type"] == "finished" && last["outcome"] == "migrated" && last["exitCode"] == 0)
        #expect(Set(last.object?.keys.map(\.self) ?? []) == Set(Outcome.keys + ["v", "type", "seconds"]))
        let outages = events.filter { $0["type"]?.string?.hasPrefix("outage") == true }
        #expect(outages.compactMap { $0["type"]?.string } == ["outage-began", "outage-ended"])
        #expect(outages.last?["took"] == last["claims"]?.array?.first?["outageSeconds"])
        let messages = events.filter { $0["type"] == "message" }
        #expect(messages.count == run.errorLines.count - 1)
        #expect(messages.contains { $0["level"] == "info" && $0["subject"] == "Deployment shop/web" })
    }

    @Test("tells which step failed and of the way back, and ends with the result all the same")
    func failure() throws {
        var shop = try Shop()
        shop.cluster.behaviour.rsyncExits = [11]
        let run = try shop.run("--output=jsonl", "--skip-preflight-validation")
        #expect(run.code == .failed)
        let events = try run.events()
        let ended = events.filter { $0["type"] == "step-ended" }
        let steps = ended.compactMap { $0["step"]?.string }
        #expect(steps == ["protect", "stage", "pre-copy", "quiesce", "copy", "go back"])
        #expect(ended.filter { $0["failed"] == true }.compactMap { $0["step"]?.string } == ["copy"])
        #expect(events.contains { $0["type"] == "outage-ended" })
        #expect(events.contains { $0["type"] == "message" && $0["level"] == "error" })
        #expect(events.last?["outcome"] == "failed")
    }

    @Test("tells how far a copy is, while it takes more than a moment, and at most once a second")
    func progress() throws {
        var shop = try Shop()
        var files: Content = [:]
        for number in 1...1000 { files["\(number)"] = File("some text") }
        shop.cluster.write(files, toVolumeNamed: try #require(shop.volume), node: "node-1")
        let run = try shop.run("--output=jsonl", "--rsync-flags=--info=progress2")
        #expect(run.code == .done, "\(run.errors)")
        let progress = try run.events().filter { $0["type"] == "progress" }
        let last = try #require(progress.last)
        #expect(last["claim"] == "shop/data" && (last["bytes"]?.integer ?? 0) >= 9000)
        #expect(last["bytesTotal"] == last["bytes"] && last["rate"] == .null && last["secondsLeft"] == .null)
        #expect(progress.count <= 10)
        let ends = try run.events().filter { $0["type"] == "unit-ended" }
        #expect(ends.count == 1 && ends[0]["failed"] == false && ends[0]["unit"] == "Deployment shop/web")
    }

    @Test("ends with the result when nothing could be asked, and for a rollback and an abort, too")
    func others() throws {
        var shop = try Shop()
        let lost = try shop.run("--output=jsonl", "--context=none").events()
        #expect(lost.compactMap { $0["type"]?.string } == ["started", "finished"])
        #expect(lost.last?["exitCode"] == 1)
        _ = try shop.run("--keep-source")
        let back = try shop.rollback("--output=jsonl").events()
        #expect(back.first?["command"] == "rollback" && back.last?["outcome"] == "rolled-back")
        let abort = try shop.abort("--output=jsonl").events()
        #expect(abort.first?["command"] == "abort" && abort.last?["outcome"] == "aborted")
    }

    @Test("is refused by commands that have one result")
    func oneResult() throws {
        var shop = try Shop()
        for run in [try shop.status("--output=jsonl"), try shop.cleanup("--keep-days=0", "--output=jsonl")] {
            #expect(run.code == .usage && run.output.isEmpty)
            #expect(run.errors.contains("use json; see pvmigrate --help"))
        }
    }
}
