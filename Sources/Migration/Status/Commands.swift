import Kubernetes

extension Survey {
    /// Returns the commands that finish the open migrations, one for each pair of classes.
    ///
    /// The scope supplies the classes that the objects do not tell. Where it has none either, a word in angle brackets
    /// stands in for the class.
    func commands(finishing status: MigrationStatus, _ scope: MigrationStatus.Scope) -> [String] {
        let transfers = status.claims.compactMap(\.transferCommand)
        var runs = status.claims.filter {
            ![.cutOff, .halfFilled, .treeBegun].contains($0.stage) && $0.transferCommand == nil
        }.map {
            Run(
                isRollback: $0.isRollback,
                isRetype: $0.isRetype,
                source: $0.sourceClass,
                destination: $0.destinationClass
            )
        }
        if runs.isEmpty, transfers.isEmpty {
            runs = status.workloads.filter { !$0.isBlocked }.map { run(starting: $0, of: status) }
        }
        let known = Set(runs.filter { $0.destination != nil })
        for index in runs.indices where runs[index].destination == nil {
            runs[index].destination =
                known.filter { $0.source == runs[index].source && $0.isRollback == runs[index].isRollback }
                .only?.destination
        }
        return Set(runs.map { command($0, scope) } + transfers).sorted()
    }

    private struct Run: Hashable {
        var isRollback: Bool
        var isRetype = false
        var source: String?
        var destination: String?
    }

    /// Returns the run that stopped a workload whose claims are all done, by its lock or its kept volumes.
    private func run(starting stopped: MigrationStatus.Stopped, of status: MigrationStatus) -> Run {
        let workload = inventory.workloads.first { $0.name == stopped.name && $0.kind == stopped.kind }
        for name in workload?.mountedClaims.sorted() ?? [] {
            // The Go tool began this copy. Its staging claim tells the classes, though it proves nothing.
            let state = inventory.state(of: name, seal: nil, destination: nil, nil)
            guard let staging = inventory.seemingStaging(of: state), let claim = state.claim else { continue }
            return Run(isRollback: false, source: claim.storageClassName, destination: staging.storageClassName)
        }
        let classes = Set(
            (workload?.claimNames ?? []).compactMap {
                inventory.claims[ObjectName($0, in: stopped.name.namespace)]?.storageClassName
            }
        )
        // An older run locked only its source class, and its Lease names no other.
        let locked = Set(status.locks.map { $0.sourceClass ?? $0.storageClass })
        let first = locked.union(status.kept.compactMap(\.kept.volume.spec.storageClassName))
        // The way back has the lock of the way there, and leads to the source class of the way there.
        if !classes.isDisjoint(with: locked) {
            return Run(isRollback: true, source: classes.only, destination: nil)
        }
        return Run(isRollback: false, source: first.only, destination: classes.subtracting(first).only)
    }

    private func command(_ run: Run, _ scope: MigrationStatus.Scope) -> String {
        // A Lease or a claim may give a class any name.
        let source = (run.source ?? scope.sourceClass).flatMap { $0.isObjectName ? $0 : nil }
        let destination = (run.destination ?? scope.destinationClass).flatMap { $0.isObjectName ? $0 : nil }
        let isGone = !run.isRollback && source.map { classes?.contains($0) == false } ?? false
        return "pvmigrate \(run.isRollback ? "rollback " : "")--source-sc \(source ?? "<source class>") "
            + "--dest-sc \(destination ?? "<destination class>")" + (run.isRetype ? " --retype" : "")
            + (scope.selection.flags.namespaces + scope.selection.flags.others).map { " \($0)" }.joined()
            + (isGone ? " --skip-source-validation" : "")
    }
}

extension Set {
    /// The only element, where there is exactly one.
    fileprivate var only: Element? { count == 1 ? first : nil }
}
