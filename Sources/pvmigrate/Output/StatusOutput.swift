import FoundationEssentials
import Kubernetes
import Migration

/// What `pvmigrate status` has found: what both output formats show.
struct StatusOutcome: Sendable {
    let scope: MigrationStatus.Scope
    /// Nil where the cluster could not be looked at.
    let status: MigrationStatus?
    let code: ExitCode
    /// The last thing to say, on one line.
    let message: String

    init(_ status: MigrationStatus, _ scope: MigrationStatus.Scope) {
        self.scope = scope
        self.status = status
        code = status.isOpen ? .stopped : .done
        message = status.isOpen ? status.openInWords : status.restInWords(scope)
    }

    init(failed message: String, _ scope: MigrationStatus.Scope) {
        self.scope = scope
        status = nil
        code = .failed
        self.message = message
    }
}

extension MigrationStatus {
    /// What is open, and how it is finished.
    fileprivate var openInWords: String {
        let stopped = workloads.count { $0.replicas == 0 }
        let blocked = claims.count(where: \.isBlocked) + workloads.count(where: \.isBlocked)
        var words = [
            (claims.count, "\(claims.count.of("claim")) under way"), (stopped, "\(stopped.of("workload")) stopped"),
            (workloads.count - stopped, "\((workloads.count - stopped).of("workload")) marked as stopped"),
        ].filter { $0.0 > 0 }.map(\.1).joined(separator: ", ")
        if blocked > 0 { words += "; \(blocked) of them \(blocked == 1 ? "needs" : "need") a person, see above" }
        guard !commands.isEmpty else { return words }
        let alive = Set(locks.filter(\.seemsAlive).map(\.holder)).sorted()
        if !alive.isEmpty { words += "; \(alive.joined(separator: " and ")) seems to be at work on it; if it is not" }
        return words + (alive.isEmpty ? "; run: " : ", run: ") + commands.joined(separator: " && ")
    }

    /// That nothing is open, and what there is besides.
    fileprivate func restInWords(_ scope: Scope) -> String {
        var words = unseen.isEmpty ? "nothing is open" : "nothing is open, as far as you may look"
        for (holder, held) in Dictionary(grouping: locks, by: \.holder).sorted(by: { $0.key < $1.key }) {
            let names = held.map(\.storageClass).joined(separator: " and ")
            words += "; \(holder) seems to be at work on the \(held.count == 1 ? "class" : "classes") \(names)"
        }
        if let toMigrate, let source = scope.sourceClass, toMigrate > 0 {
            words += "; \(toMigrate.of("claim")) of the class \(source) still to migrate"
        }
        if !kept.isEmpty { words += "; \(kept.count.of("volume")) of \(keptBytes.inBytes) kept for a rollback" }
        if !leftovers.isEmpty { words += "; \(leftovers.count.of("object")) left over, see above" }
        return words
    }
}

// MARK: Text

extension StatusOutcome {
    /// What goes to stdout for a person: a table for everything that there is something of.
    var text: String {
        guard let status else { return "" }
        return (status.tables + [counts(status)]).filter { !$0.rows.isEmpty }.map(\.text).joined(separator: "\n")
    }

    private func counts(_ status: MigrationStatus) -> Table {
        var rows: [[String]] = []
        if let name = scope.sourceClass, let count = status.toMigrate {
            rows.append([name, "\(count) still to migrate"])
        }
        if let name = scope.destinationClass, let count = status.onDestination {
            rows.append([name, "\(count) bound"])
        }
        return Table(header: ["CLASS", "CLAIMS"], rows: rows)
    }
}

extension MigrationStatus {
    fileprivate var tables: [Table] {
        [
            Table(
                header: ["CLAIM", "STATE", "A RERUN", "SOURCE VOLUME", "DESTINATION VOLUME"],
                rows: claims.map {
                    ["\($0.name)", $0.state, $0.next, $0.sourceVolume ?? "-", $0.destinationVolume ?? "-"]
                }
            ),
            Table(
                header: ["WORKLOAD", "SCALE", "STATE"],
                rows: workloads.map { [$0.title, $0.scale.map { "\($0)" } ?? "?", $0.state] }
            ),
            Table(header: ["LEFT OVER", "WHY"], rows: leftovers.map { [$0.resource, $0.message] }),
            Table(
                header: ["KEPT VOLUME", "CLAIM", "CLASS", "SIZE", "SINCE", "SUCCESSOR"],
                rows: kept.map {
                    [
                        $0.kept.volume.metadata.name, "\($0.kept.claim)", $0.kept.volume.spec.storageClassName ?? "-",
                        $0.kept.size?.text ?? "?", $0.kept.since?.formatted(.iso8601) ?? "?",
                        $0.hasSuccessor ? "exists" : "gone",
                    ]
                }
            ),
            Table(
                header: ["LOCK OF", "HELD BY", "SINCE", "LAST RENEWED"],
                rows: locks.map { [$0.storageClass, $0.holder, $0.since?.withoutDecimals ?? "?", $0.renewedInWords] }
            ),
            Table(header: ["NOTE", ""], rows: notes.map { [$0.resource, $0.message] }),
        ]
    }
}

