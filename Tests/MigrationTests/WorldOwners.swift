import ClusterSimulator
import FoundationEssentials
import Kubernetes

@testable import Migration

/// Workloads of every kind, each with pods that write into a claim.
extension World {
    static let rollers = Resource(
        group: "example.com",
        "rollers",
        kind: "Roller",
        subresources: ["scale"]
    )
    static let scaledObjects = Resource(
        group: "keda.sh",
        version: "v1alpha1",
        "scaledobjects",
        kind: "ScaledObject"
    )

    /// A ReplicaSet, ReplicationController, DaemonSet, Job or CronJob, or a pod of nobody.
    mutating func addOwner(_ resource: Resource, _ name: String, claim: String) {
        var template = Self.template(app: name, mounts: [claim]) {
            ["persistentVolumeClaim": ["claimName": .string($0)]]
        }
        let selector: JSON = ["app": .string(name)]
        let spec: JSON
        switch resource {
        case .pods:
            var pod = template
            pod[path: ["metadata", "name"]] = .string(name)
            make(.pods, "shop", pod)
            going[ObjectKey(.pods, "shop", name)] = .null
            return
        case .jobs, .cronJobs:
            template[path: ["spec", "restartPolicy"]] = "Never"
            let job: JSON = ["template": template]
            spec =
                resource == .jobs
                ? job
                : ["schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": ["spec": job]]
        case .daemonSets: spec = ["selector": ["matchLabels": selector], "template": template]
        case .replicationControllers: spec = ["replicas": 1, "selector": selector, "template": template]
        default: spec = ["replicas": 1, "selector": ["matchLabels": selector], "template": template]
        }
        make(resource, "shop", ["metadata": ["name": .string(name)], "spec": spec])
        going[ObjectKey(resource, "shop", name)] = .null
    }

    /// A custom resource that owns a StatefulSet, which an operator keeps at its scale unless it is paused.
    mutating func addRoller(_ name: String, hasScale: Bool) {
        define(
            Self.rollers,
            subresources: hasScale
                ? ["scale": ["specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"]] : [:]
        )
        let roller = make(
            Self.rollers,
            "shop",
            ["metadata": ["name": .string(name)], "spec": ["replicas": 2, "note": "kept"]]
        )
        addStatefulSet(name, templates: ["data"], replicas: 2)
        change(ObjectKey(.statefulSets, "shop", name)) { set in
            set[path: ["metadata", "ownerReferences"]] = [
                [
                    "apiVersion": "example.com/v1", "kind": "Roller", "name": .string(name),
                    "uid": roller[path: ["metadata", "uid"]] ?? .null, "controller": true,
                ]
            ]
        }
        going[ObjectKey(Self.rollers, "shop", name)] = .null
        let (set, owner) = (ObjectKey(.statefulSets, "shop", name), ObjectKey(Self.rollers, "shop", name))
        meddler = { _, cluster in
            guard let roller = cluster.get(owner), roller[path: ["spec", "paused"]] != true else { return }
            let wanted = roller[path: ["spec", "replicas"]] ?? 0
            guard let current = cluster.get(set), current[path: ["spec", "replicas"]] != wanted else { return }
            do {
                try cluster.update(set) { $0[path: ["spec", "replicas"]] = wanted }
            } catch {
                preconditionFailure("the operator failed: \(error)")
            }
        }
    }

    /// What scales a Deployment by events, unless it is paused.
    mutating func addScaledObject(_ name: String, of deployment: String) {
        define(Self.scaledObjects, subresources: [:])
        make(
            Self.scaledObjects,
            "shop",
            [
                "metadata": ["name": .string(name)],
                "spec": ["scaleTargetRef": ["name": .string(deployment)], "triggers": []],
            ]
        )
        let (target, owner) = (ObjectKey(.deployments, "shop", deployment), ObjectKey(Self.scaledObjects, "shop", name))
        going[owner] = .null
        meddler = { _, cluster in
            guard cluster.get(owner)?[path: ["metadata", "annotations", ScaledObject.paused]] != "true",
                cluster.get(target)?[path: ["spec", "replicas"]] == 0
            else { return }
            do {
                try cluster.update(target) { $0[path: ["spec", "replicas"]] = 1 }
            } catch {
                preconditionFailure("KEDA failed: \(error)")
            }
        }
    }

