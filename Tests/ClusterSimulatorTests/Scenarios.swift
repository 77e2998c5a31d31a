import FoundationEssentials
import Kubernetes

@testable import ClusterSimulator

/// What single recordings need beside their exchanges.
enum Scenarios {
    /// With this seed d4 alone loses the binder's race, as it did in the recording. (Found by trying: a seventh of the
    /// seeds will do when the controllers have changed.)
    static func seed(of name: String) -> UInt64 { name == "rebind_lost_race" ? 84 : 1 }

    /// True for an object that another recording left.
    static func isOfOthers(_ object: JSON?, _ scenario: String) -> Bool {
        guard scenario == "csi_retype_without_copy", let object, object["kind"] == "PersistentVolume" else {
            return false
        }
        return !object.name.hasPrefix("pvc-14d7290a")
    }

    /// Does after a step what the recorder did beside the recording.
    static func act(after index: Int, _ transcript: Transcript, _ cluster: inout Cluster) throws {
        switch (transcript.name, index) {
        case ("csi_retype_without_copy", 27): try createPod("r-a", of: transcript, &cluster)
        case ("node_bound_volume", 8):
            for pod in ["there", "elsewhere"] {
                try cluster.delete(ObjectKey(.pods, "rec", pod), gracePeriodSeconds: 0)
            }
            try cluster.delete(ObjectKey(.persistentVolumeClaims, "rec", "loc"))
        case ("owner_enforcement", 2):
            try allow("finalizers", ["update"], "apps", "statefulsets/finalizers", &cluster)
        default: break
        }
    }

    /// Teaches names that the recording only mentions.
    static func teach(_ names: inout NameMap, _ scenario: String, _ cluster: Cluster) {
        if scenario == "usurper_of_a_reserved_volume" { return teachVolumes(&names, cluster) }
        guard let pod = cluster.list(.pods, namespace: "rec").first else { return }
        switch scenario {
        case "eviction_and_budget":
            names.learn(recorded: "app-f47cfd64c-xk4d5", actual: pod.name)
            let owner = pod["metadata"]?["ownerReferences"]?.array?.first?["name"]?.string ?? ""
            names.learn(recorded: "app-f47cfd64c", actual: owner)
        case "csi_retype_without_copy":
            // The recorder wrote the place of the volume into its new object.
            if let node = pod["spec"]?["nodeName"]?.string { names.learn(recorded: "node-2", actual: node) }
        case "events_and_usage":
            // The recorder asked the node on which the pod was.
            if let node = pod["spec"]?["nodeName"]?.string { names.learn(recorded: "node-1", actual: node) }
        default: break
        }
    }

    /// The request of an exchange with the simulator's names, and who sends it.
    static func request(
        for exchange: Transcript.Exchange,
        _ index: Int,
        _ scenario: String,
        _ names: NameMap
    ) -> (Request, User) {
        var request = Request(Request.Method(rawValue: exchange.method) ?? .get, names.text(exchange.path))
        if let type = exchange.contentType { request.headers.append(("Content-Type", type)) }
        if var body = exchange.body.map({ names.value($0) }) {
            expand(&body)
            // The recorder noted a later change of the same object: the answer shows the name that was sent.
            if scenario == "default_class", exchange.method == "POST", let sent = exchange.answer?.name {
                body[path: ["metadata", "name"]] = .string(sent)
            }
            request.body = body.compactText
        }
        switch exchange.note {
        case "unknown bearer token":
            request.headers.append(("Authorization", "Bearer unknown"))
            return (request, .anonymous)
        case "no credentials": return (request, .anonymous)
        default: break
        }
        // The recorder used the service account's token here.
        if scenario == "owner_enforcement" || (scenario == "access_review" && index >= 5) {
            return (
                request,
                User(
                    "system:serviceaccount:rec:default",
                    groups: ["system:serviceaccounts", "system:serviceaccounts:rec", "system:authenticated"]
                )
            )
        }
        return (request, .admin)
    }

    /// Writes out what the recording abbreviates: `(300000 times x)`.
    private static func expand(_ value: inout JSON) {
        switch value {
        case .object(let members):
            for (key, member) in members {
                var changed = member
                expand(&changed)
                value[key] = changed
            }
        case .string(let text) where text.hasPrefix("(") && text.hasSuffix(")") && text.contains(" times "):
            let words = text.dropFirst().dropLast().split(separator: " ")
            if words.count == 3, let count = Int(words[0]) {
                value = .string(String(repeating: String(words[2]), count: count))
            }
        default: break
        }
    }
}
