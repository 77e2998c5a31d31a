import Kubernetes
import Testing

extension Scene {
    /// Expects a run to have ended with an exit code; shows what it said where it did not.
    func expect(_ run: Program, exit code: Int32, _ location: SourceLocation = #_sourceLocation) {
        #expect(
            run.exitCode == code,
            "pvmigrate ended with \(run.exitCode).\n\(run.output)\n\(run.errors)",
            sourceLocation: location
        )
    }

    /// Expects claims to be bound to volumes of the destination class.
    func expectMigrated(
        _ claims: String...,
        in namespace: String? = nil,
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        for name in claims { try await expectBound(name, in: namespace, to: destinationClass, location) }
    }

    /// Expects a claim to be bound to a volume of a class.
    func expectBound(
        _ name: String,
        in namespace: String? = nil,
        to className: String,
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let claim = try await claim(name, in: namespace)
        #expect(claim.storageClassName == className, sourceLocation: location)
        #expect(claim.phase == .bound, sourceLocation: location)
        let volume = try await volume(of: name, in: namespace)
        #expect(volume.spec.storageClassName == className, sourceLocation: location)
        #expect(volume.spec.claimRef?.uid == claim.metadata.uid, sourceLocation: location)
    }

    /// Expects a workload's pods to be ready again at the old scale, and to have found what they had before.
    func expectRestarted(
        _ workload: TestWorkload,
        on before: [String: Contents],
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let ready = try await pods(of: workload).filter(\.isReady)
        #expect(
            ready.count == workload.replicas,
            "the command returned before the workload was ready",
            sourceLocation: location
        )
        try await waitUntilReady(workload)
        let after = try await contents(of: workload)
        for (claim, found) in before {
            #expect(!found.lines.isEmpty, sourceLocation: location)
            expectEqual(after[claim]?.lines ?? [], found.lines, in: claim, location)
            #expect(
                after[claim]?.starts == found.starts + 1,
                "it was to go on with its own data",
                sourceLocation: location
            )
        }
        #expect(Set(after.keys) == Set(before.keys), sourceLocation: location)
    }

    /// Expects two lists of files to be the same, and shows only what differs.
    func expectEqual(
        _ after: [String],
        _ before: [String],
        in claim: String,
        _ location: SourceLocation = #_sourceLocation
    ) {
        let (lost, new) = (Set(before).subtracting(after), Set(after).subtracting(before))
        #expect(
            after == before,
            """
            the data of \(claim) differs. Lost:
            \(lost.sorted().joined(separator: "\n"))
            New:
            \(new.sorted().joined(separator: "\n"))
            """,
            sourceLocation: location
        )
    }

    /// The kinds of workloads that bear marks.
    private static let ownKinds: [APIResource] = [
        .statefulSets, .deployments, .daemonSets, .replicaSets, .replicationControllers, .cronJobs, .jobs,
    ]

    /// Expects nothing of a migration to be left in the test's namespaces and on its volumes: no staging claim, no
    /// mover, no mark, no lock, and no volume without a claim.
    func expectNothingLeft(_ location: SourceLocation = #_sourceLocation) async throws {
        var marked: [String] = []
        func look<Object: KubernetesObject>(at objects: [Object]) {
            for object in objects {
                let keys = (object.metadata.annotations ?? [:]).keys.filter { $0.hasPrefix("kurl.sh/pvcmigrate") }
                if !keys.isEmpty { marked.append("\(object.title): \(keys.sorted().joined(separator: ", "))") }
            }
        }
        var known: Set<String> = []
        for namespace in try await namespaces().map(\.metadata.name) {
            let claims = try await client.list(PersistentVolumeClaim.self, in: namespace)
            look(at: claims)
            look(at: try await client.list(Pod.self, in: namespace))
            for kind in Self.ownKinds { look(at: try await client.list(WorkloadObject.self, of: kind, in: namespace)) }
            known.formUnion(claims.map(\.metadata.uid))
            let staging = claims.map(\.metadata.name).filter { $0.hasSuffix("-pvcmigrate") }
            #expect(staging.isEmpty, "staging claims are left", sourceLocation: location)
        }
        let volumes = try await volumes()
        look(at: volumes)
        #expect(marked.isEmpty, "marks are left", sourceLocation: location)
        let orphans = volumes.filter { !known.contains($0.spec.claimRef?.uid ?? "") }.map(\.metadata.name)
        #expect(orphans.isEmpty, "volumes are left", sourceLocation: location)
        for storageClass in [sourceClass, destinationClass] {
            let lock = try await lock(of: storageClass)
            #expect(lock == nil, "the lock of \(storageClass) is left", sourceLocation: location)
        }
    }

    /// All that a run which changes nothing must leave as it is, each object in one line.
    func traces() async throws -> [String] {
        var traces: [String] = []
        for namespace in try await namespaces().map(\.metadata.name) {
            for claim in try await client.list(PersistentVolumeClaim.self, in: namespace) {
                traces.append("\(claim.title) \(claim.metadata.uid) at \(claim.metadata.resourceVersion)")
            }
            // Not their resourceVersions: probes may change a status at any time.
            for pod in try await client.list(Pod.self, in: namespace) {
                traces.append("\(pod.title) \(pod.metadata.uid)")
            }
            for kind in Self.ownKinds {
                for workload in try await client.list(WorkloadObject.self, of: kind, in: namespace) {
                    let metadata = workload.metadata
                    traces.append("\(kind.kind) \(workload.name) \(metadata.uid) \(metadata.generation ?? 0)")
                }
            }
        }
        for volume in try await volumes() {
            traces.append("\(volume.title) \(volume.metadata.uid) at \(volume.metadata.resourceVersion)")
        }
        return traces.sorted()
    }
}
