import Kubernetes

/// What has to be stopped so that a pod is gone and stays away.
enum Stop: Sendable {
    /// These, in this order.
    case workloads([Workload])
    /// Nothing that could be stopped, and why.
    case impossible(String)
}

/// One of those above a pod: what its owner reference leads to, and so on upwards.
private enum Owner: Sendable {
    case own(Workload)
    case custom(CustomOwner)
}

/// A custom resource that owns workloads or pods.
struct CustomOwner: Sendable {
    var served: ServedResource
    var metadata: ObjectMeta
    var object: JSON

    var title: String { "\(served.resource.kind) \(metadata.name) (\(served.resource.apiVersion))" }
}

/// Follows owner references upwards, and asks for each owner once.
struct OwnerSearch {
    let migrator: Migrator
    let inventory: Inventory
    private var owners: [String: CustomOwner] = [:]
    private var kinds: [String: ServedResource] = [:]

    init(_ migrator: Migrator, _ inventory: Inventory) {
        self.migrator = migrator
        self.inventory = inventory
    }

    /// What has to be stopped for a pod to be gone.
    ///
    /// The highest of its owners is what decides how many pods there are: what is stopped below it would be started
    /// again. So it is stopped, or else paused as the person says and what is next below it stopped.
    ///
    /// - Throws: `APIError`.
    mutating func stop(for pod: Pod) async throws -> Stop {
        var chain: [Owner] = []
        var reference = pod.metadata.controller
        while let next = reference, chain.count < 10 {
            switch try await owner(next, in: pod.metadata.namespace) {
            case .found(let owner, let above): (reference, chain) = (above, chain + [owner])
            case .impossible(let why): return .impossible(why)
            }
        }
        return try await stop(pod, ownedBy: chain)
    }

    private func stop(_ pod: Pod, ownedBy chain: [Owner]) async throws -> Stop {
        var paused: [Workload] = []
        for (depth, owner) in chain.enumerated().reversed() {
            switch owner {
            case .own(let workload):
                // A CronJob that is suspended leaves its Jobs running.
                guard workload.resource == .cronJobs, depth > 0, case .own(let job) = chain[depth - 1] else {
                    return .workloads(paused + [workload])
                }
                return .workloads(paused + [workload, job])
            case .custom(let custom):
                let namespace = pod.metadata.namespace
                if let pause = migrator.options.pauses.first(where: {
                    $0.isOf(custom.served.resource.kind, custom.metadata.name)
                }) {
                    paused.append(
                        Workload(custom.served.resource, custom.metadata, custom.object, pausedBy: pause.patch)
                    )
                } else if custom.served.hasScale {
                    var workload = Workload(
                        resource: custom.served.resource,
                        metadata: custom.metadata,
                        brake: .scale,
                        replicas: 0,
                        claimNames: []
                    )
                    workload = try await migrator.client.currentCustomResource(workload) ?? workload
                    return .workloads(paused + [workload])
                } else {
                    let name = "\(custom.served.resource.kind)/\(custom.metadata.name)"
                    return .impossible(
                        "is owned by the \(custom.title) in \(namespace ?? "?"), which has no scale and would start it "
                            + "again; stop that first, or give --pause '\(name)=PATCH' with a merge patch that pauses it"
                    )
                }
            }
        }
        // What is paused may take its pods away itself.
        if !paused.isEmpty { return .workloads(paused) }
        guard migrator.options.recreatesPods else {
            return .impossible(
                "mounts a claim to migrate and has no owner that would create it again; delete it first, or give "
                    + "--recreate-pods to have it deleted and created again"
            )
        }
        return .workloads([Workload(pod, manifest: try await migrator.client.get(.pods, pod.name))])
    }

    private enum Step {
        case found(Owner, above: OwnerReference?)
        case impossible(String)
    }

    private mutating func owner(_ reference: OwnerReference, in namespace: String?) async throws -> Step {
        let title = "the \(reference.kind) \(reference.name) (\(reference.apiVersion))"
        if let own = inventory.owners[reference.uid] { return .found(.own(own), above: own.metadata.controller) }
        if let known = owners[reference.uid] { return .found(.custom(known), above: known.metadata.controller) }
        if Workload.ownKinds.contains(where: { $0.kind == reference.kind && $0.apiVersion == reference.apiVersion }) {
            return .impossible("is owned by \(title), which does not exist")
        }
        guard reference.apiVersion.contains("."), !reference.apiVersion.hasSuffix(".k8s.io/v1") else {
            return .impossible("is owned by \(title), which cannot be stopped; stop it first")
        }
        do {
            let kind = "\(reference.apiVersion)/\(reference.kind)"
            if kinds[kind] == nil {
                kinds[kind] = try await migrator.client.served(reference.kind, reference.apiVersion)
            }
            guard let served = kinds[kind], served.resource.namespaced else {
                return .impossible("is owned by \(title), which cannot be stopped; stop it first")
            }
            let name = ObjectName(reference.name, in: namespace)
            let object = try await migrator.client.get(served.resource, name)
            let metadata = try await migrator.client.get(MetadataObject.self, of: served.resource, name).metadata
            guard metadata.uid == reference.uid else {
                return .impossible("is owned by \(title), which does not exist")
            }
            let custom = CustomOwner(served: served, metadata: metadata, object: object)
            owners[reference.uid] = custom
            return .found(.custom(custom), above: metadata.controller)
        } catch let error as APIError where error.reason == .notFound {
            return .impossible("is owned by \(title), which does not exist")
        } catch let error as APIError where error.reason == .forbidden {
            return .impossible("is owned by \(title), which may not be read: \(error.message)")
        }
    }
}
