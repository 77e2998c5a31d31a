import Foundation
import Testing

@testable import Kubernetes

@Suite("A damaged stream")
struct StreamFuzzTests {
    private static func event(_ type: String, phase: String) -> String {
        #"{"type":"\#(type)","object":{"kind":"PersistentVolumeClaim","metadata":{"name":"data","uid":"u","#
            + #""resourceVersion":"12"},"spec":{},"status":{"phase":"\#(phase)"}}}"# + "\n"
    }
    private static let nothing =
        #"{"kind":"PersistentVolumeClaimList","metadata":{"resourceVersion":"9"},"items":[]}"#
    private static let words = ["\n", "\n\n", "{", "}", "\"", ":", ",", "[", "\"type\":", "\"object\":", "\r\n"]

    @Test("has the same lines however its pieces were cut")
    func lines() async throws {
        let mutator = Mutator(samples: [Self.event("ADDED", phase: "Bound") + "a\nb\r\n\nc"], words: Self.words)
        try await fuzz("Lines", mutator) { input in
            let expected = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            var lines = Lines(Pieces(of: input))
            var read: [[UInt8]] = []
            while let line = try await lines.next() { read.append(Array(line)) }
            // Nothing after the last line's end is no line.
            try hold(read == expected.dropLast(expected.last?.isEmpty == true ? 1 : 0).map(Array.init), "\(read)")
        }
    }

    @Test("of a watch ends the wait with what it waited for, or at its limit")
    func watches() async throws {
        let mutator = Mutator(
            samples: [
                Self.event("ADDED", phase: "Pending") + Self.event("MODIFIED", phase: "Bound"),
                Self.event("DELETED", phase: "Bound"),
                #"{"type":"BOOKMARK","object":{"kind":"PersistentVolumeClaim","metadata":{"resourceVersion":"13"}}}"#
                    + "\n" + #"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"# + "\n",
            ],
            words: Self.words + ["MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
        )
        try await fuzz("Watches", mutator) { input in
            let (server, time) = (Answer(), PassingTime())
            server.set(Response(status: 200, body: Data(Self.nothing.utf8)), stream: input)
            do {
                let version = try await Client(transport: server, time: time.source).wait(
                    for: PersistentVolumeClaim.self,
                    in: "shop",
                    limit: .seconds(3),
                    what: "a claim to be Bound"
                ) { $0.objects.values.first { $0.phase == .bound }?.metadata.resourceVersion }
                try hold(!version.isEmpty, "it waited for nothing")
            } catch is WaitTimeout {
            } catch let error as APIError {
                try hold(error.message.utf8.count < 5000, "the message has \(error.message.utf8.count) bytes")
            }
            try hold(time.now <= .seconds(20), "it took \(time.now)")
        }
    }

    @Test("of headers makes nobody wait for longer than the patience of a request")
    func headers() async throws {
        let mutator = Mutator(
            samples: [
                "7", "120", "Wed, 21 Oct 2026 07:28:00 GMT", #"299 - "v1 is \"old\"""#, "299 - \"two\" \"date\"",
            ],
            words: ["\"", "\\", " ", "-", "+", "299"]
        )
        try await fuzz("Headers", mutator) { input in
            let value = String(decoding: input, as: UTF8.self)
            let (server, time) = (Answer(), PassingTime())
            server.set(Response(status: 429, headers: [("Retry-After", value), ("Warning", value)]))
            let client = Client(transport: server, time: time.source, patience: .seconds(8))
            do {
                _ = try await client.get(.claims, ObjectName("a", in: "shop"))
            } catch is APIError {
                try hold(time.now <= .seconds(8), "it took \(time.now)")
            }
        }
    }
}
