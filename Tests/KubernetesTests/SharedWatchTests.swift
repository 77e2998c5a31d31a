import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

/// A cluster with claims in a namespace.
private struct Scene {
    static let count = 8
    var cluster = Cluster(seed: 1)

    init() throws {
        try cluster.create(.namespaces, ["metadata": ["name": "shop"]])
        for number in 1...Self.count {
            try cluster.create(
                .persistentVolumeClaims,
                namespace: "shop",
                [
                    "metadata": ["name": .string("data-\(number)")],
                    "spec": [
                        "accessModes": ["ReadWriteOnce"], "storageClassName": "none",
                        "resources": ["requests": ["storage": "16Mi"]],
                    ],
                ]
            )
        }
    }

    /// Waits for a label on each claim, which somebody writes on one after the other.
    ///
    /// - Returns: the value of each label, and how many watches were asked for.
    func waits(
        _ fault: @escaping @Sendable (Request) -> Fault? = { _ in nil },
        ofAllNamespaces: Bool = true
    ) throws -> (labels: [String], watches: Int) {
        let time = VirtualTime(seed: 1)
        let watches = Mutex(0)
        let simulator = ClusterSimulator(
            cluster,
            time: time.source,
            latency: .milliseconds(5),
            interceptor: { request, _ in
                guard request.target.contains("watch=1") else { return nil }
                watches.withLock { $0 += 1 }
                return fault(request)
            }
        )
        let labels = try time.run {
            try await withThrowingTaskGroup(of: [String].self) { group in
                group.addTask {
                    try await simulator.run()
                    return []
                }
                group.addTask {
                    for number in 1...Scene.count {
                        try await time.source.sleep(time.source.now() + .seconds(number % 3))
                        try await simulator.change {
                            _ = try $0.update(ObjectKey(.persistentVolumeClaims, "shop", "data-\(number)")) {
                                $0[path: ["metadata", "labels"]] = ["seen": .string("\(number)")]
                            }
                        }
                    }
                    try await time.source.sleep(.seconds(1_000_000))
                    return []
                }
                group.addTask {
                    await Client(transport: simulator, time: time.source)
                        .sharingReads(ofAllNamespaces: ofAllNamespaces) { await Scene.labels($0) }
                }
                defer { group.cancelAll() }
                return try await group.first { !$0.isEmpty } ?? []
            }
        }
        return (labels, watches.withLock { $0 })
    }

    private static func labels(_ client: Client) async -> [String] {
        await withTaskGroup(of: String.self) { group in
            for number in 1...Scene.count {
                group.addTask {
                    do {
                        return try await client.wait(
                            for: PersistentVolumeClaim.self,
                            in: "shop",
                            named: "data-\(number)",
                            limit: .seconds(300),
                            what: "a label"
                        ) { $0.object(named: "data-\(number)")?.metadata.labels?["seen"] }
                    } catch {
                        return "\(error)"
                    }
                }
            }
            var labels: [String] = []
            for await label in group { labels.append(label) }
            return labels.sorted()
        }
    }

    static let all = (1...Scene.count).map(String.init)
}

@Suite("Waits that share their watches")
struct SharedWatchTests {
    @Test("open one, however many they are", arguments: [true, false])
    func one(ofAllNamespaces: Bool) throws {
        let (labels, watches) = try Scene().waits(ofAllNamespaces: ofAllNamespaces)
        #expect(labels == Scene.all)
        #expect(watches == 1)
    }

