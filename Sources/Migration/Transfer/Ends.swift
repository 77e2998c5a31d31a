public import Kubernetes

/// A cluster, as one end of a transfer reaches it.
public struct ClusterEnd: Sendable {
    /// The identity of the cluster, such as the UID of its namespace kube-system; empty where there is only one.
    public let id: String
    public var client: Client

    public init(id: String, client: Client) {
        (self.id, self.client) = (id, client)
    }
}

/// The source and the destination of a transfer, mostly in the same cluster.
///
/// The source's client handles source claims, their volumes, and workloads. The destination's client handles staging
/// claims, their volumes, the movers that fill them, and successors.
public struct Ends: Sendable {
    public private(set) var source: ClusterEnd
    public private(set) var destination: ClusterEnd
    /// True where one client is both.
    private let isOne: Bool

    /// Makes both ends from one client of one cluster.
    public init(_ client: Client) {
        source = ClusterEnd(id: "", client: client)
        (destination, isOne) = (source, true)
    }

    /// Makes two ends, each with its own client.
    public init(source: ClusterEnd, destination: ClusterEnd) {
        (self.source, self.destination, isOne) = (source, destination, false)
    }

    /// The clusters of both ends, each once.
    var clusters: [ClusterEnd] { source.id == destination.id ? [source] : [source, destination] }

    /// Runs work with clients that share their reads. A few watches then serve any number of units and claims.
    func sharingReads<Value>(ofAllNamespaces seesAll: Bool, _ work: (Ends) async -> Value) async -> Value {
        await source.client.sharingReads(ofAllNamespaces: seesAll) { client in
            var ends = self
            ends.source.client = client
            guard !isOne else {
                ends.destination.client = client
                return await work(ends)
            }
            return await destination.client.sharingReads(ofAllNamespaces: seesAll) { client in
                ends.destination.client = client
                return await work(ends)
            }
        }
    }
}
