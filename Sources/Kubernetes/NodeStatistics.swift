/// How full the volumes are that a node's pods mount, as its kubelet measures them every minute or so.
///
/// Source: k8s.io/kubelet, `stats/v1alpha1`, `Summary`. Volumes that are mere directories of the node are not measured.
public struct NodeStatistics: Decodable, Sendable {
    public struct Pod: Decodable, Sendable {
        public var volume: [Volume]?
    }

    public struct Volume: Decodable, Sendable {
        public struct Claim: Decodable, Sendable {
            public var name: String
            public var namespace: String
        }

        /// The claim that it belongs to, where it belongs to one.
        public var pvcRef: Claim?
        /// How much of its file system is used, by whomever.
        public var usedBytes: Int64?
        /// How large its file system is, which may hold other volumes, too.
        public var capacityBytes: Int64?
    }

    public var pods: [Pod]
}

extension Client {
    /// Asks the kubelet of a node; needs the permission to get `nodes/proxy`.
    ///
    /// - Throws: `APIError`, at once also where the node does not answer.
    public func statistics(ofNode node: String) async throws -> NodeStatistics {
        let request = "read the statistics of Node \(node)"
        let path = try APIResource.nodes.path(to: ObjectName(node, in: nil), subresource: "proxy/stats/summary")
        let response = try await perform(Request(.get, path), request: request, repeatable: false)
        return try decode(NodeStatistics.self, from: response.body, request: request)
    }
}
