import Kubernetes

/// Objects as kubectl's `get` shows them (`meta.k8s.io/v1 Table`).
enum Table {
    private struct Column {
        var name: String
        /// Shown only with `-o wide`.
        var isWide = false
        var cell: (JSON, Cluster) -> JSON
    }

    static func table(of objects: [JSON], _ resource: Resource, version: Int?, in cluster: Cluster) -> JSON {
        let name = Column(name: "Name") { object, _ in
            let annotations = resource == .storageClasses ? object["metadata"]?["annotations"] : nil
            let isDefault = annotations?["storageclass.kubernetes.io/is-default-class"] == "true"
            return .string(object.name + (isDefault ? " (default)" : ""))
        }
        // Events are known by what they say, not by their names.
        let columns = resource == .events ? columns(of: resource) : [name] + columns(of: resource)
        var metadata: JSON = [:]
        if let version { metadata["resourceVersion"] = .string(String(version)) }
        return [
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "columnDefinitions": .array(
                columns.map {
                    [
                        "name": .string($0.name), "type": "string", "format": $0.name == "Name" ? "name" : "",
                        "description": "", "priority": $0.isWide ? 1 : 0,
                    ]
                }
            ),
            "rows": .array(
                objects.map { object in
                    var shown: JSON = [
                        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                    ]
                    shown["metadata"] = object["metadata"]
                    return ["cells": .array(columns.map { $0.cell(object, cluster) }), "object": shown]
                }
            ),
        ]
    }

