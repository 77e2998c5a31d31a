import FoundationEssentials
import Kubernetes

@testable import ClusterSimulator

/// Compares what the simulator answers with the recording, leaving out what must differ.
enum Comparison {
    /// Fields that tell of the machine on which the recording was made, or of when.
    private static let ignored: Set<String> = [
        "resourceVersion", "creationTimestamp", "managedFields", "containerID", "imageID", "podIP", "podIPs",
        "hostIP", "hostIPs", "storageVersionHash", "startedAt", "finishedAt", "controller-revision-hash",
        "pod-template-hash", "currentRevision", "updateRevision", "gitCommit", "serverAddressByClientCIDRs",
        "user", "path", "remainingItemCount", "reportingInstance",
    ]

    /// A value without what is ignored, and with moments and random endings made equal.
    static func normalized(_ value: JSON, hidesNodes: Bool = true) -> JSON {
        switch value {
        case .object(let members):
            var kept: [String: JSON] = [:]
            for (key, member) in members where !ignored.contains(key) && member != .null {
                let plain = normalized(member, hidesNodes: hidesNodes)
                // `metadata: {creationTimestamp: null}` of templates says nothing.
                if key == "metadata", plain == [:] { continue }
                kept[key] = plain
            }
            return .object(kept)
        case .array(let elements):
            // The recorded cluster's build adds a source of its own to the token's volume.
            return .array(
                elements.filter { $0["configMap"]?["name"] != "openshift-service-ca.crt" }.map {
                    normalized($0, hidesNodes: hidesNodes)
                }
            )
        case .string(let text):
            let text = plain(text)
            return .string(
                hidesNodes
                    ? text.replacing("node-1", with: "(node)").replacing("node-2", with: "(node)") : text
            )
        default: return value
        }
    }

    static func plain(_ text: String) -> String {
        if Timestamp.seconds(text) != nil { return "(moment)" }
        let text = text.replacing("\u{a0}", with: " ")
        let prefix = "kube-api-access-"
        return text.hasPrefix(prefix) && text.utf8.count == prefix.utf8.count + 5 ? prefix + "(random)" : text
    }

    /// Where two normalized values differ, each with its path.
    static func differences(_ recorded: JSON, _ actual: JSON, _ path: String = "") -> [(path: String, text: String)] {
        switch (recorded, actual) {
        case (.object(let left), .object(let right)):
            return Set(left.keys).union(right.keys).sorted().flatMap { key -> [(path: String, text: String)] in
                let inner = path + "." + key
                switch (left[key], right[key]) {
                case (let recorded?, let actual?): return differences(recorded, actual, inner)
                case (let recorded?, nil): return [(inner, "recorded \(short(recorded)), but missing")]
                case (nil, let actual?): return [(inner, "not recorded, but \(short(actual))")]
                case (nil, nil): return []
                }
            }
        case (.array(let left), .array(let right)) where left.count == right.count:
            // Generated names differ, and with them the order of a list.
            let (left, right) = path == ".items" ? (sorted(left), sorted(right)) : (left, right)
            return zip(left, right).enumerated().flatMap { differences($1.0, $1.1, "\(path)[\($0)]") }
        default:
            return recorded == actual ? [] : [(path, "recorded \(short(recorded)), but \(short(actual))")]
        }
    }

    private static func sorted(_ items: [JSON]) -> [JSON] { items.sorted { $0.name < $1.name } }

    static func short(_ value: JSON) -> String {
        let text = String(decoding: value.compactText, as: UTF8.self)
        return text.count > 600 ? text.prefix(600) + "…" : text
    }

    /// What of a watch event a client would act on.
    static func digest(_ object: JSON) -> JSON {
        var digest: JSON = [:]
        let (metadata, spec, status) = (object["metadata"], object["spec"], object["status"])
        if metadata?["deletionTimestamp"] != nil { digest["deleting"] = true }
        digest["finalizers"] = metadata?["finalizers"]
        digest["phase"] = status?["phase"]
        switch object["kind"]?.string {
        case "PersistentVolumeClaim":
            digest["volume"] = spec?["volumeName"]
            digest["capacity"] = status?["capacity"]
        case "PersistentVolume":
            digest["claim"] = spec?["claimRef"]?["name"]
            digest["reserved"] = .bool(spec?["claimRef"]?["uid"] == nil)
            digest["policy"] = spec?["persistentVolumeReclaimPolicy"]
        case "Pod":
            digest["node"] = .bool(spec?["nodeName"] != nil)
            digest["reason"] = status?["reason"]
            digest["containers"] = .array(
                (status?["containerStatuses"]?.array ?? []).map { container in
                    let state = container["state"]?.object?.first
                    return [
                        "ready": container["ready"] ?? false, "state": .string(state?.key ?? ""),
                        "reason": state?.value["reason"] ?? "", "code": state?.value["exitCode"] ?? 0,
                    ]
                }
            )
            for condition in status?["conditions"]?.array ?? [] where condition["type"] == "PodScheduled" {
                digest["scheduled"] = condition["status"]
            }
        case "StatefulSet", "Deployment", "ReplicaSet":
            if object["kind"] == "ReplicaSet" { digest["annotations"] = metadata?["annotations"] }
            digest["wanted"] = spec?["replicas"]
            for field in ["replicas", "readyReplicas", "availableReplicas", "observedGeneration"] {
                digest[field] = status?[field] ?? 0
            }
        case "Event":
            digest["reason"] = object["reason"]
            digest["type"] = object["type"]
            digest["message"] = object["message"]
        default: break
        }
        return digest
    }
}