extension MigrationStatus.Lock {
    fileprivate var renewedInWords: String {
        let age = age.map { ", \($0.inWords) ago by this machine's clock" } ?? ""
        return (renewed?.withoutDecimals ?? "?") + age + (seemsAlive ? "" : "; its holder seems dead")
    }
}

extension String {
    /// A time without the decimals of its seconds.
    fileprivate var withoutDecimals: String { replacing(/\.\d+/, with: "") }
}

// MARK: JSON

extension StatusOutcome {
    /// The one object that `--output json` prints: what `Schemas.status` says. Every key is always there; what is unknown
    /// is null, what there is nothing of is an empty list.
    var json: JSON {
        [
            "open": status.map { .bool($0.isOpen) } ?? .null, "exitCode": .integer(Int64(code.rawValue)),
            "message": .string(message),
            "options": [
                "sourceStorageClass": .text(scope.sourceClass),
                "destinationStorageClass": .text(scope.destinationClass), "namespace": scope.selection.namespacesAsJSON,
                "selection": scope.selection.othersAsJSON,
            ],
            "commands": .array((status?.commands ?? []).map(JSON.string)),
            "claims": .array((status?.claims ?? []).map(Self.json)),
            "workloads": .array((status?.workloads ?? []).map(Self.json)),
            "leftovers": .array((status?.leftovers ?? []).map(Outcome.json)),
            "kept": .array((status?.kept ?? []).map(Self.json)),
            "keptBytes": status.map { .integer($0.keptBytes) } ?? .null,
            "locks": .array((status?.locks ?? []).map(Self.json)),
            "toMigrate": .count(status?.toMigrate), "onDestination": .count(status?.onDestination),
            "notes": .array((status?.notes ?? []).map(Outcome.json)),
            "unseen": .array((status?.unseen ?? []).map(Outcome.json)),
        ]
    }

    private static func json(_ claim: MigrationStatus.Claim) -> JSON {
        [
            "namespace": .text(claim.name.namespace), "name": .string(claim.name.name),
            "stage": .string(claim.stage.rawValue), "state": .string(claim.state), "next": .string(claim.next),
            "blocked": .bool(claim.isBlocked), "rollback": .bool(claim.isRollback),
            "sourceStorageClass": .text(claim.sourceClass),
            "destinationStorageClass": .text(claim.destinationClass), "sourceVolume": .text(claim.sourceVolume),
            "destinationVolume": .text(claim.destinationVolume),
        ]
    }

    private static func json(_ workload: MigrationStatus.Stopped) -> JSON {
        [
            "kind": .string(workload.kind), "namespace": .text(workload.name.namespace),
            "name": .string(workload.name.name), "scale": .count(workload.scale), "replicas": .count(workload.replicas),
            "state": .string(workload.state), "blocked": .bool(workload.isBlocked),
        ]
    }

    private static func json(_ status: MigrationStatus.Kept) -> JSON {
        let kept = status.kept
        return [
            "volume": .string(kept.volume.metadata.name), "namespace": .text(kept.claim.namespace),
            "name": .string(kept.claim.name), "storageClass": .text(kept.volume.spec.storageClassName),
            "size": .text(kept.size?.text), "bytes": kept.size.map { .integer($0.bytes) } ?? .null,
            "since": .text(kept.since?.formatted(.iso8601)), "reclaimPolicy": JSON(kept.reclaimPolicy),
            "successorExists": .bool(status.hasSuccessor),
        ]
    }

    private static func json(_ lock: MigrationStatus.Lock) -> JSON {
        [
            "storageClass": .string(lock.storageClass), "sourceStorageClass": .text(lock.sourceClass),
            "destinationStorageClass": .text(lock.destinationClass), "holder": .string(lock.holder),
            "since": .text(lock.since),
            "renewed": .text(lock.renewed), "ageSeconds": .count(lock.age.map { Int($0.components.seconds) }),
            "alive": .bool(lock.seemsAlive),
        ]
    }
}

extension JSON {
    fileprivate static func text(_ text: String?) -> JSON { text.map(JSON.string) ?? .null }
    fileprivate static func count(_ count: Int?) -> JSON { count.map { .integer(Int64($0)) } ?? .null }
}