    private static func columns(of resource: Resource) -> [Column] {
        let age = Column(name: "Age") { object, cluster in
            .string(cluster.age(object["metadata"]?["creationTimestamp"]))
        }
        switch resource {
        case .pods:
            return [
                Column(name: "Ready") { pod, _ in .string(ready(pod)) },
                Column(name: "Status") { pod, _ in .string(status(pod)) },
                Column(name: "Restarts") { pod, _ in
                    .integer(statuses(pod).compactMap { $0["restartCount"]?.integer }.reduce(0, +))
                },
                age, text("IP", ["status", "podIP"], wide: true), text("Node", ["spec", "nodeName"], wide: true),
                text("Nominated Node", ["status", "nominatedNodeName"], wide: true),
                Column(name: "Readiness Gates", isWide: true) { _, _ in "<none>" },
            ]
        case .persistentVolumeClaims:
            return [
                Column(name: "Status") { claim, _ in
                    claim.isBeingDeleted ? "Terminating" : claim["status"]?["phase"] ?? ""
                },
                text("Volume", ["spec", "volumeName"], none: ""),
                text("Capacity", ["status", "capacity", "storage"], none: ""),
                Column(name: "Access Modes") { claim, _ in modes(claim["status"]?["accessModes"]) },
                text("StorageClass", ["spec", "storageClassName"], none: ""),
                text("VolumeAttributesClass", ["spec", "volumeAttributesClassName"], none: "<unset>"), age,
                text("VolumeMode", ["spec", "volumeMode"], wide: true),
            ]
        case .persistentVolumes:
            return [
                text("Capacity", ["spec", "capacity", "storage"], none: ""),
                Column(name: "Access Modes") { volume, _ in modes(volume["spec"]?["accessModes"]) },
                text("Reclaim Policy", ["spec", "persistentVolumeReclaimPolicy"], none: ""),
                Column(name: "Status") { volume, _ in
                    volume.isBeingDeleted ? "Terminating" : volume["status"]?["phase"] ?? ""
                },
                Column(name: "Claim") { volume, _ in
                    guard let claim = volume["spec"]?["claimRef"] else { return "" }
                    return .string((claim["namespace"]?.string ?? "") + "/" + (claim["name"]?.string ?? ""))
                },
                text("StorageClass", ["spec", "storageClassName"], none: ""),
                text("VolumeAttributesClass", ["spec", "volumeAttributesClassName"], none: "<unset>"),
                text("Reason", ["status", "reason"], none: ""), age,
                text("VolumeMode", ["spec", "volumeMode"], wide: true),
            ]
        case .storageClasses:
            return [
                text("Provisioner", ["provisioner"]), text("ReclaimPolicy", ["reclaimPolicy"]),
                text("VolumeBindingMode", ["volumeBindingMode"]),
                Column(name: "AllowVolumeExpansion") { storageClass, _ in storageClass["allowVolumeExpansion"] ?? false
                },
                age,
            ]
        case .statefulSets:
            return [
                Column(name: "Ready") { set, _ in counts(set["status"]?["readyReplicas"], set["spec"]?["replicas"]) },
                age, containers, images,
            ]
        case .deployments:
            return [
                Column(name: "Ready") { set, _ in counts(set["status"]?["readyReplicas"], set["spec"]?["replicas"]) },
                number("Up-to-date", ["status", "updatedReplicas"]),
                number("Available", ["status", "availableReplicas"]), age, containers, images, selector,
            ]
        case .replicaSets, .replicationControllers:
            return [
                number("Desired", ["spec", "replicas"]), number("Current", ["status", "replicas"]),
                number("Ready", ["status", "readyReplicas"]), age, containers, images, selector,
            ]
        case .daemonSets:
            return [
                number("Desired", ["status", "desiredNumberScheduled"]),
                number("Current", ["status", "currentNumberScheduled"]), number("Ready", ["status", "numberReady"]),
                number("Up-to-date", ["status", "updatedNumberScheduled"]),
                number("Available", ["status", "numberAvailable"]),
                Column(name: "Node Selector") { _, _ in "<none>" }, age, containers, images, selector,
            ]
        case .jobs:
            return [
                Column(name: "Status") { job, _ in
                    let conditions = (job["status"]?["conditions"]?.array ?? []).filter { $0["status"] == "True" }
                    return conditions.last?["type"] ?? "Running"
                },
                Column(name: "Completions") { job, _ in counts(job["status"]?["succeeded"], job["spec"]?["completions"])
                },
                Column(name: "Duration") { job, cluster in
                    job["status"]?["startTime"].map {
                        .string(cluster.age($0, until: job["status"]?["completionTime"]))
                    } ?? ""
                },
                age, containers, images, selector,
            ]
        case .nodes:
            return [
                Column(name: "Status") { node, _ in
                    let ready = (node["status"]?["conditions"]?.array ?? []).contains {
                        $0["type"] == "Ready" && $0["status"] == "True"
                    }
                    let cordoned = node["spec"]?["unschedulable"]?.bool == true
                    return .string((ready ? "Ready" : "NotReady") + (cordoned ? ",SchedulingDisabled" : ""))
                },
                Column(name: "Roles") { _, _ in "<none>" }, age,
                text("Version", ["status", "nodeInfo", "kubeletVersion"]), address("Internal-IP", "InternalIP"),
                address("External-IP", "ExternalIP"),
                text("OS-Image", ["status", "nodeInfo", "osImage"], wide: true, none: "<unknown>"),
                text("Kernel-Version", ["status", "nodeInfo", "kernelVersion"], wide: true, none: "<unknown>"),
                text("Container-Runtime", ["status", "nodeInfo", "containerRuntimeVersion"], wide: true),
            ]
        case .namespaces: return [text("Status", ["status", "phase"]), age]
        case .events:
            return [
                Column(name: "Last Seen") { event, cluster in .string(cluster.age(event["lastTimestamp"])) },
                text("Type", ["type"]), text("Reason", ["reason"]),
                Column(name: "Object") { event, _ in
                    let object = event["involvedObject"]
                    return .string(
                        (object?["kind"]?.string ?? "").lowercased() + "/" + (object?["name"]?.string ?? "")
                    )
                },
                text("Message", ["message"]),
            ]
        case .configMaps:
            return [
                Column(name: "Data") { map, _ in .integer(Int64(map["data"]?.object?.count ?? 0)) }, age,
            ]
        case .secrets:
            return [
                text("Type", ["type"]),
                Column(name: "Data") { map, _ in .integer(Int64(map["data"]?.object?.count ?? 0)) }, age,
            ]
        case .leases: return [text("Holder", ["spec", "holderIdentity"], none: ""), age]
        default:
            return [age]
        }
    }

