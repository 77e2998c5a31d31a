import Kubernetes

// Some controllers copy their object's annotations to other objects, and leave them there when the object loses them: a
// Deployment's to its ReplicaSet (transcript deployment_annotations), a DaemonSet's to the ControllerRevision of a
// changed template (Kubernetes, pkg/controller/daemon/update.go, `snapshot`).

extension APIResource {
    fileprivate static let controllerRevisions = APIResource(
        group: "apps",
        kind: "ControllerRevision",
        plural: "controllerrevisions"
    )
}

extension Workload {
    /// True where the controller copied the mark from the owner, so that it says nothing of the object itself.
    var hasCopiedMark: Bool { resource == .replicaSets && metadata.controller?.kind == APIResource.deployments.kind }

    /// The kind of the objects to which the controller copies annotations.
    fileprivate var copiesMarksTo: APIResource? {
        switch resource {
        case .deployments: .replicaSets
        case .daemonSets: .controllerRevisions
        default: nil
        }
    }
}

/// Removes the marks that controllers copied.
struct CopiedMarks: Sendable {
    private let source: Client
    private let journal: Journal
    private var time: TimeSource { source.time }

    init(_ context: Context) { (source, journal) = (context.source, context.journal) }

    /// The time that a controller may take to observe a change of its object.
    private static let observation: Duration = .seconds(120)

    /// Removes the marks that a workload's controller copied to other objects; a failure is a warning.
    ///
    /// It first waits until the controller has observed the workload without marks. Before, the controller would copy
    /// them again.
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
