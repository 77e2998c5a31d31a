import Kubernetes

// Some of the cluster's controllers copy their object's annotations to others, and leave them there when the object has
// lost them: a Deployment's to its ReplicaSet (transcript deployment_annotations), a DaemonSet's to the ControllerRevision
// that is made when its template changes (Kubernetes, pkg/controller/daemon/update.go, `snapshot`).

extension APIResource {
    fileprivate static let controllerRevisions = APIResource(
        group: "apps",
        kind: "ControllerRevision",
        plural: "controllerrevisions"
    )
}

extension Workload {
    /// True of a mark that its controller has copied from the owner, and that says nothing of the object itself.
    var hasCopiedMark: Bool { resource == .replicaSets && metadata.controller?.kind == APIResource.deployments.kind }

    /// The kind of objects to which its controller copies its annotations.
    fileprivate var copiesMarksTo: APIResource? {
        switch resource {
        case .deployments: .replicaSets
        case .daemonSets: .controllerRevisions
        default: nil
        }
    }
}

/// Removes the marks that controllers have copied.
struct CopiedMarks: Sendable {
    private let source: Client
    private let journal: Journal
    private var time: TimeSource { source.time }

    init(_ context: Context) { (source, journal) = (context.source, context.journal) }

    /// How long a controller may take to see that its object was changed.
    private static let observation: Duration = .seconds(120)

    /// Removes the marks that a workload's controller has copied to other objects; what can't be removed is a warning.
    ///
    /// It is done once the controller has seen the workload without them: before, it would copy them again.
    func remove(of workload: Workload) async {
        guard let resource = workload.copiesMarksTo else { return }
        let end = time.now() + Self.observation
        var backoff = Backoff()
        while true {
            do {
                return try await remove(of: workload, from: resource, until: end)
            } catch let error as APIError where error.reason == .forbidden && resource == .controllerRevisions {
                return journal.info(
                    workload.title,
                    "its ControllerRevision keeps the mark \(Marks.scale), which means nothing there"
                )
            } catch {
                let next = time.now() + backoff.next()
                guard error is APIError, next < end, await journal.orWarn("", { try await time.sleep(next) }) != nil
                else {
                    return journal.warn(
                        workload.title,
                        "a \(resource.kind) of it keeps the mark \(Marks.scale): \(error)"
                    )
                }
            }
        }
    }

    private func remove(of workload: Workload, from resource: APIResource, until end: Duration) async throws {
        try await source.wait(
            for: WorkloadObject.self,
            of: workload.resource,
            in: workload.name.namespace,
            named: workload.name.name,
            limit: max(.seconds(1), end - time.now()),
            what: "\(workload.title) to be seen by its controller"
        ) { $0.object(named: workload.name.name)?.isObserved ?? true ? () : nil }
        let objects = try await source.list(MetadataObject.self, of: resource, in: workload.name.namespace)
        for object in objects where object.metadata.controller?.uid == workload.metadata.uid {
            guard object.metadata.annotation(Marks.scale) != nil else { continue }
            try await source.patch(
                resource,
                object.name,
                .merge([
                    "metadata": [
                        "uid": .string(object.metadata.uid), "annotations": .object([Marks.scale: .null]),
                    ]
                ])
            )
        }
    }
}