    @Test(
        "see every change, whatever becomes of the watch",
        arguments: [
            Fault.endStream(afterPieces: 1), .cutStream(afterPieces: 1), .expireStream(afterPieces: 0),
            .expireStream(afterPieces: 2), .silenceStream(afterPieces: 1), .refuse,
            .answer(Response(status: 403, body: Data(#"{"kind":"Status","reason":"Forbidden","code":403}"#.utf8))),
        ]
    )
    func faults(fault: Fault) throws {
        let first = Mutex(true)
        let (labels, _) = try Scene().waits { _ in
            first.withLock { isFirst in
                defer { isFirst = false }
                return isFirst ? fault : nil
            }
        }
        #expect(labels == Scene.all)
    }
}

@Suite("Lists that are asked for side by side")
struct SharedListTests {
    /// Asks for lists at given moments, in seconds, while each request is under way for up to two; after one second the
    /// claim has a label.
    ///
    /// - Returns: the label, or the error, that each list showed, and how many lists were read.
    private func lists(
        at moments: [Double],
        cancelling cancelled: Set<Int> = [],
        _ fault: @escaping @Sendable (Int) -> Fault? = { _ in nil }
    ) throws -> (labels: [String], read: Int) {
        let time = VirtualTime(seed: 1)
        let read = Mutex(0)
        let simulator = ClusterSimulator(
            try Scene().cluster,
            time: time.source,
            latency: .seconds(1),
            interceptor: { request, _ in
                guard request.target.contains("persistentvolumeclaims?") else { return nil }
                return fault(
                    read.withLock {
                        $0 += 1
                        return $0
                    }
                )
            }
        )
        let labels = try time.run {
            await withTaskGroup(of: [String].self) { group in
                group.addTask {
                    do { try await simulator.run() } catch {}
                    return []
                }
                group.addTask {
                    do {
                        try await time.source.sleep(time.source.now() + .seconds(1))
                        try await simulator.change {
                            _ = try $0.update(ObjectKey(.persistentVolumeClaims, "shop", "data-1")) {
                                $0[path: ["metadata", "labels"]] = ["seen": "yes"]
                            }
                        }
                        try await time.source.sleep(.seconds(1_000_000))
                    } catch {}
                    return []
                }
                group.addTask {
                    await Client(transport: simulator, time: time.source).sharingReads(ofAllNamespaces: true) {
                        client in
                        await Self.labels(client, at: moments, cancelling: cancelled)
                    }
                }
                defer { group.cancelAll() }
                return await group.first { !$0.isEmpty } ?? []
            }
        }
        return (labels, read.withLock { $0 })
    }

    private static func labels(_ client: Client, at moments: [Double], cancelling: Set<Int>) async -> [String] {
        await withTaskGroup(of: (Int, String).self) { group in
            for (number, moment) in moments.enumerated() {
                group.addTask {
                    do {
                        let label = try await withThrowingTaskGroup(of: String.self) { asking in
                            asking.addTask { try await Self.label(client, at: moment) }
                            if cancelling.contains(number) {
                                // Sooner than any request comes back.
                                try await client.time.sleep(client.time.now() + .seconds(moment + 0.1))
                                asking.cancelAll()
                            }
                            return try await asking.next() ?? ""
                        }
                        return (number, label)
                    } catch let error as APIError {
                        return (number, "\(error.reason)")
                    } catch {
                        return (number, "\(error)")
                    }
                }
            }
            var labels = moments.map { _ in "" }
            for await (number, label) in group { labels[number] = label }
            return labels
        }
    }

    private static func label(_ client: Client, at moment: Double) async throws -> String {
        try await client.time.sleep(client.time.now() + .seconds(moment))
        let claims = try await client.list(PersistentVolumeClaim.self, in: "shop")
        return claims.first { $0.metadata.name == "data-1" }?.metadata.labels?["seen"] ?? "no"
    }

    @Test("are read one after the other, and none is older than the question")
    func fresh() throws {
        let (labels, read) = try lists(at: [0.9, 1.01, 1.02, 1.03])
        #expect(labels.dropFirst() == ["yes", "yes", "yes"])
        // The first is still under way when the others are asked for.
        #expect(read == 2)
    }

    @Test("fail for those who asked, and not for those who ask later")
    func failing() throws {
        let forbidden = Response(status: 403, body: Data(#"{"kind":"Status","reason":"Forbidden","code":403}"#.utf8))
        let (labels, _) = try lists(at: [0, 3, 3]) { $0 == 1 ? .answer(forbidden) : nil }
        #expect(labels == ["forbidden", "yes", "yes"])
    }

    @Test("come to the others where somebody no longer waits")
    func cancelled() throws {
        let (labels, _) = try lists(at: [0, 0, 0], cancelling: [0])
        #expect(labels[0] == "CancellationError()")
        #expect(Set(labels[1...]).isSubset(of: ["yes", "no"]))
    }
}
