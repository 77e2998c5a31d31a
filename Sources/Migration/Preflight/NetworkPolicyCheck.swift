import Kubernetes

/// Finds the network policies that cut copies over the network.
struct NetworkPolicyCheck: Sendable {
    private let client: Client

    init(_ context: Context) { client = context.source }

    /// Returns the policies that cut copies over the network in some namespaces. Where they may not be listed, only the
    /// trial finds them.
    func obstacles(in namespaces: [String]) async throws -> [Obstacle] {
        let labels = (MoverPod.labels.object ?? [:]).compactMapValues(\.string)
        var obstacles: [Obstacle] = []
        for namespace in namespaces {
            let policies: [NetworkPolicy]
            do {
                policies = try await client.list(NetworkPolicy.self, in: namespace)
            } catch let error as APIError where error.reason == .forbidden {
                // The check of permissions reports it.
                return []
            }
            for direction in NetworkPolicy.Direction.allCases {
                let limiting = policies.filter { $0.limits(direction, of: labels) }
                guard !limiting.isEmpty, !limiting.contains(where: { $0.mayAdmit(direction, among: labels) }) else {
                    continue
                }
                let what = direction == .ingress ? "come into" : "go out of"
                obstacles += limiting.map {
                    Obstacle(
                        namespace: namespace,
                        resource: $0.title,
                        message:
                            "lets nothing \(what) the two pods of a copy over the network, and no other policy does. "
                            + "Policies add up, so for the time of the migration: \(Self.admission(in: namespace))"
                    )
                }
            }
        }
        return obstacles
    }

    /// Returns the command that lets the pods of copies connect to each other.
    private static func admission(in namespace: String) -> String {
        let movers: JSON = ["matchLabels": .object([Marks.claim: "mover"])]
        let policy: JSON = [
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": ["name": "pvmigrate"],
            "spec": [
                "podSelector": movers, "ingress": [["from": [["podSelector": movers]]]],
                "egress": [["to": [["podSelector": movers]]]],
            ],
        ]
        return
            "kubectl create --namespace \(namespace) --filename - <<< '\(String(decoding: policy.text, as: UTF8.self))'"
    }
}
