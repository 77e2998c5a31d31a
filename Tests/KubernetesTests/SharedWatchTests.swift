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
                        .sharingWatches(ofAllNamespaces: ofAllNamespaces) { await Scene.labels($0) }
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
