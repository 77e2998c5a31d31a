import Kubernetes

extension Inventory {
    /// Returns a listed object that cannot be read; nil for others.
    func unreadable(_ resource: APIResource, _ name: ObjectName) -> Unreadable? {
        unreadable[name]?.first { $0.resource == resource }
    }

    /// Returns the consequences of the objects that cannot be read.
    ///
    /// An unreadable claim holds up its own migration. An unreadable pod holds up every claim of its namespace, because
    /// it may mount any of them. Unreadable workloads and scalers are left alone: where workloads have pods,
    /// these show that something mounts a claim.
    ///
    /// - Returns: The obstacles of claims, and the notes.
    func consequencesOfUnreadable(
        for states: [ClaimState]
    ) -> (obstacles: [Transfer.ID: [Obstacle]], notes: [Obstacle]) {
        let all = unreadable.values.flatMap(\.self).sorted { ($0.name, $0.title) < ($1.name, $1.title) }
        let pods = all.filter { $0.resource == .pods }
        // There may be many, so one stands for its namespace. An object without a namespace may belong to any.
        let podsByNamespace = Dictionary(pods.map { ($0.name.namespace, $0) }, uniquingKeysWith: { first, _ in first })
        var obstacles: [Transfer.ID: [Obstacle]] = [:]
        for state in states {
            let problems = [
                unreadable(.claims, state.name),
                podsByNamespace[state.name.namespace] ?? podsByNamespace[nil as String?],
            ]
            let found = problems.compactMap(\.self).map { Obstacle($0) }
            if !found.isEmpty { obstacles[state.id] = found }
        }
        let told = Set(obstacles.values.flatMap(\.self))
        return (obstacles, all.map { Obstacle($0) }.filter { !told.contains($0) })
    }
}

extension Obstacle {
    init(_ object: Unreadable) {
        let consequence =
            switch object.resource {
            case .pods: "so that nobody knows which claims it mounts; correct or delete it"
            case .claims: "and is not migrated; correct it"
            default: "and is left as it is; correct it"
            }
        self.init(
            namespace: object.name.namespace,
            resource: object.title,
            message: "can't be read, \(consequence) (\(object.why))"
        )
    }
}

extension PersistentVolume {
    /// The names of the claim in its claimRef, and of the claim that it belongs to in a migration. They need not exist.
    var namedClaims: [ObjectName] {
        let marked = metadata.annotation(Marks.sourceClaim).map {
            ObjectName($0, in: metadata.annotation(Marks.sourceNamespace))
        }
        return [claim, marked].compactMap(\.self)
    }
}
