import Kubernetes

/// How many requests an API server has answered, by verb, as it counts them itself.
struct RequestCounts {
    private var counts: [String: Int64] = [:]

    /// - Throws: `TransportError`, or `BenchError` where the server tells nothing.
    init(of transport: some Transport) async throws {
        let response = try await transport.send(Request(.get, "/metrics"))
        guard response.status == 200 else { throw BenchError("the server has no /metrics: status \(response.status)") }
        for line in String(decoding: response.body, as: UTF8.self).split(separator: "\n") {
            guard line.hasPrefix("apiserver_request_total{"), let number = line.split(separator: " ").last,
                let count = Double(number), let verb = line.firstMatch(of: #/verb="([A-Z]+)"/#)
            else { continue }
            counts[String(verb.1), default: 0] += Int64(count)
        }
    }

    static func - (left: RequestCounts, right: RequestCounts) -> RequestCounts {
        var difference = left
        for (verb, count) in right.counts { difference.counts[verb, default: 0] -= count }
        return difference
    }

    var json: JSON { .object(counts.filter { $0.value > 0 }.mapValues(JSON.integer)) }
}
