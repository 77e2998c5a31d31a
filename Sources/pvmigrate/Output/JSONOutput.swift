import Kubernetes
import Migration

extension Outcome {
    /// The keys of the JSON object, in the order of their documentation.
    static let keys = Schemas.run.map(\.name)

    /// The one object that `--output json` prints: what `Schemas.run` says. Every key is always there; what is unknown is
    /// null, what there is nothing of is an empty list.
    func json(_ options: Options) -> JSON {
        [
            "outcome": .string(kind.rawValue), "exitCode": .integer(Int64(code.rawValue)),
            "message": .string(message),
            "options": Self.json(options),
            "obstacles": .array(obstacles.map(Self.json)),
            "notes": .array((discovery?.notes ?? []).map(Self.json)),
            "units": .array((discovery?.units ?? []).map(Self.json)),
            "objects": .array((discovery?.objects ?? []).map(Self.json)),
            "claims": .array((report?.claims ?? []).map(Self.json)),
            "stopped": .array((report?.stopped ?? []).map(JSON.string)),
            "failures": .array((report?.failures ?? []).map(JSON.string)),
        ]
    }

    static func json(_ options: Options) -> JSON {
        let handover = options.handover
        return [
            "sourceStorageClass": handover == nil && options.tree == nil ? .string(options.wayThere.source) : .null,
            "destinationStorageClass": handover == nil && options.tree == nil
                ? .string(options.wayThere.destination) : handover?.storageClass.map(JSON.string) ?? .null,
            "namespace": options.selection.namespacesAsJSON, "selection": options.selection.othersAsJSON,
            "toNamespace": handover.map { .string($0.namespace) } ?? .null,
            "directory": options.tree.map { .string($0.directory) } ?? .null,
            "ending": handover.map { .string($0.ending.rawValue) } ?? .null,
        ]
    }

    static func json(_ obstacle: Obstacle) -> JSON {
        [
            "namespace": .string(obstacle.namespace), "resource": .string(obstacle.resource),
            "message": .string(obstacle.message),
        ]
    }

    static func json(_ unit: Unit) -> JSON {
        let claims: [JSON] = unit.claims.map { state in
            [
                "namespace": state.name.namespace.map(JSON.string) ?? .null, "name": .string(state.name.name),
                "size": state.size.map { .string($0.text) } ?? .null,
                "volume": state.source.map { .string($0.metadata.name) } ?? .null,
                "method": .string(state.method.rawValue), "state": .string(state.stage.rawValue),
            ]
        }
        let workloads: [JSON] = unit.workloads.map { workload in
            [
                "kind": .string(workload.kind),
                "namespace": workload.name.namespace.map(JSON.string) ?? .null, "name": .string(workload.name.name),
                "replicas": .integer(Int64(workload.replicas)),
            ]
        }
        return ["claims": .array(claims), "workloads": .array(workloads)]
    }

    private static func json(_ object: PlannedObject) -> JSON {
        [
            "kind": .string(object.resource.kind),
            "namespace": object.destination.namespace.map(JSON.string) ?? .null,
            "name": .string(object.destination.name),
            "action": .string(object.action.rawValue), "details": object.details.map(JSON.string) ?? .null,
        ]
    }

    private static func json(_ claim: Report.Claim) -> JSON {
        let (oldStorage, keptVolume): (String?, String?) =
            switch claim.oldStorage {
            case .freed: ("freed", nil)
            case .kept(let volume): ("kept", volume)
            case .retained: ("retained", nil)
            case nil: (nil, nil)
            }
        return [
            "namespace": claim.name.namespace.map(JSON.string) ?? .null, "name": .string(claim.name.name),
            "size": .string(claim.size), "files": claim.files.map { .integer(Int64($0)) } ?? .null,
            "bytes": claim.bytes.map(JSON.integer) ?? .null,
            "bytesNotMoved": claim.bytesNotMoved.map(JSON.integer) ?? .null, "copySeconds": seconds(claim.copyTime),
            "stopSeconds": seconds(claim.stop), "outageSeconds": seconds(claim.outage),
            "oldStorage": oldStorage.map(JSON.string) ?? .null, "keptVolume": keptVolume.map(JSON.string) ?? .null,
            "predictedOutageSeconds": seconds(claim.predictedOutage),
            "result": .string(claim.result.rawValue), "reason": claim.reason.map(JSON.string) ?? .null,
            "destination": claim.destination.map { name -> JSON in
                ["namespace": name.namespace.map(JSON.string) ?? .null, "name": .string(name.name)]
            } ?? .null,
        ]
    }

    /// In milliseconds at the finest.
    static func seconds(_ duration: Duration?) -> JSON {
        guard let duration else { return .null }
        let milliseconds =
            duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
        return .number(Double(milliseconds) / 1000)
    }
}

extension Selection {
    /// The namespaces, as `--namespace` takes them; null for all.
    var namespacesAsJSON: JSON { namespaces.isEmpty ? .null : .string(namespaces.sorted().joined(separator: ",")) }
    /// The other flags; null where there are none.
    var othersAsJSON: JSON { flags.others.isEmpty ? .null : .string(flags.others.joined(separator: " ")) }
}
