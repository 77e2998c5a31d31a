import Foundation
import Kubernetes
import Testing

/// Each reason for which preflight refuses: the row, the exit code, and that nothing is left of the attempt.
struct PreflightTests {
    @Test("a cluster on which all is well passes, and nothing is left of the trial")
    func passes() async throws {
        // A class that retains: the trial's volume has to go all the same.
        try await Scene.with(destination: .init(reclaimPolicy: "Retain")) { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.traces()
            scene.expect(try await scene.migrate("--preflight-validation-only"), exit: 0)
            #expect(try await scene.traces() == before)
        }
    }

    @Test("a class that does not exist is named", arguments: ["source", "dest"])
    func missingClass(which: String) async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            let (source, destination) = (scene.sourceClass, scene.destinationClass)
            let missing = scene.prefix + "-nowhere"
            let pair = which == "source" ? (missing, destination) : (source, missing)
            try await scene.expectRefused(
                "--source-sc",
                pair.0,
                "--dest-sc",
                pair.1,
                rows: [["StorageClass \(missing)", "does not exist"]]
            )
        }
    }

    @Test("a source class that does not exist any more is no failure with --skip-source-validation")
    func skipSourceValidation() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            let made = try await scene.client.get(StorageClass.self, ObjectName(scene.sourceClass, in: nil))
            try await scene.client.delete(.storageClasses, made.name, uid: made.metadata.uid)
            scene.expect(try await scene.migrate("--preflight-validation-only"), exit: 2)
            scene.expect(try await scene.migrate("--skip-source-validation"), exit: 0)
            try await scene.expectMigrated("data")
            try await scene.expectRestarted(deployment, on: before)
        }
    }

    @Test("a class whose provisioner does nothing is found out", arguments: ["Immediate", "WaitForFirstConsumer"])
    func noProvisioner(mode: String) async throws {
        let nobody = Scene.Class(bindingMode: mode, provisioner: "pvmigrate.invalid/nobody")
        try await Scene.with(destination: nobody) { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            try await scene.expectRefused(
                "--pod-ready-timeout",
                "5",
                rows: [[scene.namespace, "pvmigrate.invalid/nobody"]]
            )
        }
    }

    @Test("a snapshot or a clone of a volume that no CSI driver made is refused", arguments: ["snapshot", "clone"])
    func copyFrom(source: String) async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            if try await scene.volume(of: "data").spec.csi != nil { try Test.cancel("the volumes are a CSI driver's") }
            try await scene.expectRefused(
                "--live",
                "--copy-from",
                source,
                rows: [["PersistentVolumeClaim \(scene.namespace)/data", "is not of a CSI driver"]]
            )
        }
    }

    @Test("an image that cannot be pulled is found out")
    func badImage() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            let image = "pvmigrate.invalid/nothing:1"
            try await scene.expectRefused(
                "--rsync-image",
                image,
                "--pod-ready-timeout",
                "20",
                rows: [[scene.namespace, image]]
            )
        }
    }

    @Test(
        "an image without rsync is found out",
        .enabled(if: !TestCluster.isSandbox, "a sandbox's images are all alike")
    )
    func imageWithoutRsync() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            try await scene.expectRefused(
                "--rsync-image",
                scene.cluster.image,
                "--pod-ready-timeout",
                "20",
                rows: [[scene.namespace, "rsync"]]
            )
        }
    }

    @Test("a pod that nothing would create again is named")
    func owners() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("lonely")
            let bare = TestWorkload(
                resource: .pods,
                name: "bare",
                namespace: scene.namespace,
                claims: ["/data": "lonely"]
            )
            try await scene.create(
                .pods,
                "bare",
                ["metadata": ["labels": ["app": "bare"]], "spec": scene.podSpec(bare)]
            )
            try await scene.waitUntilReady(bare)
            try await scene.expectRefused(rows: [[scene.namespace, "Pod", "bare", "--recreate-pods"]])
        }
    }

    @Test("a claim that is Pending and one that is being deleted are named")
    func unusableClaims() async throws {
        try await Scene.with(source: .init(bindingMode: "WaitForFirstConsumer")) { scene in
            try await scene.createClaim("pending")
            try await scene.createClaim("going")
            _ = try await scene.visit("going")
            let going = try await scene.claim("going")
            func setFinalizers(_ finalizers: JSON) async throws {
                try await scene.client.patch(
                    PersistentVolumeClaim.self,
                    going.name,
                    .merge(["metadata": ["finalizers": finalizers]])
                )
            }
            try await setFinalizers(["example.org/hold"])
            try await scene.client.delete(.claims, going.name, uid: going.metadata.uid)
            do {
                try await scene.expectRefused(rows: [
                    [scene.namespace, "PersistentVolumeClaim", "pending", "Pending"],
                    [scene.namespace, "PersistentVolumeClaim", "going", "deleted"],
                ])
            } catch {
                try await setFinalizers([])
                throw error
            }
            try await setFinalizers([])
        }
    }

    @Test("an access mode that does not exist is named")
    func accessMode() async throws {
        try await Scene.with { scene in
            let annotations: JSON = ["kurl.sh/pvcmigrate-destinationaccessmode": "ReadWriteSometimes"]
            try await scene.createClaim("data", metadata: ["annotations": annotations])
            try await scene.deploy("app", claims: ["/data": "data"])
            try await scene.expectRefused(rows: [[scene.namespace, "data", "ReadWriteSometimes"]])
        }
    }

    @Test("long names that become one when shortened are named")
    func collision() async throws {
        try await Scene.with { scene in
            func name(_ middle: String) -> String {
                String(repeating: "a", count: 102) + middle + String(repeating: "b", count: 150)
            }
            for middle in ["x", "y"] {
                try await scene.createClaim(name(middle))
                try await scene.deploy("app-\(middle)", claims: ["/data": name(middle)])
            }
            try await scene.expectRefused(rows: [[scene.namespace, name("x")], [scene.namespace, name("y")]])
        }
    }

    @Test("a quota without room for another claim is named")
    func quota() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            let quotas = APIResource(kind: "ResourceQuota", plural: "resourcequotas")
            try await scene.create(quotas, "few", ["spec": ["hard": ["persistentvolumeclaims": "1"]]])
            // The API server refuses everything until the quota's controller has counted once.
            try await scene.client.wait(
                for: CountedQuota.self,
                in: scene.namespace,
                named: "few",
                limit: Scene.limit,
                what: "the quota to be counted"
            ) { $0.object(named: "few")?.status?.used == nil ? nil : () }
            try await scene.expectRefused(rows: [[scene.namespace, "few"]])
        }
    }

    @Test("whoever may only look is told each missing permission", .enabled(if: TestCluster.isSandbox))
    func permissions() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.traces()
            let run = try await scene.migrate(
                "--preflight-validation-only",
                kubeconfig: scene.cluster.kubeconfig + ".limited"
            )
            scene.expect(run, exit: 2)
            for resource in ["persistentvolumeclaims", "persistentvolumes", "pods", "deployments", "statefulsets"] {
                #expect(run.output.lowercased().contains(resource), "no row for \(resource):\n\(run.output)")
            }
            #expect(try await scene.traces() == before)
        }
    }

    @Test("all that is wrong is said at once, and a whole run is refused like the validation alone")
    func everything() async throws {
        try await Scene.with { scene in
            let annotations: JSON = ["kurl.sh/pvcmigrate-destinationaccessmode": "ReadWriteSometimes"]
            try await scene.createClaim("odd", metadata: ["annotations": annotations])
            try await scene.deploy("app", claims: ["/data": "odd"])
            let before = try await scene.traces()
            let run = try await scene.migrate(
                "--rsync-image",
                "pvmigrate.invalid/nothing:1",
                "--pod-ready-timeout",
                "20"
            )
            scene.expect(run, exit: 2)
            #expect(run.output.contains("ReadWriteSometimes"), "\(run.output)")
            #expect(try await scene.traces() == before)
        }
    }

    @Test("a missing or wrong flag is one line and exit code 64, before the cluster is asked")
    func usage() async throws {
        for arguments in [
            ["--source-sc", "a"], ["--source-sc", "a", "--dest-sc", "a"], ["--source-sc", "", "--dest-sc", "b"],
            ["--source-sc", "a", "--dest-sc", "b", "--no-such-flag"],
            ["--source-sc", "a", "--dest-sc", "b", "--pod-ready-timeout", "soon"],
        ] {
            let run = try await Program.pvmigrate(["--kubeconfig", "/nowhere/at/all"] + arguments)
            #expect(run.exitCode == 64, "\(arguments): \(run.exitCode) \(run.errors)")
            #expect(run.output.isEmpty)
        }
    }
}

