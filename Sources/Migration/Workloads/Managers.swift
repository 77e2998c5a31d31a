import Kubernetes

/// A manager that also sets a workload's scale, and would start the workload while its claims are copied.
public struct Manager: Sendable, Hashable {
    /// The kind of the manager, as people call it: `KEDA ScaledObject`.
    public var kind: String
    public var name: String
    /// The way to pause it; nil where it leaves a workload at 0 alone.
    public var pause: String?

    /// The name of the manager in messages: `KEDA ScaledObject web`.
    public var title: String { "\(kind) \(name)" }
}

/// An autoscaler that scales a workload by its load (autoscaling/v2).
struct HorizontalPodAutoscaler: KubernetesObject {
    static let resource = APIResource.horizontalPodAutoscalers

    struct Spec: Decodable, Sendable { var scaleTargetRef: ScaleTarget }
    var metadata: ObjectMeta
    var spec: Spec
}

/// An autoscaler that scales a workload by events (KEDA).
struct ScaledObject: KubernetesObject {
    static let resource = APIResource.scaledObjects
    /// The annotation that makes KEDA leave the workload alone.
    static let paused = "autoscaling.keda.sh/paused"

    struct Spec: Decodable, Sendable { var scaleTargetRef: ScaleTarget }
    var metadata: ObjectMeta
    var spec: Spec
}

/// The workload that an autoscaler scales.
struct ScaleTarget: Decodable, Sendable {
    var apiVersion: String?
    /// The kind; nil for KEDA's default, a Deployment.
    var kind: String?
    var name: String

    /// Returns true where the target is this workload, in the namespace of the autoscaler.
    func isOf(_ workload: Workload) -> Bool {
        name == workload.name.name && (kind ?? "Deployment") == workload.kind
            && (apiVersion ?? "apps/v1").hasPrefix("apps/")
    }
}

extension APIResource {
    static let horizontalPodAutoscalers = APIResource(
        group: "autoscaling",
        version: "v2",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers"
    )
    static let scaledObjects = APIResource(
        group: "keda.sh",
        version: "v1alpha1",
        kind: "ScaledObject",
        plural: "scaledobjects"
    )
}

/// The objects of the cluster that scale workloads.
struct Scalers: Sendable {
    var autoscalers: [HorizontalPodAutoscaler] = []
    var scaledObjects: [ScaledObject] = []
    /// The unreadable scalers. They are neither paused nor named.
    var unreadable: [Unreadable] = []

    /// Returns the KEDA objects that scale a workload and must be paused before it is stopped.
    func pausable(above workload: Workload) -> [Workload] {
        scaledObjects.filter {
            $0.metadata.namespace == workload.name.namespace && $0.spec.scaleTargetRef.isOf(workload)
                && $0.metadata.annotation(ScaledObject.paused) != "true"
        }.map { object in
            let before = object.metadata.annotation(ScaledObject.paused).map(JSON.string) ?? .null
            return Workload(
                resource: ScaledObject.resource,
                metadata: object.metadata,
                brake: .pause(
                    patch: ["metadata": ["annotations": [ScaledObject.paused: "true"]]],
                    inverse: ["metadata": ["annotations": [ScaledObject.paused: before]]]
                ),
                replicas: 1,
                claimNames: workload.claimNames
            )
        }
    }

    /// Returns the managers of a workload: the scalers that target it, and the managers that its own metadata name.
    func managers(of workload: Workload) -> [Manager] {
        let namespace = workload.name.namespace ?? "default"
        var managers: [Manager] = []
        for autoscaler in autoscalers
        where autoscaler.metadata.namespace == workload.name.namespace && autoscaler.spec.scaleTargetRef.isOf(workload)
        {
            // KEDA makes an autoscaler for each of its objects.
            if let owner = autoscaler.metadata.controller, owner.kind == ScaledObject.resource.kind {
                let isListed = scaledObjects.contains { $0.metadata.uid == owner.uid }
                if !isListed { managers.append(.keda(owner.name, in: namespace)) }
            } else {
                managers.append(
                    Manager(kind: HorizontalPodAutoscaler.resource.kind, name: autoscaler.metadata.name)
                )
            }
        }
        return managers + Manager.named(in: workload)
    }
}

extension Manager {
    fileprivate static func keda(_ name: String, in namespace: String) -> Manager {
        Manager(
            kind: "KEDA ScaledObject",
            name: name,
            pause: pasteable(
                "kubectl annotate scaledobject \(name) -n \(namespace) \(ScaledObject.paused)=true",
                names: [name]
            )
        )
    }

