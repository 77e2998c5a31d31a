import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

/// Volumes and claims as lists tell them, without a cluster.
private struct Lists {
    private var volumes: [PersistentVolume] = []
    private var claims: [PersistentVolumeClaim] = []

    mutating func addVolume(
        _ name: String,
        of storageClass: String = "slow",
        claim: String? = "data",
        uid: String? = "c1",
        marks: [String: String] = [:],
        phase: String = "Bound"
    ) throws {
        var spec: JSON = [
            "capacity": ["storage": "1Gi"], "storageClassName": .string(storageClass),
            "persistentVolumeReclaimPolicy": "Retain",
        ]
        if let claim {
            spec["claimRef"] = ["namespace": "shop", "name": .string(claim)]
            if let uid { spec[path: ["claimRef", "uid"]] = .string(uid) }
        }
        volumes.append(try decode(name, namespace: nil, uid: "v-\(name)", marks, spec, phase))
    }

    mutating func addClaim(
        _ name: String = "data",
        uid: String = "c1",
        of storageClass: String = "slow",
        volume: String? = "old",
        marks: [String: String] = [:],
        phase: String = "Bound"
    ) throws {
        var spec: JSON = ["storageClassName": .string(storageClass), "accessModes": ["ReadWriteOnce"]]
        spec["volumeName"] = volume.map(JSON.string)
        claims.append(try decode(name, namespace: "shop", uid: uid, marks, spec, phase))
    }

    private func decode<Object: Decodable>(
        _ name: String,
        namespace: String?,
        uid: String,
        _ marks: [String: String],
        _ spec: JSON,
        _ phase: String
    ) throws -> Object {
        let object: JSON = [
            "metadata": [
                "name": .string(name), "namespace": namespace.map(JSON.string) ?? .null, "uid": .string(uid),
                "resourceVersion": "1", "annotations": .object(marks.mapValues(JSON.string)),
            ],
            "spec": spec, "status": ["phase": .string(phase)],
        ]
        return try JSONDecoder().decode(Object.self, from: object.text)
    }

    func recognise(_ change: (inout Options) -> Void = { _ in }) -> Recognition {
        var options = Options(sourceClass: "slow", destinationClass: "fast")
        change(&options)
        return Recognition(Inventory(volumes: volumes, claims: claims, pods: [], workloads: []), options)
    }

    /// The seal of the claim `data` with the UID `c1`.
    static func seal(_ marks: [String: String] = [:], from storageClass: String = "slow") -> [String: String] {
        let manifest = """
            {"metadata":{"name":"data","namespace":"shop","uid":"c1"},
            "spec":{"storageClassName":"\(storageClass)","volumeName":"old"}}
            """
        return [Marks.manifest: manifest, Marks.reclaimPolicy: "Delete"].merging(marks) { $1 }
    }

    static let protection = [Marks.sourceUID: "c1", Marks.reclaimPolicy: "Delete"]
}

@Suite("What volumes and claims say of migrations")
struct RecognitionTests {
    @Test("an ordinary volume of the source class is a source, one of another class is nothing")
    func source() throws {
        var lists = Lists()
        try lists.addVolume("old")
        try lists.addClaim()
        try lists.addVolume("other", of: "third", claim: "x", uid: "x")
        let found = lists.recognise()
        #expect(found.states.map(\.name.name) == ["data"] && found.states.first?.source?.metadata.name == "old")
        #expect(found.obstacles.isEmpty && found.notes.isEmpty)
    }

    @Test("a volume without its very claim is told of")
    func withoutClaim() throws {
        var lists = Lists()
        try lists.addVolume("none", claim: nil, phase: "Available")
        try lists.addVolume("gone", claim: "gone", uid: "x", phase: "Released")
        try lists.addVolume("namesake", claim: "data", uid: "another", phase: "Released")
        try lists.addClaim(volume: "elsewhere", phase: "Pending")
        let found = lists.recognise()
        #expect(found.notes.map(\.resource) == ["gone", "namesake", "none"].map { "PersistentVolume \($0)" })
        #expect(found.obstacles.values.flatMap(\.self).map(\.message) == ["is Pending: bind or delete it first"])
    }

