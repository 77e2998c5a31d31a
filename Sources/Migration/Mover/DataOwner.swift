import Kubernetes

/// The user of the pods that read and write a claim. A mover that may not be root runs as this user.
struct DataOwner: Equatable, Sendable {
    /// The pod's security context: `runAsUser` and, where the pods had them, groups.
    private let context: [String: JSON]

    private static let groups = ["runAsGroup", "fsGroup"]

    /// Finds the user that all containers mounting a claim share; nil where one is or may be root, or they differ.
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

    /// Reads the mark of a source volume, which remains when the pods are gone.
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

    /// A pod's security context that the restricted Pod Security standard allows. It leaves groups of files alone that
    /// are right.
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
    /// The user as which a mover can copy the claim where it may not be root; nil where none is known.
    var owner: DataOwner? {
        transfer.ownerOfPods ?? source?.metadata.annotation(Marks.owner).flatMap { DataOwner(mark: $0) }
    }
}

extension MoverPod {
    /// Returns the same mover as a user other than root.
    func running(as owner: DataOwner) -> MoverPod {
        var mover = self
        mover.owner = owner
        mover.content = content.withoutRoot
        return mover
    }

    /// Creates a mover as root, which alone surely keeps every owner, or as the data's owner where a policy refuses
    /// root.
    ///
    /// - Returns: The admitted mover, and the created object.
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
