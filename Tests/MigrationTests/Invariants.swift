import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization

@testable import Migration

/// Watches a migration from inside the cluster: what must hold after every single request.
final class Invariants: Sendable {
    private struct State {
        /// What each volume with a claim's files holds, by the volume's name.
        var copies: [String: Copy] = [:]
        /// The most lines that any volume of a claim has ever held: none of them may be lost.
        var lines: [ObjectName: Int] = [:]
        /// The source claims that are deleted, or going.
        var deleted: Set<ObjectName> = []
        /// The claims of which a ready pod was seen on the volume that took the source volume's place, and those whose
        /// source volume was freed already when the watching began.
        var ready: Set<ObjectName>
        /// The volumes that bear a seal; nil before the first look.
        var sealed: Set<String>?
        /// The versions of objects and contents that were looked at last.
        var resourceVersion = 0
        var contentVersion = 0
        var requests: [String] = []
        var violations: [String] = []
        /// How many requests it took to the first violation.
        var requestsToViolation: Int?

        /// Reads the volumes whose content has changed.
        mutating func read(_ world: World) {
            let before = copies
            copies = [:]
            for volume in world.cluster.list(.persistentVolumes) {
                guard let name = volume[path: ["metadata", "name"]]?.string,
                    let content = world.cluster.content(ofVolumeNamed: name)
                else { continue }
                // Equal contents are mostly one and the same, which is seen at once.
                if let copy = before[name], copy.content == content {
                    copies[name] = copy
                    continue
                }
                var copy = Copy(content: content)
                for claim in world.claims {
                    guard let lines = World.lines(in: content, of: claim) else { continue }
                    (copy.claim, copy.lines) = (claim, lines)
                    break
                }
                copies[name] = copy
            }
        }
    }

    /// The content of a volume, and whose it is, if anybody's.
    private struct Copy {
        var content: Content
        var claim: ObjectName?
        var lines = 0
    }

    private let world: World
    private let paths: Set<String>
    private let shared: Set<String>
    private let state: Mutex<State>

    init(of world: World) {
        self.world = world
        paths = Set(world.bystanders.keys.map(\.path))
        shared = world.sharedAndFreed
        state = Mutex(
            State(
                deleted: Set(world.sources.keys.filter(world.isDeleted)),
                ready: Set(world.sources.keys.filter(world.isFreed))
            )
        )
    }

    var violations: [String] { state.withLock { $0.violations } }

    /// The requests up to the first violation; all where nothing was violated.
    var requests: [String] {
        state.withLock { Array($0.requests.prefix($0.requestsToViolation ?? $0.requests.count)) }
    }

    var observer: Observer {
        { [self] request, _, cluster in
            let what = "\(request.method.rawValue) \(request.target)"
            state.withLock { $0.requests.append(what) }
            check(cluster, after: what, problems: problems(of: request))
        }
    }

    /// Checks the cluster as it is.
    func check(_ cluster: Cluster, after what: String, problems: [String] = []) {
        state.withLock { state in
            var found = problems
            // Where nobody wrote anything, everything is as it was.
            if state.resourceVersion != cluster.resourceVersion || state.contentVersion != cluster.contentVersion {
                (state.resourceVersion, state.contentVersion) = (cluster.resourceVersion, cluster.contentVersion)
                let world = world.with(cluster)
                state.read(world)
                found += dataIsSafe(world, &state) + sourcesAreKept(world) + scalesAreKept(world)
                found += copiesAreWhole(world, &state) + bystandersAreLeft(world) + workloadsAreReady(world, &state)
                found += sharedStorageIsKept(world) + handoverIsRight(world) + sealedCopiesAreWhole(world, &state)
            }
            if !found.isEmpty, state.requestsToViolation == nil { state.requestsToViolation = state.requests.count }
            state.violations += found.map { "after \(what): \($0)" }
        }
    }

    /// 1: a complete copy of each claim's data is on a volume that nothing will reclaim, nor anybody else takes.
    private func dataIsSafe(_ world: World, _ state: inout State) -> [String] {
        var violations: [String] = []
        var kept: [ObjectName: Int] = [:]
        for (name, copy) in state.copies {
            guard let claim = copy.claim, let volume = world.object(.persistentVolumes, ObjectName(name, in: nil))
            else { continue }
            state.lines[claim] = max(state.lines[claim] ?? 0, copy.lines)
            if isKept(volume, world) { kept[claim] = max(kept[claim] ?? 0, copy.lines) }
            if let holder = volume[path: ["spec", "claimRef", "name"]]?.string,
                // Each process that dies at the wrong moment leaks a staging claim.
                !([claim.name] + (1...4).map { Marks.stagingName(of: claim.name, number: $0) }).contains(holder),
                !holder.hasPrefix("\(claim.name)-pvcmigrate-copy-")
            {
                violations.append("1: \(holder) has taken the volume \(name) of \(claim)")
            }
        }
        for claim in world.claims where kept[claim] == nil || kept[claim] != state.lines[claim] {
            violations.append("1: no volume that is kept holds the \(state.lines[claim] ?? 0) lines of \(claim)")
        }
        return violations
    }

