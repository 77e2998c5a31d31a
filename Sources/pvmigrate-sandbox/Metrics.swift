import Synchronization

/// How many requests were answered, as an API server counts them for whoever asks for `/metrics`.
final class Metrics: Sendable {
    /// The labels that tell requests apart, in the order in which they are printed.
    private struct Labels: Hashable, Comparable {
        var group: String
        var resource: String
        var subresource: String
        var verb: String

        var text: String {
            #"group="\#(group)",resource="\#(resource)",subresource="\#(subresource)",verb="\#(verb)""#
        }

        static func < (left: Labels, right: Labels) -> Bool { left.text < right.text }
    }

    private let counts = Mutex<[Labels: Int]>([:])

    /// Counts a request for an object or a collection; those for anything else are not counted.
    func count(_ method: String, _ path: String, isWatch: Bool) {
        var parts = path.split(separator: "/")[...].map(String.init)[...]
        guard let root = parts.popFirst(), root == "api" || root == "apis" else { return }
        let group = root == "apis" ? parts.popFirst() ?? "" : ""
        // The version.
        _ = parts.popFirst()
        if parts.first == "namespaces", parts.count > 2 { parts = parts.dropFirst(2) }
        guard let resource = parts.popFirst() else { return }
        let name = parts.popFirst()
        let verb =
            switch method {
            case "GET" where isWatch: "WATCH"
            case "GET" where name == nil: "LIST"
            default: method
            }
        let labels = Labels(group: group, resource: resource, subresource: parts.first ?? "", verb: verb)
        counts.withLock { $0[labels, default: 0] += 1 }
    }

    /// The counts in Prometheus' text format, under the name and with labels that Kubernetes has for them
    /// (Kubernetes Metrics Reference).
    var text: String {
        let counts = counts.withLock { $0 }
        return "# TYPE apiserver_request_total counter\n"
            + counts.sorted { $0.key < $1.key }.map { "apiserver_request_total{\($0.key.text)} \($0.value)\n" }.joined()
    }
}
