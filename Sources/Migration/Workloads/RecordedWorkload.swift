import Kubernetes

extension Workloads {
    /// Reads a workload that has a record or gets one.
    func currentOfRecorded(_ workload: Workload) async throws -> Workload? {
        var volume: PersistentVolume?
        if let bearer = workload.bearer { volume = try await client.find(PersistentVolume.self, bearer.name) }
        if volume?.metadata.uid != workload.bearer?.metadata.uid { volume = nil }
        let record = volume.flatMap { StoppedRecord(of: workload.metadata.uid, on: $0) }
        // Somebody may have removed the record from the volume; this process still has it.
        let isRecorded = record != nil || workload.record != nil
        guard var now = try await current(workload, isRecorded: isRecorded) else { return nil }
        (now.bearer, now.record) = (volume, record)
        return now
    }

    /// Reads a workload that has a record or gets one, without the record.
    func current(_ workload: Workload, isRecorded: Bool) async throws -> Workload? {
        guard case .removal = workload.brake else { return try await currentCustomResource(workload) }
        return try await currentOfRemoved(workload, isRecorded: isRecorded)
    }

    /// Records a workload and then stops it.
    func stopRecorded(_ workload: Workload) async throws -> Workload {
        var workload = workload
        // Somebody may have changed the scale since it was recorded.
        if workload.record?.scale != workload.replicas {
            let record = StoppedRecord(of: workload)
            workload = try await mark(workload, .string(try record.text()))
            workload.record = record
        }
        switch workload.brake {
        case .scale: try await setScale(of: workload, to: 0)
        case .pause(let patch, _):
            try await client.patch(workload.resource, workload.name, .merge(onto: workload.metadata, patch))
        case .removal:
            // A StatefulSet is deleted without its pods and claims, and adopts them again later.
            let isSet = workload.resource == .statefulSets
            if isSet { try await freeClaims(of: workload) }
            try await client.delete(workload.resource, workload.name, uid: workload.metadata.uid, orphaning: isSet)
        case .replicas, .nodeSelector, .suspension: break
        }
        workload.replicas = 0
        return workload
    }

    /// Starts a workload as its record says, and removes the record.
    func startRecorded(_ workload: Workload, _ record: StoppedRecord) async throws -> Workload {
        var workload = workload
        // Where somebody started it meanwhile, the scale is theirs.
        if workload.replicas == 0 {
            switch workload.brake {
            case .scale: try await setScale(of: workload, to: record.scale)
            case .pause(_, let inverse):
                try await client.patch(workload.resource, workload.name, .merge(onto: workload.metadata, inverse))
            case .removal(let manifest): try await createAgain(workload, manifest)
            case .replicas, .nodeSelector, .suspension: break
            }
            workload.replicas = record.scale
        } else if workload.resource == .statefulSets, case .removal(let manifest) = workload.brake {
            try await keepClaims(of: workload, manifest)
        }
        return try await forget(workload)
    }

    /// Removes the record of a workload.
    func forget(_ workload: Workload) async throws -> Workload {
        var workload = workload
        if workload.bearer != nil {
            do {
                workload = try await mark(workload, .null)
            } catch let error as APIError where error.reason == .notFound {
                workload.bearer = nil
            }
        }
        workload.record = nil
        return workload
    }

    /// Writes the record of a workload to its volume, or removes it.
    private func mark(_ workload: Workload, _ value: JSON) async throws -> Workload {
        guard let bearer = workload.bearer else { throw Refusal(Workload.noBearer) }
        var workload = workload
        // Nobody else writes this annotation, so the patch is right for every version.
        workload.bearer = try await client.patch(
            PersistentVolume.self,
            bearer.name,
            .merge([
                "metadata": [
                    "uid": .string(bearer.metadata.uid),
                    "annotations": .object([Marks.stopped + workload.metadata.uid: value]),
                ]
            ])
        )
        return workload
    }

    /// Reads a workload that is deleted and created again. Where it has a record, it may be gone.
    private func currentOfRemoved(_ workload: Workload, isRecorded: Bool) async throws -> Workload? {
        var now = workload
        let found = try await client.find(MetadataObject.self, of: workload.resource, workload.name)
        if let found, found.metadata.uid == workload.metadata.uid {
            now.metadata = found.metadata
            now.replicas = found.metadata.isTerminating ? 0 : max(1, workload.record?.scale ?? 1)
        } else {
            // An earlier run or somebody else created another one of this name.
            guard isRecorded else { return nil }
            now.replicas = 0
        }
        return now
    }