private struct CountedQuota: KubernetesObject {
    static let resource = APIResource(kind: "ResourceQuota", plural: "resourcequotas")

    struct Status: Decodable { var used: [String: JSON]? }
    var metadata: ObjectMeta
    var status: Status?
}

extension Scene {
    /// Expects preflight to refuse, with a row for each failure, and to leave everything as it is.
    ///
    /// - Parameters:
    ///   - arguments: further ones; of an option that comes twice the last one counts.
    ///   - rows: for each row what must be in it.
    fileprivate func expectRefused(
        _ arguments: String...,
        rows: [[String]],
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let before = try await traces()
        let classes =
            arguments.contains("--source-sc") ? [] : ["--source-sc", sourceClass, "--dest-sc", destinationClass]
        let run = try await run(classes + arguments + ["--preflight-validation-only"])
        expect(run, exit: 2, location)
        let lines = run.output.split(separator: "\n")
        #expect(lines.first?.hasPrefix("NAMESPACE") == true, "no table: \(run.output)", sourceLocation: location)
        for row in rows {
            #expect(
                lines.contains { line in row.allSatisfy { line.contains($0) } },
                "no row with \(row):\n\(run.output)\n\(run.errors)",
                sourceLocation: location
            )
        }
        #expect(try await traces() == before, "preflight left traces", sourceLocation: location)
    }
}
