import Kubernetes
import Migration

extension Outcome {
    /// What goes to stdout for a person: tables, or nothing where the message says it all.
    var text: String {
        var tables: [Table] = []
        if kind == .planned, let discovery {
            tables.append(Self.plan(discovery))
            if !discovery.objects.isEmpty { tables.append(Self.table(discovery.objects)) }
        }
        if !obstacles.isEmpty { tables.append(Self.table(obstacles)) }
        if let claims = report?.claims, !claims.isEmpty { tables.append(Self.table(claims)) }
        return tables.map(\.text).joined(separator: "\n")
    }

    /// One row a claim; what stops for a unit is said in each of its rows.
    private static func plan(_ discovery: Discovery) -> Table {
        var rows: [[String]] = []
        for (index, unit) in discovery.units.enumerated() {
            let workloads = unit.workloads.map { workload in
                workload.title
                    + (workload.isStoppedByMigration ? " (stopped already)" : " (scale \(workload.replicas))")
            }
            for state in unit.claims {
                rows.append([
                    "\(index + 1)", state.name.words(to: state.transfer.destination), state.sizeInWords,
                    state.source?.metadata.name ?? "-",
                    state.method.inWords, state.stage.inWords,
                    workloads.isEmpty ? "-" : workloads.joined(separator: ", "),
                ])
            }
        }
        for workload in discovery.forgotten {
            rows.append(["-", "-", "-", "-", "-", "only to be started again", workload.title])
        }
        return Table(header: ["UNIT", "CLAIM", "SIZE", "VOLUME", "METHOD", "STATE", "STOPS"], rows: rows)
    }

    /// The objects that go along. Only names of fields are shown, and no values.
    private static func table(_ objects: [PlannedObject]) -> Table {
        Table(
            header: ["OBJECT", "ACTION"],
            rows: objects.map { [$0.title, $0.action.rawValue + ($0.details.map { ": \($0)" } ?? "")] }
        )
    }

    private static func table(_ obstacles: [Obstacle]) -> Table {
        Table(
            header: ["NAMESPACE", "RESOURCE", "MESSAGE"],
            rows: obstacles.map { [$0.namespace.isEmpty ? "-" : $0.namespace, $0.resource, $0.message] }
        )
    }

    private static func table(_ claims: [Report.Claim]) -> Table {
        Table(
            header: ["CLAIM", "SIZE", "FILES", "BYTES", "COPY TIME", "OUTAGE", "OLD STORAGE", "RESULT"],
            rows: claims.map { claim in
                [
                    claim.name.words(to: claim.destination ?? claim.name), claim.size.isEmpty ? "?" : claim.size,
                    claim.files.map { "\($0)" } ?? "-",
                    claim.bytesNotMoved.map { "0, not \($0.inBytes)" } ?? claim.bytes?.inBytes ?? "-",
                    claim.copyTime?.inWords ?? "-", claim.outageInWords, claim.oldStorageInWords,
                    claim.result.rawValue + (claim.reason.map { ": \($0)" } ?? ""),
                ]
            }
        )
    }
}

extension ObjectName {
    /// The name, and that of the destination where it is another one: `shop/data to shop-eu/data`.
    fileprivate func words(to destination: ObjectName) -> String {
        self == destination ? "\(self)" : "\(self) to \(destination)"
    }
}

extension Report.Claim {
    /// As tables give it: where the storage is that the claim has left.
    var oldStorageInWords: String {
        switch oldStorage {
        case .freed: "freed"
        case .kept(let volume): "kept: \(volume)"
        case .retained: "its owner's"
        case nil: "-"
        }
    }

    /// As tables give it: `7.2 s (5.0 s predicted)`.
    var outageInWords: String {
        let prediction = predictedOutage.map { "\($0.inWords) predicted" }
        guard let outage else { return "none" + (prediction.map { "; \($0)" } ?? "") }
        return outage.inWords + (prediction.map { " (\($0))" } ?? "")
    }
}

extension Transfer.Method {
    fileprivate var inWords: String {
        switch self {
        case .copy: "copy"
        case .kept: "kept volume"
        case .retype: "retype, no copy"
        case .handOver: "the volume itself"
        case .tree: "local directory"
        }
    }
}

/// How far an earlier run has come with a claim.
enum Stage: String, CaseIterable {
    case new
    case protected
    case staged
    case sealed

    var inWords: String {
        switch self {
        case .new: "not begun"
        case .protected: "begun: source volume protected"
        case .staged: "begun: staging claim exists"
        case .sealed: "copied and sealed; to be finished"
        }
    }
}

extension ClaimState {
    /// The size that it will have, and the one that it has where that is another.
    fileprivate var sizeInWords: String {
        guard let size, let sourceSize else { return "?" }
        return size == sourceSize ? size.text : "\(size.text) (now \(sourceSize.text))"
    }

    var stage: Stage {
        if seal != nil { return .sealed }
        if staging?.metadata.annotation(Marks.claim) == name.name { return .staged }
        return isProtected ? .protected : .new
    }
}
