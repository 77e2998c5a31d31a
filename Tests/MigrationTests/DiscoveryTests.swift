import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("What is found")
struct DiscoveryTests {
    private static func volume(_ name: String, claim: JSON?) -> JSON {
        var spec: JSON = [
            "capacity": ["storage": "16Mi"], "accessModes": ["ReadWriteOnce"],
            "storageClassName": .string(World.source),
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": ["driver": "network.csi.example.com", "volumeHandle": .string(name)],
        ]
        spec["claimRef"] = claim
        return ["metadata": ["name": .string(name)], "spec": spec]
    }

    private static func reference(_ name: String, uid: String = "00000000-0000-4000-8000-000000000000") -> JSON {
        [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "shop", "name": .string(name),
            "uid": .string(uid),
        ]
    }

    private static func claim(_ name: String, volume: String? = nil) -> JSON {
        var spec: JSON = [
            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(World.source),
            "resources": ["requests": ["storage": "16Mi"]],
        ]
        spec["volumeName"] = volume.map(JSON.string)
        return ["metadata": ["name": .string(name)], "spec": spec]
    }

    private static func wait(_ world: inout World, _ time: Duration = .seconds(20)) {
        let end = world.cluster.now + time
        while world.cluster.now < end { world.cluster.advance(to: world.cluster.now + .seconds(1)) }
    }

    @Test("volumes without a claim, whatever their phase, and with another claim's UID are left alone and told of")
    func withoutClaim() throws {
        var world = Scenario.deployment.world(alone: true)
        let names = ["available", "released", "failed", "stranger"]
        world.make(.persistentVolumes, nil, Self.volume("available", claim: nil))
        world.make(.persistentVolumes, nil, Self.volume("released", claim: Self.reference("gone")))
        world.make(.persistentVolumes, nil, Self.volume("failed", claim: Self.reference("gone")))
        // The name is that of the claim to migrate, and the UID is not.
        world.make(.persistentVolumes, nil, Self.volume("stranger", claim: Self.reference("data")))
        Self.wait(&world)
        // As the controller does whose driver can't delete it.
        try world.cluster.update(ObjectKey(.persistentVolumes, nil, "failed"), subresource: "status") {
            $0[path: ["status", "phase"]] = "Failed"
        }
        Self.wait(&world)
        func volumes(_ world: World) -> [JSON?] {
            names.map { world.cluster.get(ObjectKey(.persistentVolumes, nil, $0)) }
        }
        #expect(
            volumes(world).map { $0?[path: ["status", "phase"]]?.string } == [
                "Available", "Released", "Failed", "Released",
            ]
        )
        let before = volumes(world)
        let found = Others(world).discover()
        #expect(
            found.notes.map { "\($0.resource) \($0.message)" } == [
                "PersistentVolume available is Available and has no claim; left alone",
                "PersistentVolume failed is Failed; its claim shop/gone does not exist; left alone",
                "PersistentVolume released is Released; its claim shop/gone does not exist; left alone",
                "PersistentVolume stranger is Released; the claim shop/data that exists now is not the one it was bound "
                    + "to; left alone",
            ]
        )
        let run = world.migrate()
        #expect(run.report?.succeeded == true && run.world.isOn(World.destination))
        #expect(volumes(run.world) == before)
    }

    @Test("a claim that two volumes name by its UID is found once, with the volume that it names")
    func twoVolumes() throws {
        var world = Scenario.deployment.world(alone: true)
        let name = ObjectName("data", in: "shop")
        let own = try #require(world.volume(of: name))
        let uid = try #require(
            world.cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data"))?[path: ["metadata", "uid"]]?.string
        )
        // One comes before its own in order of names, one after it.
        for other in ["a-volume", "zz-volume"] {
            world.make(.persistentVolumes, nil, Self.volume(other, claim: Self.reference("data", uid: uid)))
        }
        let states = try world.discovery().units.flatMap(\.claims)
        #expect(states.map(\.name) == [name] && states.map { $0.source?.metadata.name } == [own])
    }

    @Test("claims that are Pending, Lost or being deleted are named, and the rest of the cluster can be chosen")
    func notBound() throws {
        var world = Scenario.deployment.world(alone: true)
        for name in ["lost", "leaving"] { world.make(.persistentVolumeClaims, "shop", Self.claim(name)) }
        world.make(.persistentVolumeClaims, "shop", Self.claim("waiting", volume: "none"))
        Self.wait(&world)
        let lost = try #require(world.volume(of: ObjectName("lost", in: "shop")))
        try world.cluster.delete(ObjectKey(.persistentVolumes, nil, lost))
        try world.cluster.update(ObjectKey(.persistentVolumes, nil, lost)) {
            $0[path: ["metadata", "finalizers"]] = nil
        }
        try world.cluster.update(ObjectKey(.persistentVolumeClaims, "shop", "leaving")) {
            $0[path: ["metadata", "finalizers"]] = ["example.com/keep", "kubernetes.io/pvc-protection"]
        }
        try world.cluster.delete(ObjectKey(.persistentVolumeClaims, "shop", "leaving"))
        Self.wait(&world)
        let obstacles = Others(world).discover().units.flatMap(\.obstacles).map { "\($0.resource) \($0.message)" }
        #expect(obstacles.count == 3)
        #expect(obstacles.contains("PersistentVolumeClaim shop/waiting is Pending: bind or delete it first"))
        #expect(obstacles.contains("PersistentVolumeClaim shop/lost is Lost: bind or delete it first"))
        #expect(
            obstacles.contains { $0.hasPrefix("PersistentVolumeClaim shop/leaving the claim is being deleted (since ") }
        )
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.selection.excludedClaims = Set(["lost", "leaving", "waiting"].map { ObjectName($0, in: "shop") })
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true && run.world.isOn(World.destination))
    }

    @Test("a volume that a person made, without any annotation, is migrated like any other")
    func staticVolume() throws {
        var world = World()
        world.make(.persistentVolumes, nil, Self.volume("by-hand", claim: nil))
        world.make(.persistentVolumeClaims, "shop", Self.claim("data", volume: "by-hand"))
        Self.wait(&world)
        let name = ObjectName("data", in: "shop")
        #expect(world.volume(of: name) == "by-hand")
        world.cluster.write(World.files(of: name), toVolumeNamed: "by-hand", node: "node-1")
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.isOn(World.destination, [name]) && run.world.marksLeft().isEmpty)
        // Its storage is its owner's.
        #expect(run.messages.contains { $0.contains("its storage is kept, as network.csi.example.com by-hand") })
    }

    @Test("the same name in many namespaces, and names of 253 characters, are each a claim of its own")
    func names() throws {
        var world = World()
        let long = ["a", "b"].map { String(repeating: "long.", count: 20) + $0 + String(repeating: "x", count: 152) }
        // Shortened, these would differ only in what is left out; but they are in different namespaces.
        for (index, name) in ([String](repeating: "data", count: 6) + long).enumerated() {
            world.make(.namespaces, nil, ["metadata": ["name": .string("n\(index)")]])
            world.addClaim(name, in: "n\(index)")
            if name == "data" { world.addDeployment("web", in: "n\(index)", claims: [name]) }
        }
        world.settle()
        #expect(long.allSatisfy { $0.count == 253 })
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.report?.claims.count == 8)
        #expect(run.world.isOn(World.destination) && run.world.areScalesRight && run.world.marksLeft().isEmpty)
    }
}
