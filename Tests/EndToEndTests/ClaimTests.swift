import Foundation
import Kubernetes
import Testing

/// What becomes of the claim and of the two volumes.
struct ClaimTests {
    @Test("a claim with the longest name there is keeps it")
    func longestName() async throws {
        try await Scene.with { scene in
            let name = "data-" + String(repeating: "x", count: 247) + "y"
            try #require(name.count == 253)
            try await scene.createClaim(name)
            let deployment = try await scene.deploy("app", claims: ["/data": name])
            let before = try await scene.contents(of: deployment)
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated(name)
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
        }
    }

    @Test("a claim moves whenever its new volume is made", arguments: ["Immediate", "WaitForFirstConsumer"])
    func bindingModes(mode: String) async throws {
        try await Scene.with(destination: .init(bindingMode: mode)) { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            scene.expect(try await scene.migrateWherePossible(), exit: 0)
            try await scene.expectMigrated("data")
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
        }
    }

    @Test("a claim moves however its copy is checked", arguments: ["checksum", "none"])
    func verification(how: String) async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            scene.expect(try await scene.migrate("--verify", how), exit: 0)
            try await scene.expectMigrated("data")
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
        }
    }

    @Test("where the policy was Delete, the old storage is freed and the new volume is to be deleted too")
    func policyDelete() async throws {
        try await Scene.with(destination: .init(reclaimPolicy: "Retain")) { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            let source = try await scene.volume(of: "data")
            #expect(scene.directories(of: source)?.isEmpty != true, "this test looks for storage in the wrong place")
            scene.expect(try await scene.migrate(), exit: 0)
            let volume = try await scene.volume(of: "data")
            #expect(volume.metadata.uid != source.metadata.uid)
            #expect(volume.reclaimPolicy == .delete)
            #expect(try await scene.volumes().map(\.metadata.uid) == [volume.metadata.uid])
            if let directories = scene.directories(of: source) { #expect(directories.isEmpty, "storage is left") }
        }
    }

    @Test("where the policy was Retain, the storage stays its owner's, who is told where it is")
    func policyRetain() async throws {
        try await Scene.with(source: .init(reclaimPolicy: "Retain")) { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            let source = try await scene.volume(of: "data")
            let manifest = try await scene.client.get(.volumes, source.name)
            let run = try await scene.migrate()
            scene.expect(run, exit: 0)
            #expect((run.output + run.errors).contains(source.handle))
            let volume = try await scene.volume(of: "data")
            #expect(volume.reclaimPolicy == .retain)
            #expect(try await scene.volumes().map(\.metadata.uid) == [volume.metadata.uid])
            if let directories = scene.directories(of: source) { #expect(!directories.isEmpty, "its storage is gone") }
            try await scene.expectRestarted(deployment, on: before)
            try await scene.reclaim(manifest)
        }
    }

    @Test("the annotation on a claim says which access mode it has afterwards")
    func accessMode() async throws {
        try await Scene.with { scene in
            let annotations: JSON = ["kurl.sh/pvcmigrate-destinationaccessmode": "ReadWriteMany"]
            try await scene.createClaim("data", metadata: ["annotations": annotations])
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            #expect(try await scene.claim("data").spec.accessModes == [.readWriteOnce])
            scene.expect(try await scene.migrateWherePossible(), exit: 0)
            try await scene.expectMigrated("data")
            #expect(try await scene.claim("data").spec.accessModes == [.readWriteMany])
            #expect(try await scene.volume(of: "data").spec.accessModes == [.readWriteMany])
            try await scene.expectRestarted(deployment, on: before)
        }
    }

    @Test("--dest-size and the annotation make claims larger; none becomes smaller whose usage is not known")
    func sizes() async throws {
        try await Scene.with { scene in
            func size(_ text: String) -> JSON {
                ["annotations": .object(["kurl.sh/pvcmigrate-destinationsize": .string(text)])]
            }
            try await scene.createClaim("data")
            try await scene.createClaim("own", metadata: size("3Gi"))
            let app = try await scene.deploy("app", claims: ["/data": "data", "/own": "own"])
            try await scene.createClaim("idle", metadata: size("512Mi"))
            let contents = try await scene.contents(of: app)
            let refused = try await scene.migrate("--dest-size", "200%", "--preflight-validation-only")
            scene.expect(refused, exit: 2)
            #expect(refused.output.contains("no running pod mounts it"), "\(refused.output)")
            let run = try await scene.migrate("--dest-size", "200%", "--exclude", "\(scene.namespace)/idle")
            scene.expect(run, exit: 0)
            for (name, expected) in [("data", "2Gi"), ("own", "3Gi")] {
                let claim = try await scene.claim(name)
                #expect(claim.storageClassName == scene.destinationClass)
                #expect(claim.spec.resources?.requests?["storage"] == Quantity(expected))
                let capacity = try #require(claim.status?.capacity?["storage"])
                #expect(capacity.bytes >= Quantity(expected)?.bytes ?? .max)
            }
            try await scene.expectRestarted(app, on: contents)
        }
    }

    @Test("a claim keeps its labels, annotations, owners and size")
    func metadata() async throws {
        try await Scene.with { scene in
            let deployment = try await scene.deploy("owner")
            let owner = try await scene.client.get(
                WorkloadObject.self,
                of: .deployments,
                ObjectName("owner", in: scene.namespace)
            )
            let reference: JSON = [
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "owner", "uid": .string(owner.metadata.uid),
            ]
            let labels: JSON = ["app.kubernetes.io/name": "shop", "tier": ""]
            let annotations: JSON = ["example.org/note": "Grüße,\n\"twice\"", "backup": "daily"]
            try await scene.createClaim(
                "data",
                metadata: ["labels": labels, "annotations": annotations, "ownerReferences": [reference]]
            )
            let app = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.claim("data")
            let contents = try await scene.contents(of: app)
            scene.expect(try await scene.migrate(), exit: 0)
            let after = try await scene.claim("data")
            #expect(after.metadata.uid != before.metadata.uid)
            #expect(after.metadata.labels == before.metadata.labels)
            #expect(
                after.metadata.annotations?.filter { !$0.key.contains("kubernetes.io/") } == [
                    "example.org/note": "Grüße,\n\"twice\"", "backup": "daily",
                ]
            )
            #expect(after.metadata.ownerReferences == before.metadata.ownerReferences)
            #expect(after.spec.resources == before.spec.resources)
            #expect(after.volumeMode == before.volumeMode)
            try await scene.expectRestarted(app, on: contents)
            #expect(try await scene.pods(of: deployment).count == 1)
        }
    }
}

extension Scene {
    /// Brings a volume object back, so that the storage which was left to its owner goes with the test.
    ///
    /// Its claim is gone, so the volume is Released, and with policy Delete its storage is freed.
    fileprivate func reclaim(_ volume: JSON) async throws {
        guard let name = volume[path: ["metadata", "name"]]?.string else { return }
        var manifest: JSON = ["spec": volume["spec"] ?? [:]]
        manifest["spec"]?["persistentVolumeReclaimPolicy"] = "Delete"
        // By it the provisioner knows its own.
        manifest[path: ["metadata", "annotations"]] = volume[path: ["metadata", "annotations"]]
        try await create(.volumes, name, manifest)
    }

    /// The directories of a volume on the sandbox's nodes; nil where there is no sandbox.
    fileprivate func directories(of volume: PersistentVolume) -> [URL]? {
        guard let sandbox = cluster.sandbox else { return nil }
        let name = volume.handle.replacingOccurrences(of: "/", with: "_")
        return ["node-1", "node-2"]
            .map { sandbox.directory.appending(path: "volumes/nodes/\($0)/volumes/\(name)") }
            .filter { FileManager.default.fileExists(atPath: $0.path) }
    }
}