    /// Retained, or bound to a claim that nobody deletes.
    private func isKept(_ volume: JSON, _ world: World) -> Bool {
        guard volume[path: ["metadata", "deletionTimestamp"]] == nil else { return false }
        if volume[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain" { return true }
        guard let reference = volume[path: ["spec", "claimRef"]], let name = reference["name"]?.string,
            let claim = world.object(.persistentVolumeClaims, ObjectName(name, in: reference["namespace"]?.string))
        else { return false }
        return claim[path: ["metadata", "uid"]] == reference["uid"]
            && claim[path: ["metadata", "deletionTimestamp"]] == nil
    }

    /// 2: a source volume is released only after the claim of the old name is bound to the destination volume.
    private func sourcesAreKept(_ world: World) -> [String] {
        world.sources.compactMap { name, source in
            let volume = world.object(.persistentVolumes, ObjectName(source.volume, in: nil))
            if let volume, volume[path: ["metadata", "deletionTimestamp"]] == nil,
                volume[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain" || !world.isDeleted(name)
            {
                return nil
            }
            guard let claim = world.object(.persistentVolumeClaims, world.later(name)),
                claim[path: ["status", "phase"]] == "Bound",
                let destination = claim[path: ["spec", "volumeName"]]?.string,
                (destination == source.volume) == (world.handover?.ending == .move),
                world.object(.persistentVolumes, ObjectName(destination, in: nil))?[path: ["spec", "claimRef", "uid"]]
                    == claim[path: ["metadata", "uid"]]
            else { return "2: the source volume of \(name) is released before its new claim is bound" }
            return nil
        }
    }

    /// 3: a workload at zero because of us carries its original scale.
    private func scalesAreKept(_ world: World) -> [String] {
        world.scales.compactMap { key, scale in
            guard let workload = world.cluster.get(key), workload[path: ["spec", "replicas"]]?.integer == 0, scale > 0,
                workload[path: ["metadata", "annotations", Marks.scale]]?.string != String(scale)
            else { return nil }
            if world.mayStayStopped { return nil }
            // An operator brings it to zero where its custom resource is.
            if workload[path: ["metadata", "ownerReferences"]] != nil { return nil }
            return "3: \(key.resource.kind) \(key.name) is at zero without its scale"
        } + world.stoppedWithoutRecord()
    }

    /// 4: nobody writes to a source volume during the final pass, or the pass is repeated. So when the source claim
    /// goes, another volume holds the very same files.
    private func copiesAreWhole(_ world: World, _ state: inout State) -> [String] {
        world.sources.compactMap { name, source in
            guard !state.deleted.contains(name), world.isDeleted(name), world.handover?.ending != .move else {
                return nil
            }
            state.deleted.insert(name)
            let original = state.copies[source.volume]?.content
            let isCopied = state.copies.contains { volume, copy in
                volume != source.volume && copy.claim == name && copy.content == original
            }
            return isCopied ? nil : "4: the source claim \(name) is deleted, and no other volume holds what its does"
        }
    }

    /// 8: no storage is freed before a workload that used it was seen ready on what took its place.
    private func workloadsAreReady(_ world: World, _ state: inout State) -> [String] {
        let users = world.cluster.list(.pods).filter(\.isReady)
        return world.sources.keys.filter(world.used.contains).compactMap { name in
            if state.ready.contains(name) { return nil }
            let isNew = world.isDeleted(name) && world.object(.persistentVolumeClaims, name) != nil
            if isNew, users.contains(where: { $0.mounts(name) }) {
                state.ready.insert(name)
                return nil
            }
            guard world.isFreed(name) else { return nil }
            return "8: the source volume of \(name) is freed, and nobody was seen ready on what took its place"
        }
    }

    /// 9: never are two volumes the same storage of which either would be freed; unless they were so before.
    private func sharedStorageIsKept(_ world: World) -> [String] {
        world.sharedAndFreed.subtracting(shared).sorted().map {
            "9: the volume \($0) has the policy Delete, and is not alone"
        }
    }

    /// 10: a copy leaves the source claim as it is; and never are two claims bound to one storage.
    private func handoverIsRight(_ world: World) -> [String] {
        guard let handover = world.handover else { return [] }
        var violations: [String] = []
        for (name, source) in world.sources where handover.ending == .copy {
            let claim = world.object(.persistentVolumeClaims, name)
            if world.isDeleted(name) || claim?[path: ["spec", "volumeName"]]?.string != source.volume {
                violations.append("10: the source claim \(name) is not as it was")
            }
        }
        var holders: [JSON: String] = [:]
        for claim in world.cluster.list(.persistentVolumeClaims) where claim[path: ["status", "phase"]] == "Bound" {
            let volume = claim[path: ["spec", "volumeName"]]?.string ?? ""
            guard let storage = world.storage(of: volume) else { continue }
            if let other = holders.updateValue("\(claim.name)", forKey: storage) {
                violations.append("10: \(claim.name) and \(other) are bound to one storage")
            }
        }
        return violations
    }

    /// 11: what is sealed as a copy for another claim holds the very same files as its source, which no pod uses.
    private func sealedCopiesAreWhole(_ world: World, _ state: inout State) -> [String] {
        guard world.handover?.ending == .copy else { return [] }
        let sealed = world.cluster.list(.persistentVolumes).filter {
            $0[path: ["metadata", "annotations", Marks.manifest]] != nil
        }
        let before = state.sealed ?? Set(sealed.map(\.name.name))
        state.sealed = Set(sealed.map(\.name.name))
        var violations: [String] = []
        for volume in sealed where !before.contains(volume.name.name) {
            let marks = volume[path: ["metadata", "annotations"]]
            guard let claim = marks?[Marks.sourceClaim]?.string else { continue }
            let name = ObjectName(claim, in: marks?[Marks.sourceNamespace]?.string)
            let original = world.sources[name].flatMap { state.copies[$0.volume]?.content }
            if original == nil || state.copies[volume.name.name]?.content != original {
                violations.append("11: \(volume.name.name) is sealed, and does not hold what \(name) does")
            }
            let users = world.cluster.list(.pods).filter { $0.mounts(name) }
            if let user = users.first {
                violations.append("11: \(volume.name.name) is sealed while \(user.name) uses \(name)")
            }
        }
        return violations
    }

    /// 5: what is not of this migration is never changed.
    private func bystandersAreLeft(_ world: World) -> [String] {
        world.bystanders.compactMap { key, before in
            let now = world.cluster.get(key)
            let isSame =
                now == before
                || now?["spec"] == before["spec"]
                    && ["uid", "annotations", "labels", "finalizers", "deletionTimestamp"].allSatisfy {
                        now?[path: ["metadata", $0]] == before[path: ["metadata", $0]]
                    }
            return isSame ? nil : "5: \(key.resource.kind) \(key.name), which is somebody else's, was changed"
        }
    }

    /// 5, too: no write names what is not of this migration, and each says which object it means, not only its name.
    private func problems(of request: Request) -> [String] {
        guard request.method != .get else { return [] }
        let write = Write(request.body)
        var path = String(request.target.prefix { $0 != "?" })
        if request.method == .post, let name = write.metadata?.name { path += "/" + name }
        var problems: [String] = []
        if paths.contains(path) { problems.append("5: it means to change what is somebody else's") }
        let isCareful =
            switch request.method {
            case .get, .post: true
            case .put: false
            case .delete: write.preconditions?.uid != nil
            case .patch: write.metadata?.uid != nil || write.metadata?.resourceVersion != nil || write.testsMetadata
            }
        if !isCareful { problems.append("5: it says neither the UID nor the version of what it changes") }
        return problems
    }
}

/// The parts of a request's body that say which object is meant.
private struct Write: Decodable {
    struct Identity: Decodable {
        var name, uid, resourceVersion: String?
    }
    struct Operation: Decodable {
        var op, path: String
    }

    var metadata: Identity?
    var preconditions: Identity?
    /// Whether it is a JSON patch that tests the UID or the version.
    var testsMetadata = false

    private enum CodingKeys: CodingKey { case metadata, preconditions }

    init(_ body: Data?) {
        let body = body ?? Data()
        do {
            if body.first == UInt8(ascii: "[") {
                testsMetadata = try JSONDecoder().decode([Operation].self, from: body).contains {
                    $0.op == "test" && ["/metadata/uid", "/metadata/resourceVersion"].contains($0.path)
                }
            } else {
                self = try JSONDecoder().decode(Write.self, from: body)
            }
        } catch {
            // It says nothing then.
        }
    }
}

extension JSON {
    /// Whether a pod works, or has done its work.
    fileprivate var isReady: Bool {
        if self[path: ["metadata", "deletionTimestamp"]] != nil { return false }
        if self[path: ["status", "phase"]] == "Succeeded" { return true }
        return (self[path: ["status", "conditions"]]?.array ?? []).contains {
            $0["type"] == "Ready" && $0["status"] == "True"
        }
    }

    fileprivate func mounts(_ claim: ObjectName) -> Bool {
        name.namespace == claim.namespace
            && (self[path: ["spec", "volumes"]]?.array ?? []).contains {
                $0[path: ["persistentVolumeClaim", "claimName"]]?.string == claim.name
            }
            && self[path: ["metadata", "annotations", Marks.kind]] == nil
    }

    fileprivate var name: ObjectName {
        ObjectName(self[path: ["metadata", "name"]]?.string ?? "", in: self[path: ["metadata", "namespace"]]?.string)
    }
}

extension ObjectKey {
    /// The object's path in the API.
    fileprivate var path: String {
        let group = resource.group.isEmpty ? "/api" : "/apis/" + resource.group
        let folder = namespace.map { "/namespaces/" + $0 } ?? ""
        return "\(group)/\(resource.version)\(folder)/\(resource.plural)/\(name)"
    }
}

extension World {
    /// The name that a claim has afterwards.
    fileprivate func later(_ claim: ObjectName) -> ObjectName { handover?.destination(of: claim) ?? claim }

    /// Whether workloads may stay at zero, since their claims have what they are to have elsewhere.
    fileprivate var mayStayStopped: Bool {
        guard let handover, handover.ending == .move || handover.leavesStopped else { return false }
        return claims.allSatisfy {
            object(.persistentVolumeClaims, later($0))?[path: ["status", "phase"]] == "Bound"
        }
    }

    /// The volumes with the policy Delete whose storage is that of another volume, too.
    fileprivate var sharedAndFreed: Set<String> {
        var volumes: [JSON: [JSON]] = [:]
        for volume in cluster.list(.persistentVolumes) {
            if let storage = storage(of: volume.name.name) { volumes[storage, default: []].append(volume) }
        }
        let shared = volumes.values.filter { $0.count > 1 }.flatMap(\.self)
        return Set(
            shared.filter { $0[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Delete" }.map(\.name.name)
        )
    }

    /// Whether the claim that was there before the migration is gone, or going.
    fileprivate func isDeleted(_ name: ObjectName) -> Bool {
        let claim = object(.persistentVolumeClaims, name)
        return claim?[path: ["metadata", "uid"]]?.string != sources[name]?.uid
            || claim?[path: ["metadata", "deletionTimestamp"]] != nil
    }

    /// Whether the storage of the volume that the claim had is freed, or going to be.
    fileprivate func isFreed(_ name: ObjectName) -> Bool {
        guard let source = sources[name], isDeleted(name) else { return false }
        if handover != nil, volume(of: later(name)) == source.volume { return false }
        let others = cluster.list(.persistentVolumes).compactMap { $0[path: ["metadata", "name"]]?.string }
        if let storage = source.storage,
            others.contains(where: { $0 != source.volume && self.storage(of: $0) == storage })
        {
            return false
        }
        guard let volume = object(.persistentVolumes, ObjectName(source.volume, in: nil)) else { return true }
        return volume[path: ["metadata", "deletionTimestamp"]] != nil
            || volume[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Delete"
    }

    /// What is wrong with the cluster after a run that should have migrated everything.
    func shortcomings(keepsLines lines: Invariants) -> [String] {
        var found = lines.violations
        for claim in claims.sorted() { found += shortcomings(of: claim) }
        for (key, scale) in scales {
            let workload = cluster.get(key)
            let scale = mayStayStopped ? 0 : scale
            if workload?[path: ["spec", "replicas"]]?.integer != Int64(scale) {
                found.append("\(key.resource.kind) \(key.name) has not its scale of \(scale)")
            }
        }
        found += changedOwners() + leftovers()
        return found
    }

    private func shortcomings(of claim: ObjectName) -> [String] {
        let later = later(claim)
        guard let object = object(.persistentVolumeClaims, later) else { return ["\(later) is gone"] }
        var found: [String] = []
        func expect(_ path: [String], _ value: JSON?) {
            if object[path: path] != value {
                found.append("\(claim): \(path.joined(separator: ".")) is \(object[path: path] ?? .null)")
            }
        }
        expect(["spec", "storageClassName"], .string(handover.map { $0.storageClass(for: from) ?? from } ?? to))
        expect(["status", "phase"], "Bound")
        guard let name = volume(of: later), let volume = self.object(.persistentVolumes, ObjectName(name, in: nil))
        else {
            return found + ["\(claim) has no volume"]
        }
        if volume[path: ["spec", "persistentVolumeReclaimPolicy"]]?.string != policy {
            found.append("the volume of \(claim) has not the policy \(policy)")
        }
        guard let content = cluster.content(ofVolumeNamed: name), Self.lines(in: content, of: claim) != nil else {
            return found + ["the data of \(claim) is not complete"]
        }
        return found
    }

    static let leftLock = "the lock is still there"

    /// Everything of a migration's that should be gone, or should be there.
    private func leftovers() -> [String] {
        var found: [String] = []
        let defaults = cluster.list(.storageClasses).filter {
            $0[path: ["metadata", "annotations", StorageClass.defaultAnnotation]] == "true"
        }.compactMap { $0[path: ["metadata", "name"]]?.string }
        if defaults != [hasNewDefault ? Self.destination : Self.source] { found.append("\(defaults) is the default") }
        let all: [Resource] = [
            .persistentVolumes, .persistentVolumeClaims, .pods, .statefulSets, .deployments, .replicaSets, .daemonSets,
            .jobs, .cronJobs, .replicationControllers, .volumeSnapshots,
        ]
        let leaked = mayLeak ? leakedClaims() : []
        found += untold(leaked)
        for resource in all {
            for object in cluster.list(resource) {
                if resource == .persistentVolumeClaims, leaked.contains(object.name) { continue }
                let name = object[path: ["metadata", "name"]]?.string ?? ""
                let isSource = object[path: ["spec", "storageClassName"]]?.string == from
                if resource == .persistentVolumes, isSource, sourcesLater != .gone { continue }
                for key in object[path: ["metadata", "annotations"]]?.object?.keys.sorted() ?? []
                where key.hasPrefix(Marks.claim) && ![Marks.accessMode, Marks.origin].contains(key) {
                    found.append("\(resource.kind) \(name) still bears \(key)")
                }
            }
        }
        if !cluster.list(.volumeSnapshotContents).isEmpty { found.append("the storage of a snapshot is still there") }
        for volume in cluster.list(.persistentVolumes)
        where volume[path: ["spec", "storageClassName"]]?.string == from {
            let name = volume[path: ["metadata", "name"]]?.string ?? ""
            if bystanders[ObjectKey(.persistentVolumes, nil, name)] != nil || handover != nil { continue }
            let isKept = volume[path: ["metadata", "annotations", Marks.kept]] != nil
            let isReleased =
                volume[path: ["status", "phase"]] == "Released"
                && volume[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain"
            guard !isReleased || sourcesLater == .gone || isKept != (sourcesLater == .kept) else { continue }
            found.append("the source volume \(name) is still there")
        }
        if sourcesLater == .kept, sources.values.contains(where: { !exists($0.volume) }) {
            found.append("a source volume was not kept")
        }
        if !cluster.list(.leases, namespace: Migrator.lockNamespace).isEmpty { found.append(Self.leftLock) }
        return found
    }

    /// The staging claims that no volume tells of.
    func leakedClaims() -> Set<ObjectName> {
        let recorded = cluster.list(.persistentVolumes).flatMap { volume in
            [
                volume[path: ["metadata", "annotations", Marks.stagingUID]]?.string,
                volume[path: ["metadata", "annotations", Marks.sourceClaim]] == nil
                    ? nil : volume[path: ["spec", "claimRef", "uid"]]?.string,
            ].compactMap(\.self)
        }
        return Set(
            cluster.list(.persistentVolumeClaims).filter {
                $0[path: ["metadata", "annotations", Marks.kind]]?.string == Marks.Kind.staging
                    && !recorded.contains($0[path: ["metadata", "uid"]]?.string ?? "")
            }.map(\.name)
        )
    }

    /// What is leaked without being told of.
    private func untold(_ leaked: Set<ObjectName>) -> [String] {
        guard !leaked.isEmpty else { return [] }
        do {
            let told = try status().leftovers.map(\.resource)
            return leaked.filter { !told.contains("PersistentVolumeClaim \($0)") }.map {
                "\($0) is leaked without a word"
            }
        } catch {
            return ["the status could not be had: \(error)"]
        }
    }

    private func exists(_ volume: String) -> Bool {
        object(.persistentVolumes, ObjectName(volume, in: nil)) != nil
    }
}