    mutating func define(_ resource: Resource, subresources: JSON) {
        make(
            .customResourceDefinitions,
            nil,
            [
                "metadata": ["name": .string("\(resource.plural).\(resource.group)")],
                "spec": [
                    "group": .string(resource.group), "scope": "Namespaced",
                    "names": ["plural": .string(resource.plural), "kind": .string(resource.kind)],
                    "versions": [
                        [
                            "name": .string(resource.version), "served": true, "storage": true,
                            "schema": [
                                "openAPIV3Schema": ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
                            ],
                            "subresources": subresources,
                        ]
                    ],
                ],
            ]
        )
    }

    /// What somebody would see who compares a workload with how it was: its spec, and what pauses it.
    static func intent(of object: JSON, _ resource: Resource) -> JSON {
        guard resource != .pods else {
            let spec = Workload.recreatable(object)["spec"]
            return spec ?? .null
        }
        var annotations = object[path: ["metadata", "annotations"]]?.object ?? [:]
        // It counts the changes of the template.
        annotations["deprecated.daemonset.template.generation"] = nil
        return ["spec": object["spec"] ?? .null, "annotations": .object(annotations)]
    }

    /// 3, of what has no scale: while it does not go, how it goes on is kept with it or beside it.
    func stoppedWithoutRecord() -> [String] {
        going.compactMap { key, before in
            let object = cluster.get(key)
            if let object, Self.intent(of: object, key.resource)["spec"] == before["spec"] || key.resource == .pods {
                return nil
            }
            if object?[path: ["metadata", "annotations", Marks.scale]] != nil { return nil }
            let isRecorded = recorded().contains {
                $0.kind == key.resource.kind && $0.name == key.name && $0.namespace == key.namespace
            }
            return isRecorded ? nil : "3: \(key.resource.kind) \(key.name) does not go, and nothing says how it did"
        }
    }

    /// The workloads that are not as they were.
    func changedOwners() -> [String] {
        changedTemplates()
            + going.compactMap { key, before in
                guard let object = cluster.get(key) else { return "\(key.resource.kind) \(key.name) is gone" }
                let now = Self.intent(of: object, key.resource)
                return now == before ? nil : "\(key.resource.kind) \(key.name) is not as it was: \(now), not \(before)"
            }
            + records()
    }

    /// What volumes bear of stopped workloads.
    private func recorded() -> [StoppedRecord] {
        cluster.list(.persistentVolumes).flatMap { volume in
            (volume[path: ["metadata", "annotations"]]?.object ?? [:]).compactMap { key, value in
                guard key.hasPrefix(Marks.stopped), let text = value.string else { return nil }
                do { return try JSONDecoder().decode(StoppedRecord.self, from: Data(text.utf8)) } catch { return nil }
            }
        }
    }

    func records() -> [String] { recorded().map { "the record of \($0.kind) \($0.name) is still there" } }

    private func changedTemplates() -> [String] {
        cluster.list(.statefulSets).flatMap { set -> [String] in
            let name = set[path: ["metadata", "name"]]?.string ?? ""
            var found: [String] = []
            for template in set[path: ["spec", "volumeClaimTemplates"]]?.array ?? [] {
                let storageClass = template[path: ["spec", "storageClassName"]]?.string
                if storageClass != (hasNewTemplates ? Self.destination : Self.source) {
                    found.append("the claim template of \(name) names \(storageClass ?? "nothing")")
                }
            }
            let policy = set[path: ["spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"]]?.string
            if hasNewTemplates, policy != "Delete" { found.append("\(name) does not delete its claims any more") }
            return found
        }
    }
}
