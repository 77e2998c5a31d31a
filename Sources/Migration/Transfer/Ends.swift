public import Kubernetes

/// A cluster, as one end of a transfer reaches it.
public struct ClusterEnd: Sendable {
    /// What tells it from other clusters, such as the UID of its namespace kube-system; empty where there is no other.
    public let id: String
    public var client: Client

    public init(id: String, client: Client) {
        (self.id, self.client) = (id, client)
    }
}

/// Where data comes from and where it goes: mostly the same cluster.
///
/// The source's client sees to source claims and their volumes, and to workloads; the destination's to staging claims, their
/// volumes, the movers that fill them, and successors.
public struct Ends: Sendable {
    public private(set) var source: ClusterEnd
    public private(set) var destination: ClusterEnd
    /// True where one client is both.
    private let isOne: Bool

    /// Both ends in one cluster.
    public init(_ client: Client) {
        source = ClusterEnd(id: "", client: client)
        (destination, isOne) = (source, true)
    }

    /// Each end with a client of its own.
    public init(source: ClusterEnd, destination: ClusterEnd) {
        (self.source, self.destination, isOne) = (source, destination, false)
    }

    /// Each cluster once.
    var clusters: [ClusterEnd] { source.id == destination.id ? [source] : [source, destination] }

    /// Does something with clients whose reads are shared: however many units and claims, a handful of watches.
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
