import Kubernetes

/// Hears what a writing workload says: how long its chain is, and how long it finds it when it is started again.
struct Witness: Sendable {
    var client: Client

    /// Listens until the writer is stopped.
    ///
    /// - Returns: the longest that it said its chain was.
    /// - Throws: `APIError`.
    func wrote() async throws -> Int {
        var longest = 0
        do {
            try await hear("wrote") { longest = $0 }
        } catch is TransportError {
            // The pod is gone before its log was sent to the end.
        }
        return longest
    }

    /// - Returns: how long the writer that runs now found the chain.
    /// - Throws: `APIError`, or `BenchError` where it does not say so.
    func found() async throws -> Int {
        struct Found: Error { var count: Int }
        do {
            try await hear("found") { throw Found(count: $0) }
        } catch let found as Found {
            return found.count
        }
        throw BenchError("the writer ended without a word")
    }

    private func hear(_ word: String, _ body: (Int) throws -> Void) async throws {
        let pods = try await client.list(Pod.self, in: World.namespace).filter { $0.metadata.labels?["app"] != nil }
        guard let pod = pods.first, pods.count == 1 else { throw BenchError("there are \(pods.count) writers") }
        try await client.followLog(of: pod.name, container: "main", silence: .seconds(600)) { line in
            if line.hasPrefix(word + " "), let count = Int(line.dropFirst(word.count + 1)) { try body(count) }
        }
    }
}
