import FoundationEssentials
import Kubernetes
import Testing

@testable import ClusterSimulator

struct SimulatorTests {
    /// Runs something against a simulator in virtual time.
    private func simulate<Result: Sendable>(
        interceptor: Interceptor? = nil,
        _ body: @escaping @Sendable (ClusterSimulator) async throws -> Result
    ) throws -> Result {
        let time = VirtualTime(seed: 3)
        let simulator = ClusterSimulator(
            try Replay.makeCluster(seed: 3),
            time: time.source,
            latency: .milliseconds(2),
            interceptor: interceptor
        )
        return try time.run {
            try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask {
                    try await simulator.run()
                    return nil
                }
                group.addTask { try await body(simulator) }
                defer { group.cancelAll() }
                guard let result = try await group.next(), let result else { throw VirtualTime.Stuck(now: .zero) }
                return result
            }
        }
    }

    private static let claim: JSON = [
        "metadata": ["name": "data", "labels": ["app": "x"]],
        "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
    ]
    private static let claims = "/api/v1/namespaces/rec/persistentvolumeclaims"

    @Test("a claim is bound while the client watches it")
    func binding() throws {
        let phases = try simulate { simulator in
            let stream = try await simulator.open(Request(.get, Self.claims + "?watch=1"))
            _ = try await simulator.send(Request(.post, Self.claims, body: Self.claim.compactText))
            var phases: [String] = []
            while phases.last != "Bound", let line = try await stream.body.next() {
                phases.append(try JSON(parsing: line)["object"]?["status"]?["phase"]?.string ?? "")
            }
            await stream.body.close()
            return phases
        }
        #expect(phases.first == "Pending")
        #expect(phases.last == "Bound")
    }

    @Test("an Event is forgotten an hour after its last change")
    func forgottenEvent() throws {
        var cluster = try Replay.makeCluster(seed: 3)
        for name in ["first", "second"] {
            let event: JSON = [
                "metadata": ["name": .string(name)], "involvedObject": ["namespace": "rec"], "reason": "Told",
            ]
            try cluster.create(.events, namespace: "rec", event)
        }
        cluster.advance(to: cluster.now + .seconds(1800))
        try cluster.update(ObjectKey(.events, "rec", "second")) { $0["count"] = 2 }
        cluster.advance(to: cluster.now + .seconds(1799))
        #expect(cluster.list(.events).count == 2)
        cluster.advance(to: cluster.now + .seconds(1))
        #expect(cluster.list(.events).map(\.name) == ["second"])
        cluster.advance(to: cluster.now + .seconds(1800))
        #expect(cluster.list(.events).isEmpty)
    }

    @Test("a watch with a label selector sees an object come and go as its labels change")
    func selectors() throws {
        let types = try simulate { simulator in
            let stream = try await simulator.open(
                Request(.get, "/api/v1/namespaces/rec/configmaps?watch=1&labelSelector=a%3Db")
            )
            let maps = "/api/v1/namespaces/rec/configmaps"
            _ = try await simulator.send(
                Request(.post, maps, body: (["metadata": ["name": "m", "labels": ["a": "b"]]] as JSON).compactText)
            )
            for value in ["c", "b"] as [JSON] {
                let patch: JSON = ["metadata": ["labels": ["a": value]]]
                _ = try await simulator.send(
                    Request(
                        .patch,
                        maps + "/m",
                        headers: [("Content-Type", "application/merge-patch+json")],
                        body: patch.compactText
                    )
                )
            }
            var types: [String] = []
            while types.count < 3, let line = try await stream.body.next() {
                types.append(try JSON(parsing: line)["type"]?.string ?? "")
            }
            return types
        }
        #expect(types == ["ADDED", "DELETED", "ADDED"])
    }

    @Test("a watch sends bookmarks and ends at its timeout")
    func bookmarks() throws {
        let lines = try simulate { simulator in
            let stream = try await simulator.open(
                Request(
                    .get,
                    "/api/v1/namespaces/rec/pods?watch=1&allowWatchBookmarks=true&timeoutSeconds=150",
                    silence: .seconds(100)
                )
            )
            var lines: [String] = []
            while let line = try await stream.body.next() {
                lines.append(try JSON(parsing: line)["type"]?.string ?? "")
            }
            return lines
        }
        #expect(lines == ["BOOKMARK", "BOOKMARK", "BOOKMARK"])
    }

    @Test("a silent watch breaks when the reader's patience is over")
    func silence() throws {
        let error = try simulate { simulator in
            let stream = try await simulator.open(
                Request(.get, "/api/v1/namespaces/rec/pods?watch=1", silence: .seconds(5))
            )
            return try await #require(throws: TransportError.self) { _ = try await stream.body.next() }
        }
        #expect(error.kind == .interrupted)
    }

    @Test(
        "a fault happens before or after the request's effect",
        arguments: [
            (Fault.refuse, false), (.cutBefore, false), (.cutAfter, true), (.silence(takesEffect: false), false),
            (.silence(takesEffect: true), true), (.answerAfter(Response(status: 504)), true),
            (.answer(Response(status: 500)), false), (.truncate, true),
        ]
    )
    func faults(fault: Fault, takesEffect: Bool) throws {
        let found = try simulate(interceptor: { _, number in number == 1 ? fault : nil }) { simulator in
            do { _ = try await simulator.send(Request(.post, Self.claims, body: Self.claim.compactText)) } catch {}
            return try await simulator.send(Request(.get, Self.claims + "/data")).status
        }
        #expect(found == (takesEffect ? 200 : 404))
    }

    @Test("a stale read shows what was")
    func stale() throws {
        let statuses = try simulate(interceptor: { _, number in number == 3 ? .stale(requests: 1) : nil }) {
            simulator in
            var statuses: [Int] = []
            for request in [
                Request(.get, Self.claims), Request(.post, Self.claims, body: Self.claim.compactText),
                Request(.get, Self.claims + "/data"), Request(.get, Self.claims + "/data"),
            ] { statuses.append(try await simulator.send(request).status) }
            return statuses
        }
        #expect(statuses == [200, 201, 404, 200])
    }

    @Test("a copy of the cluster goes its own way")
    func fork() throws {
        var cluster = try Replay.makeCluster(seed: 1)
        let before = cluster
        try cluster.create(.persistentVolumeClaims, namespace: "rec", Self.claim)
        cluster.advance(to: .seconds(10))
        let key = ObjectKey(.persistentVolumeClaims, "rec", "data")
        #expect(cluster.get(key)?["status"]?["phase"] == "Bound")
        #expect(before.get(key) == nil)
    }

    @Test("a change that changes nothing writes nothing")
    func unchanged() throws {
        var cluster = try Replay.makeCluster(seed: 1)
        let key = ObjectKey(.storageClasses, nil, "src-sc")
        let version = cluster.resourceVersion
        try cluster.update(key) { $0["reclaimPolicy"] = "Delete" }
        #expect(cluster.resourceVersion == version)
    }

    @Test("a watch from a forgotten version gets 410")
    func compaction() throws {
        var cluster = try Replay.makeCluster(seed: 1)
        let version = cluster.resourceVersion - 1
        cluster.compactHistory()
        let path = "/apis/storage.k8s.io/v1/storageclasses?watch=1&resourceVersion=\(version)"
        guard case .watch(var watch) = cluster.open(Request(.get, path), as: .admin),
            case .piece(let line) = watch.next(in: cluster)
        else {
            Issue.record("no watch")
            return
        }
        #expect(try JSON(parsing: line)["object"]?["code"] == 410)
    }

    @Test("kubectl's patch of containers merges by name")
    func strategicMerge() {
        let object: JSON = ["containers": [["name": "a", "image": "1"], ["name": "b", "image": "1"]]]
        let patch: JSON = [
            "$setElementOrder/containers": [["name": "b"], ["name": "a"]],
            "containers": [["name": "b", "image": "2"], ["name": "a", "$patch": "delete"]],
        ]
        #expect(StrategicMerge.applied(patch, to: object) == ["containers": [["name": "b", "image": "2"]]])
    }

    @Test(
        "quantities are written in their canonical form",
        arguments: [
            ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("0.5", "500m"), ("1000m", "1"), ("16Mi", "16Mi"), ("100", "100"),
            ("1e3", "1e3"), ("2000k", "2M"), ("1023", "1023"),
        ]
    )
    func quantities(text: String, canonical: String) {
        #expect(Amount(text)?.description == canonical)
    }

    @Test(
        "bad input is refused, not a crash",
        arguments: [
            ("POST", "/api/v1/namespaces/rec/persistentvolumeclaims", ""),
            ("POST", "/api/v1/namespaces/rec/persistentvolumeclaims", "[1,"),
            ("POST", "/api/v1/namespaces/rec/persistentvolumeclaims", #"{"metadata":7,"spec":"x"}"#),
            (
                "POST", "/api/v1/namespaces/rec/persistentvolumeclaims",
                #"{"metadata":{"name":"a"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"99999999999999999999999Ei"}}}}"#
            ),
            (
                "POST", "/api/v1/namespaces/nowhere/pods",
                #"{"metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"b"}]}}"#
            ),
            (
                "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                #"{"metadata":{"name":"pods."},"spec":{"group":"","names":{"plural":"pods","kind":"Pod"}}}"#
            ),
            ("PATCH", "/apis/storage.k8s.io/v1/storageclasses/src-sc", #"[{"op":"remove","path":"/a/-5/b"}]"#),
            ("GET", "/api/v1/pods?labelSelector=a+in+(", ""), ("GET", "/api/v1/pods?fieldSelector=%", ""),
            ("GET", "/api/v1/pods?limit=1&continue=%00", ""),
            ("GET", "/api/v1/namespaces/rec/pods/x/log?limitBytes=-1", ""),
            ("DELETE", "/api/v1/namespaces/rec/pods/x?gracePeriodSeconds=9223372036854775807", ""),
            ("GET", "//%ff/..", ""), ("PUT", "/api/v1/pods", "{}"),
        ]
    )
    func badInput(method: String, target: String, body: String) throws {
        var cluster = try Replay.makeCluster(seed: 1)
        var request = Request(
            try #require(Request.Method(rawValue: method)),
            target,
            body: body.isEmpty ? nil : Data(body.utf8)
        )
        if method == "PATCH" { request.headers = [("Content-Type", "application/json-patch+json")] }
        let response = cluster.handle(request, as: .admin)
        #expect((400..<500).contains(response.status))
    }
}
