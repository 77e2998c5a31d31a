import ClusterSimulator
import Kubernetes
import Synchronization

@testable import Migration

/// Watches a migration from inside the cluster: what must hold after every single request.
final class Invariants: Sendable {
    private struct State {
        /// The most lines that any volume of a claim has ever held: none of them may be lost.
        var lines: [ObjectName: Int] = [:]
        var violations: [String] = []
    }

    private let world: World
    private let state = Mutex(State())

    init(of world: World) { self.world = world }

    var violations: [String] { state.withLock { $0.violations } }

    var observer: Observer {
        { [self] request, _, cluster in check(cluster, after: "\(request.method.rawValue) \(request.target)") }
    }

    /// Checks the cluster as it is.
    func check(_ cluster: Cluster, after what: String) {
        var world = world
        world.cluster = cluster
        let found = state.withLock { state in
            let found = dataIsSafe(world, &state) + scalesAreKept(world)
            state.violations += found.map { "after \(what): \($0)" }
            return found
        }
        _ = found
    }

    /// 1 and 2: a complete copy of each claim's data is on a volume that nothing will reclaim.
    private func dataIsSafe(_ world: World, _ state: inout State) -> [String] {
        var candidates: [ObjectName: [(volume: JSON, lines: Int)]] = [:]
        for volume in world.cluster.list(.persistentVolumes) {
            guard let name = volume[path: ["metadata", "name"]]?.string,
                let content = world.cluster.content(ofVolumeNamed: name)
            else { continue }
            for claim in world.claims {
                if let lines = World.lines(in: content, of: claim) {
                    candidates[claim, default: []].append((volume, lines))
                }
            }
        }
        var violations: [String] = []
        for claim in world.claims {
            let copies = candidates[claim] ?? []
            let most = max(state.lines[claim] ?? 0, copies.map(\.lines).max() ?? 0)
            state.lines[claim] = most
            if !copies.contains(where: { $0.lines == most && isKept($0.volume, world) }) {
                violations.append("no volume that is kept holds the \(most) lines of \(claim)")
            }
        }
        return violations
    }

    /// Retained, or bound to a claim that nobody deletes.
    private func isKept(_ volume: JSON, _ world: World) -> Bool {
        guard volume[path: ["metadata", "deletionTimestamp"]] == nil else { return false }
        if volume[path: ["spec", "persistentVolumeReclaimPolicy"]]?.string == "Retain" { return true }
        guard let reference = volume[path: ["spec", "claimRef"]], let name = reference["name"]?.string,
            let claim = world.object(.persistentVolumeClaims, ObjectName(name, in: reference["namespace"]?.string))
        else { return false }
        return claim[path: ["metadata", "uid"]] == reference["uid"]
            && claim[path: ["metadata", "deletionTimestamp"]] == nil
    }

    /// 3: a workload at zero because of us carries its original scale.
    private func scalesAreKept(_ world: World) -> [String] {
        world.scales.compactMap { key, scale in
            guard let workload = world.cluster.get(key), workload[path: ["spec", "replicas"]]?.integer == 0, scale > 0,
                workload[path: ["metadata", "annotations", Marks.scale]]?.string != String(scale)
            else { return nil }
            return "\(key.resource.kind) \(key.name) is at zero without its scale"
        }
    }
}

extension World {
    /// What is wrong with the cluster after a run that should have migrated everything.
    func shortcomings(keepsLines lines: Invariants) -> [String] {
        var found = lines.violations
        for claim in claims.sorted() { found += shortcomings(of: claim) }
        for (key, scale) in scales {
            let workload = cluster.get(key)
            if workload?[path: ["spec", "replicas"]]?.integer != Int64(scale) {
                found.append("\(key.resource.kind) \(key.name) has not its scale of \(scale)")
            }
        }
        found += leftovers()
        return found
    }

    private func shortcomings(of claim: ObjectName) -> [String] {
        guard let object = object(.persistentVolumeClaims, claim) else { return ["\(claim) is gone"] }
        var found: [String] = []
        func expect(_ path: [String], _ value: JSON?) {
            if object[path: path] != value {
                found.append("\(claim): \(path.joined(separator: ".")) is \(object[path: path] ?? .null)")
            }
        }
        expect(["spec", "storageClassName"], .string(Self.destination))
        expect(["status", "phase"], "Bound")
        guard let name = volume(of: claim), let volume = self.object(.persistentVolumes, ObjectName(name, in: nil))
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

    /// Everything of a migration's that should be gone.
    private func leftovers() -> [String] {
        var found: [String] = []
        let all: [Resource] = [.persistentVolumes, .persistentVolumeClaims, .pods, .statefulSets, .deployments]
        for resource in all {
            for object in cluster.list(resource) {
                let name = object[path: ["metadata", "name"]]?.string ?? ""
                for key in object[path: ["metadata", "annotations"]]?.object?.keys.sorted() ?? []
                where key.hasPrefix(Marks.claim) && key != Marks.accessMode {
                    found.append("\(resource.kind) \(name) still bears \(key)")
                }
            }
        }
        for volume in cluster.list(.persistentVolumes)
        where volume[path: ["spec", "storageClassName"]]?.string == Self.source {
            found.append("the source volume \(volume[path: ["metadata", "name"]]?.string ?? "") is still there")
        }
        if !cluster.list(.leases, namespace: Migrator.lockNamespace).isEmpty { found.append("the lock is still there") }
        return found
    }
}
