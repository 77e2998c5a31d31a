import Kubernetes

/// The stop that makes a pod go and stay away.
enum Stop: Sendable {
    /// A stop of these workloads, in this order.
    case workloads([Workload])
    /// No stop is possible, for a reason.
    case impossible(String)
}

/// An object above a pod: its owner, the owner of that, and so on.
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

extension Workload {
    /// Returns true where an owner reference in a namespace means this object. All of the reference must match, because
    /// its author may write any UID.
    func isMeant(by reference: OwnerReference, in namespace: String?) -> Bool {
        reference.uid == metadata.uid && reference.name == metadata.name && reference.kind == kind
            && reference.group == resource.group && namespace == metadata.namespace
    }
}

extension OwnerReference {
    fileprivate var group: String {
        apiVersion.firstIndex(of: "/").map { String(apiVersion[..<$0]) } ?? ""
    }
}

/// Follows owner references upwards, and reads each owner once.
struct OwnerSearch {
    let inventory: Inventory
    private let options: Options
    private let workloads: Workloads
    // The client has little patience, so that an unreadable owner delays the others little.
    private let client: Client
    private var owners: [Key: CustomOwner] = [:]
    private var kinds: [String: ServedResource] = [:]

    /// The identity of a custom owner.
    private struct Key: Hashable {
        var apiVersion, kind, name, uid: String
        var namespace: String?
    }

    init(_ client: Client, _ inventory: Inventory, _ options: Options, _ workloads: Workloads) {
        (self.inventory, self.options) = (inventory, options)
        var client = client
        client.patience = .seconds(5)
        self.client = client
        self.workloads = workloads.using(client)
    }

    /// Returns the stop that makes a pod go away.
    ///
    /// The highest owner decides how many pods there are, and would start again what is stopped below it. So the
    /// highest owner is stopped, or else it is paused as the person says and the next one below is stopped.
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
                // A suspended CronJob leaves its Jobs running.
                guard workload.resource == .cronJobs, depth > 0, case .own(let job) = chain[depth - 1] else {
                    return .workloads(paused + [workload])
                }
                return .workloads(paused + [workload, job])
            case .custom(let custom):
                let namespace = pod.metadata.namespace
                if let pause = options.pauses.first(where: {
                    $0.isOf(custom.served.resource.kind, custom.metadata.name)
                }) {
                    paused.append(
                        Workload(custom.served.resource, custom.metadata, custom.object, pausedBy: pause.patch)
                    )
                } else if custom.served.hasScale {
                    let claims = pod.claimNames.compactMap { inventory.claims[ObjectName($0, in: namespace)] }
                    if let why = custom.hazard(of: claims) { return .impossible(why) }
                    var workload = Workload(
                        resource: custom.served.resource,
                        metadata: custom.metadata,
                        brake: .scale,
                        replicas: 0,
                        claimNames: []
                    )
                    do {
                        workload = try await workloads.currentCustomResource(workload) ?? workload
                    } catch let error as APIError {
                        // A scale path without a value is an error of the server (transcript custom_scale_unset).
                        return .impossible(
                            "is owned by the \(custom.title), whose scale can't be read: \(error.message); "
                                + custom.adviceToPause
                        )
                    }
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
        // A paused owner may remove its pods itself.
        if !paused.isEmpty { return .workloads(paused) }
        guard options.recreatesPods else {
            return .impossible(
                "mounts a claim to migrate and has no owner that would create it again; delete it first, or give "
                    + "--recreate-pods to have it deleted and created again"
            )
        }
        return .workloads([Workload(pod, manifest: try await client.get(.pods, pod.name))])
    }

    private enum Link {
        case found(Owner, above: OwnerReference?)
        case impossible(String)
    }

    private mutating func owner(_ reference: OwnerReference, in namespace: String?) async throws -> Link {
        let title = "the \(reference.kind) \(reference.name) (\(reference.apiVersion))"
        if let own = inventory.owners[reference.uid], own.isMeant(by: reference, in: namespace) {
            return .found(.own(own), above: own.metadata.controller)
        }
        let key = Key(
            apiVersion: reference.apiVersion,
            kind: reference.kind,
            name: reference.name,
            uid: reference.uid,
            namespace: namespace
        )
        if let known = owners[key] { return .found(.custom(known), above: known.metadata.controller) }
        if let own = Workload.ownKinds.first(where: { $0.kind == reference.kind && $0.group == reference.group }) {
            let unreadable = inventory.unreadable(own, ObjectName(reference.name, in: namespace))
            return .impossible(
                "is owned by \(title), which \(unreadable.map { "can't be read: \($0.why)" } ?? "does not exist")"
            )
        }
        guard APIResource.isCustom(group: reference.group) else {
            return .impossible("is owned by \(title), which cannot be stopped; stop it first")
        }
        do {
            let kind = "\(reference.apiVersion)/\(reference.kind)"
            if kinds[kind] == nil {
                kinds[kind] = try await client.served(reference.kind, reference.apiVersion)
            }
            guard let served = kinds[kind], served.resource.namespaced else {
                return .impossible("is owned by \(title), which cannot be stopped; stop it first")
            }
            let name = ObjectName(reference.name, in: namespace)
            let object = try await client.get(served.resource, name)
            let metadata = try await client.get(MetadataObject.self, of: served.resource, name).metadata
            guard metadata.uid == reference.uid else {
                return .impossible("is owned by \(title), which does not exist")
            }
            let custom = CustomOwner(served: served, metadata: metadata, object: object)
            owners[key] = custom
            return .found(.custom(custom), above: metadata.controller)
        } catch let error as APIError where error.reason == .notFound {
            return .impossible("is owned by \(title), which does not exist")
        } catch let error as APIError where error.reason == .invalid {
            return .impossible("is owned by \(title), which cannot be stopped: \(error)")
        } catch let error as APIError {
            return .impossible("is owned by \(title), which can't be read: \(error.message)")
        }
    }
}