    private static func text(
        _ name: String,
        _ path: [String],
        wide: Bool = false,
        none: String = "<none>"
    ) -> Column {
        Column(name: name, isWide: wide) { object, _ in object[path: path] ?? .string(none) }
    }

    private static func number(_ name: String, _ path: [String]) -> Column {
        Column(name: name) { object, _ in object[path: path] ?? 0 }
    }

    private static func address(_ name: String, _ type: String) -> Column {
        Column(name: name, isWide: true) { node, _ in
            node["status"]?["addresses"]?.array?.first { $0["type"]?.string == type }?["address"] ?? "<none>"
        }
    }

    private static func counts(_ part: JSON?, _ whole: JSON?) -> JSON {
        .string("\(part?.integer ?? 0)/\(whole?.integer ?? 0)")
    }

    private static var containers: Column {
        Column(name: "Containers", isWide: true) { object, _ in templateList(object, "name") }
    }

    private static var images: Column {
        Column(name: "Images", isWide: true) { object, _ in templateList(object, "image") }
    }

    private static var selector: Column {
        Column(name: "Selector", isWide: true) { object, _ in
            let labels =
                object["spec"]?["selector"]?["matchLabels"]?.object ?? object["spec"]?["selector"]?.object ?? [:]
            let text = labels.sorted { $0.key < $1.key }.compactMap { key, value in value.string.map { key + "=" + $0 }
            }
            return .string(text.joined(separator: ","))
        }
    }

    private static func templateList(_ object: JSON, _ field: String) -> JSON {
        let containers = object["spec"]?["template"]?["spec"]?["containers"]?.array ?? []
        return .string(containers.compactMap { $0[field]?.string }.joined(separator: ","))
    }

    private static func modes(_ modes: JSON?) -> JSON {
        let short = [
            "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP",
        ]
        return .string((modes?.array ?? []).compactMap { $0.string.flatMap { short[$0] } }.joined(separator: ","))
    }

    // MARK: Pods

    private static func statuses(_ pod: JSON) -> [JSON] { pod["status"]?["containerStatuses"]?.array ?? [] }

    private static func ready(_ pod: JSON) -> String {
        let ready = statuses(pod).filter { $0["ready"]?.bool == true }.count
        return "\(ready)/\(pod["spec"]?["containers"]?.array?.count ?? 0)"
    }

    /// What kubectl calls the status: the phase, or a more telling reason.
    private static func status(_ pod: JSON) -> String {
        if pod.isBeingDeleted { return "Terminating" }
        if let reason = pod["status"]?["reason"]?.string { return reason }
        for container in statuses(pod).reversed() {
            let state = container["state"]
            if let reason = state?["waiting"]?["reason"]?.string { return reason }
            if let ended = state?["terminated"] {
                return ended["reason"]?.string ?? "ExitCode:\(ended["exitCode"]?.integer ?? 0)"
            }
        }
        return pod["status"]?["phase"]?.string ?? "Unknown"
    }
}

extension Cluster {
    /// How long ago a moment was, as kubectl writes it: `5s`, `3m12s`, `4h`.
    fileprivate func age(_ moment: JSON?, until end: JSON? = nil) -> String {
        guard let start = moment?.string.flatMap(Timestamp.seconds) else { return "<unknown>" }
        let end = end?.string.flatMap(Timestamp.seconds) ?? epoch + Int(now.components.seconds)
        let seconds = max(0, end - start)
        if seconds < 120 { return "\(seconds)s" }
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400)
        if minutes < 10 { return seconds % 60 == 0 ? "\(minutes)m" : "\(minutes)m\(seconds % 60)s" }
        if minutes < 180 { return "\(minutes)m" }
        if hours < 8 { return minutes % 60 == 0 ? "\(hours)h" : "\(hours)h\(minutes % 60)m" }
        if hours < 48 { return "\(hours)h" }
        if days < 8 { return hours % 24 == 0 ? "\(days)d" : "\(days)d\(hours % 24)h" }
        return "\(days)d"
    }
}
