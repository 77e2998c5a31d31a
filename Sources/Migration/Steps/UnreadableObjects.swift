import Kubernetes

extension Inventory {
    /// An object that was listed and can't be read; nil for others.
    func unreadable(_ resource: APIResource, _ name: ObjectName) -> Unreadable? {
        unreadable[name]?.first { $0.resource == resource }
    }

    /// What follows from the objects that can't be read.
    ///
    /// A claim holds up its own migration, and a pod that of every claim of its namespace, since it may mount any of them.
    /// Workloads and what scales them are left alone: where they have pods, those tell that something mounts a claim.
    ///
    /// - Returns: what stands in the way of claims, and what is only to be known.
    func consequencesOfUnreadable(
        for states: [ClaimState]
    ) -> (obstacles: [Transfer.ID: [Obstacle]], notes: [Obstacle]) {
        let all = unreadable.values.flatMap(\.self).sorted { ($0.name, $0.title) < ($1.name, $1.title) }
        let pods = all.filter { $0.resource == .pods }
        // One says it for all of its namespace, as there may be many. What has no namespace may be in any.
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
    /// The claims that it names: the one that it is bound to or reserved for, and the one that it belongs to in a
    /// migration. They need not exist.
    var namedClaims: [ObjectName] {
        let marked = metadata.annotation(Marks.sourceClaim).map {
            ObjectName($0, in: metadata.annotation(Marks.sourceNamespace))
        }
        return [claim, marked].compactMap(\.self)
    }
}