    /// Creates a deleted workload again, once it is gone.
    private func createAgain(_ workload: Workload, _ manifest: JSON) async throws {
        try await client.wait(
            for: MetadataObject.self,
            of: workload.resource,
            in: workload.name.namespace,
            named: workload.name.name,
            limit: limits.stopping,
            what: "\(workload.title) to be gone"
        ) { $0.objects[workload.metadata.uid] == nil ? () : nil }
        do {
            try await client.create(workload.resource, in: workload.name.namespace, manifest)
        } catch let error as APIError where error.reason == .alreadyExists {
            // An earlier run that was cut off, or somebody else, created it.
        }
    }

    /// Makes a StatefulSet that would delete its claims with itself (`whenDeleted: Delete`) release them.
    ///
    /// The garbage collector may not have seen yet that a claim was created anew. It would then not orphan the claim,
    /// and would take it for one whose owner is gone.
    func freeClaims(of set: Workload) async throws {
        let policy = ["spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"]
        let now = try await client.get(set.resource, set.name)
        if now[path: policy]?.string == "Delete" {
            var change: JSON = [:]
            change[path: policy] = "Retain"
            try await client.patch(set.resource, set.name, .merge(onto: set.metadata, change))
        }
        try await client.wait(
            for: PersistentVolumeClaim.self,
            in: set.name.namespace,
            limit: limits.rebinding,
            what: "the claims of \(set.title) to be let go"
        ) { snapshot in
            let held = snapshot.objects.values.contains { claim in
                claim.metadata.ownerReferences?.contains { $0.uid == set.metadata.uid } == true
            }
            return held ? nil : ()
        }
    }

    /// Restores the policy of a StatefulSet that was to be recreated, from its manifest.
    func keepClaims(of set: Workload, _ manifest: JSON) async throws {
        let field = "persistentVolumeClaimRetentionPolicy"
        guard let policy = manifest[path: ["spec", field]] else { return }
        try await client.patch(set.resource, set.name, .merge(onto: set.metadata, ["spec": [field: policy]]))
    }
}

extension Workload {
    static let noBearer =
        "it is not stopped: what is kept of it meanwhile has to be written on the volume of one of its "
        + "claims, and there is none"

    /// Returns the reason why a volume cannot bear the workload's record, besides the bytes of others; nil where it
    /// can.
    func hindrance(to bearer: PersistentVolume?, besides others: Int = 0) throws -> String? {
        guard let bearer else { return Self.noBearer }
        let bytes = try StoppedRecord(of: self).text().utf8.count
        let all = (bearer.metadata.annotations ?? [:]).reduce(bytes + others) {
            $0 + $1.key.utf8.count + $1.value.utf8.count
        }
        guard all > Seal.limit else { return nil }
        return "it is not stopped: what is kept of it meanwhile has \(bytes) bytes, with which the annotations of the "
            + "volume \(bearer.metadata.name) would have \(all), more than the \(Seal.limit) that are for that; make its "
            + "manifest shorter, or delete it yourself and create it again afterwards"
    }
}

extension Unit {
    /// Chooses the volumes that bear the records of stopped workloads: for each workload the source volume of its first
    /// claim. Where none fits, nothing of the unit is stopped.
    mutating func nameBearers() throws {
        // No workload is stopped any more.
        guard claims.contains(where: \.needsQuiet) else { return }
        var bytes: [String: Int] = [:]
        for index in workloads.indices where workloads[index].needsRecord && workloads[index].bearer == nil {
            let workload = workloads[index]
            let bearer = claims.lazy.filter { workload.mountedClaims.contains($0.name) }.compactMap(\.source)
                .first { !$0.metadata.isTerminating }
            workloads[index].bearer = bearer
            let uid = bearer?.metadata.uid ?? ""
            if let why = try workload.hindrance(to: bearer, besides: bytes[uid] ?? 0) {
                obstacles.append(
                    Obstacle(namespace: workload.name.namespace, resource: workload.title, message: why)
                )
            }
            bytes[uid, default: 0] += try StoppedRecord(of: workload).text().utf8.count
        }
    }
}