    /// Returns the managers that a workload's labels, annotations and owner references name.
    fileprivate static func named(in workload: Workload) -> [Manager] {
        let metadata = workload.metadata
        var managers: [Manager] = []
        if let name = application(of: workload) {
            managers.append(
                Manager(
                    kind: "Argo CD application",
                    name: name,
                    pause: pasteable("argocd app set \(name) --sync-policy none", names: [name])
                )
            )
        }
        for (kind, group) in [("Kustomization", "kustomize"), ("HelmRelease", "helm")] {
            guard let name = metadata.labels?["\(group).toolkit.fluxcd.io/name"] else { continue }
            let namespace = metadata.labels?["\(group).toolkit.fluxcd.io/namespace"] ?? metadata.namespace ?? "default"
            managers.append(
                Manager(
                    kind: "Flux \(kind)",
                    name: "\(namespace)/\(name)",
                    pause: pasteable(
                        "flux suspend \(kind.lowercased()) \(name) -n \(namespace)",
                        names: [name, namespace]
                    )
                )
            )
        }
        if let owner = metadata.controller {
            managers.append(
                Manager(
                    kind: owner.kind,
                    name: owner.name,
                    pause: "see the documentation of its operator (\(owner.apiVersion))"
                )
            )
        }
        return managers
    }

    /// Returns the Argo CD application that a workload belongs to, as Argo CD's command line names it.
    private static func application(of workload: Workload) -> String? {
        let metadata = workload.metadata
        let key = "argocd.argoproj.io/instance"
        if let id = metadata.annotation("argocd.argoproj.io/tracking-id") {
            // The form is APPLICATION:GROUP/KIND:NAMESPACE/NAME. An annotation that names another object was copied
            // from there, and Argo CD ignores it.
            let parts = id.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            let own = "apps/\(workload.kind):\(workload.name)"
            if let name = parts.first, parts.count < 3 || parts.dropFirst().joined(separator: ":") == own {
                // An application outside of Argo CD's own namespace is written NAMESPACE_NAME.
                return name.replacing("_", with: "/")
            }
        }
        return metadata.annotation(key) ?? metadata.labels?[key]
    }
}

extension PersistentVolumeClaim {
    /// Returns the note on a claim's manifest before it has a successor; nil where there is none.
    ///
    /// - Parameter keepsAttributes: True where the claim keeps its VolumeAttributesClass.
    func noteOfManifest(_ options: Options, keepsAttributes: Bool) -> Obstacle? {
        let notes = [noteOfMaker(options), keepsAttributes ? nil : noteOfAttributes].compactMap(\.self)
        guard !notes.isEmpty else { return nil }
        return Obstacle(namespace: metadata.namespace, resource: title, message: notes.joined(separator: "; "))
    }

    /// The note on a VolumeAttributesClass. It belongs to one driver, and the new volume has another driver.
    private var noteOfAttributes: String? {
        spec.volumeAttributesClassName.map {
            "its volumeAttributesClassName \($0) is dropped, since that is of the old volume's driver; set one of the new "
                + "driver's afterwards, where there is one"
        }
    }

    /// Returns the note on a claim that is made from a manifest. A claim's class cannot be changed, so a manifest that
    /// names the old class is refused from then on.
    private func noteOfMaker(_ options: Options) -> String? {
        guard options.tree == nil else { return nil }
        let argo = "argocd.argoproj.io/"
        let maker: String
        if let release = metadata.annotation("meta.helm.sh/release-name") {
            maker = "Helm release \(release)"
        } else if let id = metadata.annotation(argo + "tracking-id") {
            maker = "Argo CD application \(id.prefix { $0 != ":" })"
        } else if let name = metadata.labels?["kustomize.toolkit.fluxcd.io/name"] {
            maker = "Flux Kustomization \(name)"
        } else {
            return nil
        }
        if let handover = options.handover {
            guard handover.handsVolumesOver else { return nil }
            return
                "is made by the \(maker), which may make it anew, empty, once it is given away: remove it there first"
        }
        return
            "is made by the \(maker), which keeps it; name the class \(options.destinationClass) there before its next "
            + "update, since a claim's class can't be changed"
    }
}

extension Unit {
    /// Finds the managers of the unit's workloads.
    mutating func name(_ scalers: Scalers) {
        for workload in workloads { managers[workload.metadata.uid] = scalers.managers(of: workload) }
    }

    /// The notes for a person before the unit is stopped.
    var notesOfManagers: [Obstacle] {
        workloads.flatMap { workload in
            (managers[workload.metadata.uid] ?? []).map { manager in
                Obstacle(
                    namespace: workload.name.namespace,
                    resource: workload.title,
                    message: "is scaled by the \(manager.title), which "
                        + (manager.pause.map { "may start it while it is stopped; to pause that: \($0)" }
                            ?? "leaves it alone while it is stopped")
                )
            }
        }
    }

    /// The managers that may have started the unit's workloads, and how to pause them, as the end of an error.
    var suspects: String {
        let all = workloads.flatMap { managers[$0.metadata.uid] ?? [] }
        let pauses = all.compactMap { manager in manager.pause.map { "the \(manager.title) (to pause it: \($0))" } }
        if pauses.isEmpty {
            return "who does that can't be told from the workload"
                + (all.isEmpty ? "" : "; the \(all[0].title) leaves it alone while it is stopped")
                + ". Find out, stop that, and run again"
        }
        return "it is scaled by \(pauses.joined(separator: " and by ")). Pause that, and run again"
    }
}
