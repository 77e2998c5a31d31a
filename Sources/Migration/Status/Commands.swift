import Kubernetes

extension Survey {
    /// The commands that finish what is open, one for each pair of classes.
    ///
    /// What the objects don't tell is taken from the scope; where that doesn't either, a word in angle brackets says
    /// what to put there.
    func commands(finishing status: MigrationStatus, begun states: [ClaimState], _ scope: MigrationStatus.Scope)
        -> [String]
    {
        let rerunnable = status.claims.filter { $0.stage != .cutOff }
        var pairs: [Pair] = rerunnable.map {
            Pair(source: $0.sourceClass, destination: $0.destinationClass)
        }
        // Any run starts what is stopped and has all its claims done.
        if pairs.isEmpty, let stopped = status.workloads.first(where: { !$0.isBlocked }) {
            let names = inventory.workloads.first { $0.name == stopped.name && $0.kind == stopped.kind }?.claimNames
            let classes = Set(
                (names ?? []).compactMap {
                    inventory.claims[ObjectName($0, in: stopped.name.namespace)]?.storageClassName
                }
            )
            let sources = Set(status.locks.map(\.sourceClass) + status.kept.compactMap(\.storageClass))
            pairs = [
                Pair(source: Set(sources).only, destination: classes.subtracting(sources).only)
            ]
        }
        let known = Set(pairs.filter { $0.destination != nil })
        for index in pairs.indices where pairs[index].destination == nil {
            pairs[index].destination = known.filter { $0.source == pairs[index].source }.only?.destination
        }
        let commands = pairs.map { pair in
            let source = pair.source ?? scope.sourceClass
            let destination = pair.destination ?? scope.destinationClass
            let isGone = source.map { classes?.contains($0) == false } ?? false
            return
                "pvmigrate --source-sc \(source ?? "<source class>") --dest-sc \(destination ?? "<destination class>")"
                + (scope.namespace.map { " --namespace \($0)" } ?? "") + (isGone ? " --skip-source-validation" : "")
        }
        return Set(commands).sorted()
    }

    private struct Pair: Hashable {
        var source: String?
        var destination: String?
    }
}

extension Set {
    /// The one element, where there is just one.
    fileprivate var only: Element? { count == 1 ? first : nil }
}
