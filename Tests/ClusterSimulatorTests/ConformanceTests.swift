import FoundationEssentials
import Testing

@testable import ClusterSimulator

/// The recordings of a real cluster are the truth; where the simulator differs on purpose, `deviations` says why.
struct ConformanceTests {
    @Test("the simulator answers as the real cluster did", arguments: Transcript.names)
    func conforms(name: String) throws {
        var replay = try Replay(try Transcript(named: name))
        try replay.run()
        let unexpected = replay.differences.filter { difference in
            !Deviation.all.contains { $0.covers(difference, in: name) }
        }
        if unexpected.isEmpty { return }
        let report = unexpected.map { "- \($0)" }.joined(separator: "\n")
        Issue.record("\(name): \(unexpected.count) differences\n\(report)")
    }

    @Test("every deviation that is listed is one")
    func deviationsAreNeeded() throws {
        var needed = Set<Int>()
        for name in Transcript.names {
            let places = Deviation.all.indices.filter { [nil, name].contains(Deviation.all[$0].scenario) }
            if places.isEmpty { continue }
            var replay = try Replay(try Transcript(named: name))
            try replay.run()
            for place in places where replay.differences.contains(where: { Deviation.all[place].covers($0, in: name) })
            {
                needed.insert(place)
            }
        }
        for place in Deviation.all.indices where !needed.contains(place) {
            Issue.record("\(Deviation.all[place].place) does not deviate any more")
        }
    }

    @Test("no recording is left out")
    func everyFileIsPlayed() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Transcript.directory)
        #expect(
            files.filter { $0.hasSuffix(".json") }.sorted()
                == (Transcript.names + Conversation.transcripts).sorted().map { $0 + ".json" }
        )
    }
}

/// Where the simulator answers differently on purpose.
struct Deviation {
    /// The recording, or nil for all.
    var scenario: String?
    /// What the difference's place contains.
    var place: String
    var reason: String

    func covers(_ difference: Replay.Difference, in name: String) -> Bool {
        (scenario == nil || scenario == name) && difference.place.contains(place)
    }

    static let all: [Deviation] = [
        Deviation(
            scenario: "events_and_usage",
            place: "/stats/summary .",
            reason: "figures of the recorded machine; only which pods run is answered"
        ),
        Deviation(
            scenario: "node_bound_volume",
            place: ".status.images",
            reason: "other images are on the nodes"
        ),
        Deviation(scenario: "node_bound_volume", place: ".status.nodeInfo", reason: "another machine"),
        Deviation(
            scenario: "statefulset_scale",
            place: "watch statefulset",
            reason: "the recorder closed its stream before the orphaned set was gone"
        ),
        Deviation(
            scenario: "log_of_carriage_returns",
            place: "pods/nl/log",
            reason: "the model's shell knows no loop behind a pipe; real containers do"
        ),
        Deviation(
            scenario: "copy_pod",
            place: "pods/copy/log",
            reason: "the model's shell knows no loop, so that the volume to copy is empty; real containers do"
        ),
        Deviation(
            scenario: "owners",
            place: "jobs/job .status.",
            reason: "how soon the job controller counts a change of a pod is chance"
        ),
        Deviation(
            scenario: "owners",
            place: "watch pods ds-",
            reason: "the recorded kubelet left out a state that lasted too short"
        ),
        Deviation(
            scenario: "rebind_lost_race",
            place: "watch pv",
            reason: "the recording also shows volumes that an earlier one had left"
        ),
    ]
}