    @Test("a seal counts once the deletion has begun, not as long as the claim lives")
    func sealed() throws {
        var alive = Lists()
        try alive.addVolume("old", marks: Lists.protection)
        try alive.addClaim()
        try alive.addVolume("new", of: "fast", claim: "data-pvcmigrate", uid: "s1", marks: Lists.seal())
        let unsealed = alive.recognise().states
        #expect(unsealed.map { $0.seal == nil } == [true])
        #expect(unsealed.first?.observation.staleSeal?.metadata.name == "new")
        #expect(unsealed.first?.next == .protect(.unseal))

        var deleted = Lists()
        try deleted.addVolume("old", marks: Lists.protection, phase: "Released")
        try deleted.addVolume(
            "new",
            of: "fast",
            claim: "data-pvcmigrate",
            uid: "s1",
            marks: Lists.seal([Marks.deleting: "c1"])
        )
        #expect(deleted.recognise().states.map { $0.seal?.uid } == ["c1"])
    }

    @Test("a sealed claim that somebody else has deleted is lost: its source volume has all its data")
    func lost() throws {
        var lists = Lists()
        try lists.addVolume("old", marks: Lists.protection, phase: "Released")
        try lists.addVolume("new", of: "fast", claim: "data-pvcmigrate", uid: "s1", marks: Lists.seal())
        let found = lists.recognise()
        #expect(found.states.map(\.isLost) == [true])
        #expect(
            found.obstacles.values.flatMap(\.self).first?.message.contains("somebody has deleted this claim") == true
        )
        // Without that volume the copy is all there is.
        var alone = Lists()
        try alone.addVolume("new", of: "fast", claim: "data-pvcmigrate", uid: "s1", marks: Lists.seal())
        #expect(alone.recognise().states.map { $0.seal?.uid } == ["c1"])
        // Beside another claim with a volume of its own it means nothing.
        try alone.addClaim(uid: "c2", of: "fast", volume: "third")
        #expect(alone.recognise().states.isEmpty)
    }

    @Test("a seal of another migration is left alone")
    func otherMigration() throws {
        var lists = Lists()
        try lists.addVolume(
            "new",
            of: "slow",
            claim: "data-pvcmigrate",
            uid: "s1",
            marks: Lists.seal([Marks.deleting: "c1"], from: "third")
        )
        let found = lists.recognise()
        #expect(found.states.isEmpty)
        #expect(found.notes.first?.message.contains("another migration, from the class third") == true)
    }

    @Test("what a run has made is no source, and what only says so is passed over and told of")
    func marked() throws {
        var lists = Lists()
        let marks = [Marks.kind: Marks.Kind.staging, Marks.claim: "data"]
        try lists.addVolume("first", of: "third", claim: "data", uid: "c1", marks: [Marks.stagingUID: "s1"])
        try lists.addVolume("made", claim: "data-pvcmigrate", uid: "s1")
        try lists.addClaim("data-pvcmigrate", uid: "s1", volume: "made", marks: marks)
        try lists.addVolume("forged", claim: "forged", uid: "f1")
        try lists.addClaim("forged", uid: "f1", volume: "forged", marks: marks)
        let found = lists.recognise()
        #expect(found.states.isEmpty)
        #expect(found.passedOver.map(\.resource) == ["PersistentVolumeClaim shop/forged"])
        #expect(found.notes == found.passedOver)
    }

    @Test(
        "a kept volume is a destination of a rollback only, and only beside the very claim that took its claim's place"
    )
    func kept() throws {
        var lists = Lists()
        let marks = [
            Marks.kept: "2026-11-29T00:00:00Z", Marks.sourceNamespace: "shop", Marks.sourceClaim: "data",
            Marks.successor: "c2",
        ]
        try lists.addVolume("old", marks: marks, phase: "Released")
        try lists.addVolume("new", of: "fast", claim: "data", uid: "c2")
        try lists.addClaim(uid: "c2", of: "fast", volume: "new")
        let back: (inout Options) -> Void = { options in
            (options.sourceClass, options.destinationClass) = ("fast", "slow")
            options.goal = .rollback(discardingChanges: false)
        }
        #expect(lists.recognise(back).states.map { $0.destination?.metadata.name } == ["old"])
        #expect(lists.recognise().states.isEmpty)
        var other = Lists()
        try other.addVolume("old", marks: marks, phase: "Released")
        try other.addClaim(uid: "c3", of: "fast", volume: "new")
        let found = other.recognise(back)
        #expect(
            found.states.isEmpty && found.notes.first?.message.contains("is not the one that took its place") == true
        )
    }
}
