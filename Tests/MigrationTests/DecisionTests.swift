import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

/// A world of one claim, from which tests take away what they want.
private struct OneClaim {
    var claim: JSON? = object(
        "PersistentVolumeClaim",
        "data",
        uid: "c1",
        spec: [
            "accessModes": ["ReadWriteOnce"], "storageClassName": "slow", "volumeName": "old",
            "resources": ["requests": ["storage": "1Gi"]],
        ],
        phase: "Bound"
    )
    var staging: JSON? = object(
        "PersistentVolumeClaim",
        "data-pvcmigrate",
        uid: "s1",
        annotations: [Marks.claim: "data", Marks.kind: "dest", Marks.sourceUID: "c1"],
        spec: ["volumeName": "new", "storageClassName": "fast"],
        phase: "Bound"
    )
    var source: JSON? = volume(
        "old",
        claim: "data",
        uid: "c1",
        policy: "Retain",
        annotations: [Marks.reclaimPolicy: "Delete", Marks.sourceUID: "c1", Marks.stagingUID: "s1"]
    )
    var destination: JSON? = volume("new", claim: "data-pvcmigrate", uid: "s1", policy: "Delete")

    mutating func seal(claim: String? = nil, uid: String? = nil, phase: String = "Bound", policy: String = "Retain") {
        let manifest = Seal.manifest(of: self.claim ?? OneClaim().claim ?? .null)
        destination = volume(
            "new",
            claim: claim ?? "data-pvcmigrate",
            uid: claim == nil ? "s1" : uid,
            policy: policy,
            annotations: [
                Marks.manifest: .string(String(decoding: manifest.text, as: UTF8.self)), Marks.reclaimPolicy: "Delete",
            ],
            phase: phase
        )
    }

    /// False where the destination class waits for the first consumer.
    var bindsAtOnce = true

    var state: ClaimState {
        get throws {
            let name = ObjectName("data", in: "shop")
            var state = ClaimState(Transfer(of: name, uid: "c1", storageClass: "fast", bindsAtOnce: bindsAtOnce))
            state.claim = try decode(claim)
            state.staging = try decode(staging)
            state.source = try decode(source)
            state.destination = try decode(destination)
            state.seal = state.destination.flatMap { Seal(of: $0) }
            return state
        }
    }

    func decode<Value: Decodable>(_ json: JSON?) throws -> Value? {
        try json.map { try JSONDecoder().decode(Value.self, from: $0.text) }
    }
}

private func object(
    _ kind: String,
    _ name: String,
    uid: String,
    annotations: [String: JSON] = [:],
    spec: JSON,
    phase: String
) -> JSON {
    [
        "kind": .string(kind),
        "metadata": [
            "name": .string(name), "namespace": "shop", "uid": .string(uid), "resourceVersion": "1",
            "annotations": .object(annotations),
        ],
        "spec": spec, "status": ["phase": .string(phase)],
    ]
}

private func volume(
    _ name: String,
    claim: String,
    uid: String?,
    policy: String,
    annotations: [String: JSON] = [:],
    phase: String = "Bound"
) -> JSON {
    var reference: JSON = ["namespace": "shop", "name": .string(claim)]
    reference["uid"] = uid.map(JSON.string)
    return object(
        "PersistentVolume",
        name,
        uid: "v-\(name)",
        annotations: annotations,
        spec: [
            "capacity": ["storage": "1Gi"], "claimRef": reference, "storageClassName": "fast",
            "persistentVolumeReclaimPolicy": .string(policy),
        ],
        phase: phase
    )
}

@Suite("What comes next for a claim")
struct DecisionTests {
    private func next(_ change: (inout OneClaim) -> Void, copied: Bool = false, atOnce: Bool = true) throws -> Action {
        var world = OneClaim()
        world.bindsAtOnce = atOnce
        change(&world)
        var state = try world.state
        state.copied = copied
        return state.next
    }

