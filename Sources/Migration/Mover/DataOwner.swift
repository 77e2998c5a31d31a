import Kubernetes

/// As whom the pods that use a claim read and write it: as whom a mover can copy it where it may not be root.
struct DataOwner: Equatable, Sendable {
    /// A pod's security context: `runAsUser` and, where the pods had them, groups.
    private let context: [String: JSON]

    private static let groups = ["runAsGroup", "fsGroup"]

    /// What the containers that mount a claim agree on; nil where one of them is root, or may be, or they differ.
    init?(of claim: ObjectName, in pods: [Pod]) {
        let users = pods.filter { $0.metadata.namespace == claim.namespace && $0.claimNames.contains(claim.name) }
        var contexts: Set<[String: JSON]> = []
        for pod in users {
            let volumes = (pod.spec.volumes ?? []).filter { $0.persistentVolumeClaim?.claimName == claim.name }
            let names = Set(volumes.map(\.name))
            for container in (pod.spec.initContainers ?? []) + (pod.spec.containers ?? []) {
                let uses = (container.volumeMounts ?? []) + (container.volumeDevices ?? [])
                guard uses.contains(where: { names.contains($0.name) }) else { continue }
                let (own, all) = (container.securityContext, pod.spec.securityContext)
                var context: [String: JSON] = [:]
                context["runAsUser"] = (own?.runAsUser ?? all?.runAsUser).map(JSON.integer)
                context["runAsGroup"] = (own?.runAsGroup ?? all?.runAsGroup).map(JSON.integer)
                context["fsGroup"] = all?.fsGroup.map(JSON.integer)
                context["supplementalGroups"] = all?.supplementalGroups.map { .array($0.sorted().map(JSON.integer)) }
                contexts.insert(context)
            }
        }
        guard contexts.count == 1, let context = contexts.first else { return nil }
        self.init(context)
    }

    /// Reads the mark on a source volume, which is there when the pods are gone.
    init?(mark: String) {
        guard let members = JSON(parsingLeniently: mark)?.object else { return nil }
        self.init(members)
    }

    private init?(_ members: [String: JSON]) {
        guard let user = members["runAsUser"]?.integer, user > 0 else { return nil }
        var context = members.filter { Self.groups.contains($0.key) && $0.value.integer != nil }
        context["runAsUser"] = .integer(user)
        let groups = (members["supplementalGroups"]?.array ?? []).filter { $0.integer != nil }
        if !groups.isEmpty { context["supplementalGroups"] = .array(groups) }
        self.context = context
    }

    var mark: String { String(decoding: JSON.object(context).text, as: UTF8.self) }

    /// A pod's security context that the restricted Pod Security standard allows. The groups of files that are right
    /// are left alone.
    var podContext: JSON {
        var pod = context
        pod["runAsNonRoot"] = true
        if pod["fsGroup"] != nil { pod["fsGroupChangePolicy"] = "OnRootMismatch" }
        return .object(pod)
    }

    static let containerContext: JSON = [
        "allowPrivilegeEscalation": false, "capabilities": ["drop": ["ALL"]], "readOnlyRootFilesystem": true,
        "seccompProfile": ["type": "RuntimeDefault"],
    ]

    /// `user 1000, fsGroup 2000`
    var inWords: String {
        let user = "user \(context["runAsUser"]?.integer ?? 0)"
        let groups = zip(["group", "fsGroup"], Self.groups).compactMap { name, key in
            context[key]?.integer.map { "\(name) \($0)" }
        }
        return ([user] + groups).joined(separator: ", ")
    }
}

extension ClaimState {
    /// As whom a mover can copy the claim where it may not be root; nil where that is not known.
    var owner: DataOwner? {
        transfer.ownerOfPods ?? source?.metadata.annotation(Marks.owner).flatMap { DataOwner(mark: $0) }
    }
}

extension MoverPod {
    /// The same mover as somebody who is not root.
    func running(as owner: DataOwner) -> MoverPod {
        var mover = self
        mover.owner = owner
        mover.content = content.withoutRoot
        return mover
    }

    /// Has a mover admitted: as root, who alone keeps every owner for certain, or as the data's owner where a policy
    /// refuses root.
    ///
    /// - Returns: the mover that was admitted, and what was created.
    func admitted<Created>(
        orAs owner: DataOwner?,
        by create: (JSON) async throws -> Created
    ) async throws -> (mover: MoverPod, created: Created) {
        do {
            return (self, try await Capabilities.admitted(manifest, by: create))
        } catch let error as APIError {
            guard let owner, MoverExit.refusesRoot(error.message) else { throw error }
            let mover = running(as: owner)
            return (mover, try await create(mover.manifest))
        }
    }
}
