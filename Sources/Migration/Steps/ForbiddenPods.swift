import Kubernetes

/// Makes the pods of started workloads anew whose nodes were forbidden to read their claims.
///
/// The node authorizer hears of a pod at about the time at which the pod's kubelet does. A kubelet that asks for the
/// claim first is refused, and asks again only 12 to 15 s later (transcript `node_forbids_the_claim`). The kubelet of a
/// pod that is made anew asks at once, and the authorizer knows the node by then.
///
/// A tenant may be able to write the Event that tells of it. So it only says where to look: what is deleted is a pod
/// that has run nothing, of a workload that makes it anew.
struct ForbiddenPods: Sendable {
    private let client: Client
    private let journal: Journal

    init(_ context: Context) { (client, journal) = (context.source, context.journal) }

    /// Watches the pods of a unit, until it is cancelled or the limit is reached. It does nothing where Events may not be
    /// watched.
    func makeAnew(of unit: Unit, limit: Duration) async {
        let workloads = unit.workloads.filter { Self.makers.contains($0.resource) && $0.replicas > 0 }
        guard !workloads.isEmpty else { return }
        let names = Set(unit.claims.map(\.name.name))
        // A node may forbid the next pod, too.
        var left = 2 * workloads.reduce(0) { $0 + $1.replicas }
        var seen: Set<String> = []
        do {
            try await client.wait(
                for: Event.self,
                in: unit.namespace,
                field: "involvedObject.kind=Pod,reason=FailedMount",
                where: \.tellsOfForbiddenClaim,
                limit: limit,
                what: "pods whose nodes may not read their claims"
            ) { snapshot -> Void? in
                for event in snapshot.objects.values {
                    guard left > 0, let uid = event.involvedObject.uid, seen.insert(uid).inserted else { continue }
                    let name = ObjectName(event.involvedObject.name ?? "", in: unit.namespace)
                    let isAnew = try await makeAnew(name) { pod in
                        pod.metadata.uid == uid && pod.mounts(names) && workloads.contains { $0.isMaker(of: pod) }
                    }
                    if isAnew { left -= 1 }
                }
                return nil
            }
        } catch is WaitTimeout {
            // All had their time.
        } catch let error as APIError where error.reason == .forbidden {
            // Preflight tells of the missing permission.
        } catch {
            guard !Task.isCancelled else { return }
            journal.info(unit.title, "its pods are late where their nodes may not read their claims at once: \(error)")
        }
    }

    /// Deletes a pod that has run nothing.
    ///
    /// - Returns: False where it is none that is to be deleted.
    private func makeAnew(_ name: ObjectName, where isConcerned: (Pod) -> Bool) async throws -> Bool {
        while let pod = try await client.find(Pod.self, name), pod.hasRunNothing, isConcerned(pod) {
            do {
                // A pod that has changed since may run by now.
                let version = pod.metadata.resourceVersion
                try await client.delete(.pods, name, uid: pod.metadata.uid, resourceVersion: version)
                journal.info(
                    pod.title,
                    "its node \(pod.nodeName ?? "?") may not read its claim for a moment, and looks again only after 12 s; "
                        + "deleted, so that its workload makes it anew"
                )
                return true
            } catch let error as APIError where error.reason == .conflict {
                // It has changed.
            }
        }
        return false
    }

    /// The kinds that make a deleted pod anew, and count no failure.
    private static let makers: Set<APIResource> = [
        .deployments, .replicaSets, .replicationControllers, .statefulSets, .daemonSets,
    ]
}

extension Event {
    /// True where a kubelet could not mount a claim that its node may not read.
    fileprivate var tellsOfForbiddenClaim: Bool {
        message?.contains("no relationship found between node") == true
    }
}

extension Pod {
    /// True where no container of a pod on a node has run.
    fileprivate var hasRunNothing: Bool {
        let statuses = (status?.initContainerStatuses ?? []) + (status?.containerStatuses ?? [])
        return phase == .pending && !metadata.isTerminating && (nodeName ?? "") != ""
            && statuses.allSatisfy {
                $0.state?.running == nil && $0.state?.terminated == nil && ($0.restartCount ?? 0) == 0
            }
    }
}