    @Test("an untouched claim is protected first")
    func protect() throws {
        #expect(
            try next { $0.source = volume("old", claim: "data", uid: "c1", policy: "Delete") } == .protect(.protect)
        )
        // Retain alone is no protection: its former policy has to be known.
        #expect(
            try next { $0.source = volume("old", claim: "data", uid: "c1", policy: "Retain") } == .protect(.protect)
        )
    }

    @Test("a mark of another claim, or of the Go tool, is no protection")
    func foreignMark() throws {
        let action = try next {
            $0.source = volume(
                "old",
                claim: "data",
                uid: "c1",
                policy: "Retain",
                annotations: [Marks.reclaimPolicy: "Delete"]
            )
        }
        #expect(action == .protect(.protect))
    }

    @Test("a protected claim is staged, copied, and only then sealed")
    func order() throws {
        #expect(
            try next {
                $0.staging = nil; $0.destination = nil
            } == .stage(.create)
        )
        #expect(try next { _ in } == .copy)
        #expect(try next({ _ in }, copied: true) == .seal)
    }

    @Test("a pending staging claim is waited for, unless its class waits for the mover")
    func pendingStaging() throws {
        func pend(_ world: inout OneClaim) {
            world.staging?[path: ["status", "phase"]] = "Pending"
            world.destination = nil
        }
        #expect(try next(pend) == .stage(.awaitBound))
        #expect(try next(pend, atOnce: false) == .copy)
    }

    @Test("a staging claim counts only when the source volume bears its UID, whatever marks it bears itself")
    func unrecordedStaging() throws {
        let action = try next {
            $0.source?[path: ["metadata", "annotations", Marks.stagingUID]] = nil
        }
        #expect(action == .stage(.record))
        var world = OneClaim()
        world.source?[path: ["metadata", "annotations", Marks.stagingUID]] = "s0"
        let state = try world.state
        #expect(state.staging.map(state.isOwn) == false)
    }

    @Test("a record counts only on the volume that is bound to the claim")
    func recordOfAnother() throws {
        var world = OneClaim()
        world.source?[path: ["spec", "claimRef", "name"]] = "other"
        let state = try world.state
        #expect(state.staging.map(state.isOwn) == false)
    }

    @Test("what was staged for another class stops the claim before anything is done, and names the way out")
    func otherClass() throws {
        for change: (inout OneClaim) -> Void in [
            { $0.staging?[path: ["spec", "storageClassName"]] = "third" },
            { $0.destination?[path: ["spec", "storageClassName"]] = "third" },
            {
                $0.seal()
                $0.destination?[path: ["spec", "storageClassName"]] = "third"
            },
        ] {
            guard case .blocked(let why) = try next(change, copied: true) else {
                Issue.record("not blocked")
                continue
            }
            #expect(why.description.contains("pvmigrate abort --source-sc slow --dest-sc third --pvc shop/data"))
        }
    }

    @Test("the Go tool's staging claim is picked up once its volume bears the claim's name")
    func goStaging() throws {
        var world = OneClaim()
        world.source?[path: ["metadata", "annotations", Marks.stagingUID]] = nil
        #expect(try world.state.staging.map { try world.state.isOwn($0) } == false)
        world.destination?[path: ["metadata", "annotations"]] = .object([
            Marks.sourceNamespace: "shop", Marks.sourceClaim: "data", Marks.reclaimPolicy: "Delete",
        ])
        #expect(try world.state.staging.map { try world.state.isOwn($0) } == true)
    }

    @Test("a claim that took the reserved volume without naming it is no successor, of whatever class")
    func usurper() throws {
        func usurp(_ world: inout OneClaim, _ change: (inout JSON) -> Void) {
            world.seal(claim: "data", uid: "c2")
            world.staging = nil
            var claim = successor(bound: true)
            change(&claim)
            world.claim = claim
        }
        #expect(
            try next {
                usurp(&$0) {
                    $0[path: ["metadata", "annotations", "pv.kubernetes.io/bound-by-controller"]] = "yes"
                }
            } == .rebind(.removeUsurper)
        )
        #expect(try next { usurp(&$0) { $0[path: ["spec", "storageClassName"]] = "slow" } } == .rebind(.removeUsurper))
        #expect(try next { usurp(&$0) { _ in } } == .release(.disposeOfSource))
    }

    @Test("a successor that somebody deletes keeps all marks, and both volumes")
    func deletedSuccessor() throws {
        let action = try next {
            $0.seal(claim: "data", uid: "c2")
            $0.staging = nil
            var claim = successor(bound: true)
            claim[path: ["metadata", "deletionTimestamp"]] = "2026-11-29T00:00:00Z"
            $0.claim = claim
        }
        guard case .blocked = action else {
            Issue.record("\(action)")
            return
        }
    }

    @Test("a sealed claim whose source claim still lives is unsealed by a new process, which copies again")
    func resumedSeal() throws {
        #expect(try next { $0.seal() } == .protect(.unseal))
        #expect(try next({ $0.seal() }, copied: true) == .rebind(.deleteClaims))
        // Nothing may reclaim the only copy.
        #expect(try next({ $0.seal(policy: "Delete") }, copied: true) == .seal)
    }

    @Test("once the source claim is gone it only goes forward")
    func forward() throws {
        #expect(
            try next {
                $0.seal(); $0.claim = nil
            } == .rebind(.deleteClaims)
        )
        #expect(
            try next {
                $0.seal(); $0.claim = nil; $0.staging = nil
            } == .rebind(.reserve)
        )
        #expect(
            try next {
                $0.seal(claim: "data", phase: "Released"); $0.claim = nil; $0.staging = nil
            } == .rebind(.awaitAvailable)
        )
        #expect(
            try next {
                $0.seal(claim: "data", phase: "Available"); $0.claim = nil; $0.staging = nil
            } == .rebind(.create)
        )
        // Reserved with the UID of a claim that is gone: it would never bind.
        #expect(
            try next {
                $0.seal(claim: "data", uid: "c1", phase: "Released"); $0.claim = nil; $0.staging = nil
            } == .rebind(.reserve)
        )
    }

    private func successor(bound: Bool) -> JSON {
        object(
            "PersistentVolumeClaim",
            "data",
            uid: "c2",
            spec: ["volumeName": "new", "storageClassName": "fast"],
            phase: bound ? "Bound" : "Pending"
        )
    }

    @Test("the source volume is disposed of only after its successor is bound")
    func release() throws {
        #expect(
            try next {
                $0.seal(claim: "data", uid: "c2"); $0.staging = nil; $0.claim = successor(bound: false)
            } == .rebind(.awaitBound)
        )
        #expect(
            try next {
                $0.seal(claim: "data", uid: "other"); $0.staging = nil; $0.claim = successor(bound: true)
            } == .rebind(.awaitBound)
        )
        #expect(
            try next {
                $0.seal(claim: "data", uid: "c2"); $0.staging = nil; $0.claim = successor(bound: true)
            }
                == .release(.disposeOfSource)
        )
    }

    @Test("the marks go last, and then nothing is left to do")
    func dropMarks() throws {
        func bound(_ world: inout OneClaim) {
            world.seal(claim: "data", uid: "c2")
            world.staging = nil
            world.claim = successor(bound: true)
            world.source = nil
        }
        #expect(try next(bound) == .release(.dropMarks))
        // A source volume that bears no mark of ours was given back already.
        #expect(
            try next {
                bound(&$0); $0.source = volume("old", claim: "data", uid: "c1", policy: "Delete")
            } == .release(.dropMarks)
        )
    }

    @Test("the source volume is freed only where a workload was seen ready, and nothing else speaks against it")
    func disposal() throws {
        var state = try OneClaim().state
        let volume = try #require(state.source)
        #expect(state.disposal(of: volume, .seen, keepsAll: false) == .free)
        #expect(state.disposal(of: volume, .seen, keepsAll: true) == .keep([]))
        #expect(state.disposal(of: volume, .unseen(why: "late"), keepsAll: false) == .keep([.unready("late")]))
        state.transfer.sharesSource = true
        #expect(state.disposal(of: volume, .seen, keepsAll: false) == .keep([.shared]))
        state.transfer.sharesSource = false
        var unflushed = volume
        unflushed.metadata.annotations?[Marks.unflushed] = "true"
        #expect(state.disposal(of: unflushed, .seen, keepsAll: false) == .keep([.unflushed]))
        // Its storage is its owner's.
        state.source?.metadata.annotations?[Marks.reclaimPolicy] = "Retain"
        #expect(state.disposal(of: volume, .seen, keepsAll: false) == .forget)
    }

    @Test("a claim that somebody made of the old name stops everything, and is left alone")
    func impostor() throws {
        let action = try next {
            $0.seal(claim: "data")
            $0.staging = nil
            $0.claim = object("PersistentVolumeClaim", "data", uid: "c9", spec: ["volumeName": "x"], phase: "Bound")
        }
        guard case .blocked = action else {
            Issue.record("\(action)")
            return
        }
    }

    @Test("a claim that somebody made of the old name and that was never bound makes way")
    func emptyUsurper() throws {
        let action = try next {
            $0.seal(claim: "data")
            $0.staging = nil
            $0.claim = object("PersistentVolumeClaim", "data", uid: "c9", spec: [:], phase: "Pending")
        }
        #expect(action == .rebind(.removeUsurper))
    }
}
