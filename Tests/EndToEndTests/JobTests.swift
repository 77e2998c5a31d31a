import Foundation
import Kubernetes
import Testing

/// Runs within the cluster.
struct JobTests {
    @Test("a Job migrates with its own ServiceAccount and no more rights, and its command line is that of a person")
    func migrates() async throws {
        try await Scene.with { scene in
            guard let sandbox = scene.cluster.sandbox else {
                // There the program would have to be in an image.
                try Test.cancel("only the sandbox can run the program that was just built")
            }
            try await scene.createClaim("data")
            let workload = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: workload)
            let command = scene.classes + ["--namespace", scene.namespace, "--rsync-image", scene.cluster.rsyncImage]
            let flags = ["job", "--image", scene.cluster.image, "--standing-movers", "--"]
            let manifest = try await Program.pvmigrate(flags + command)
            #expect(manifest.exitCode == 0)
            let job = try await scene.apply(manifest.output, sandbox: sandbox)
            let pod = try await scene.client.wait(
                for: Pod.self,
                in: "default",
                where: { $0.metadata.labels?["app.kubernetes.io/name"] == "pvmigrate" },
                limit: .seconds(180),
                what: "the Job's pod to end"
            ) { pods in pods.objects.values.first { ["Succeeded", "Failed"].contains($0.phase.rawValue) } }
            let log = try await scene.client.log(of: pod.name, container: "pvmigrate", tail: 200)
            #expect(pod.phase == .succeeded, "\(log)")
            #expect(log.contains("done: 1 claim migrated in "), "\(log)")
            try await scene.expectMigrated("data")
            try await scene.expectRestarted(workload, on: before)
            for (resource, name) in job.reversed() {
                let object = try await scene.client.get(resource, name)
                _ = try await scene.client.delete(resource, name, uid: object[path: ["metadata", "uid"]]?.string ?? "")
            }
        }
    }
}

extension Scene {
    /// Does what `kubectl apply` does with a manifest that is not there yet. The Job runs the program that is beside the
    /// tests, which its node's sandbox gets together with what it loads.
    ///
    /// - Returns: what was created.
    fileprivate func apply(_ manifest: String, sandbox: Sandbox) async throws -> [(APIResource, ObjectName)] {
        let folder = FileManager.default.temporaryDirectory.appending(path: "pvmigrate-e2e-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer {
            do { try FileManager.default.removeItem(at: folder) } catch { print("cannot remove \(folder): \(error)") }
        }
        var created: [(APIResource, ObjectName)] = []
        for (number, text) in manifest.components(separatedBy: "---\n").enumerated() {
            let file = folder.appending(path: "\(number).yaml")
            try Data(text.utf8).write(to: file)
            var object = try ManifestFile.read(file.path)
            let resource = try #require(Self.kinds.first { $0.kind == object["kind"]?.string }, "\(text)")
            let name = object[path: ["metadata", "name"]]?.string ?? ""
            let namespace = object[path: ["metadata", "namespace"]]?.string
            if resource.kind == "Job" { try run(&object, in: sandbox) }
            try await create(resource, name, in: namespace, object)
            created.append((resource, ObjectName(name, in: namespace)))
        }
        return created
    }

    private static let kinds =
        [
            APIResource(kind: "ServiceAccount", plural: "serviceaccounts"),
            APIResource(group: "batch", kind: "Job", plural: "jobs"),
        ]
        + [("ClusterRole", false), ("ClusterRoleBinding", false), ("Role", true), ("RoleBinding", true)].map {
            APIResource(
                group: "rbac.authorization.k8s.io",
                kind: $0,
                plural: $0.lowercased() + "s",
                namespaced: $1
            )
        }

    /// Puts the program and its libraries on a node, and has the Job's pod run there.
    private func run(_ job: inout JSON, in sandbox: Sandbox) throws {
        let place = sandbox.directory.appending(path: "volumes/nodes/\(cluster.node)/volumes/_opt_pvmigrate")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        let libraries = Process()
        let output = Pipe()
        libraries.executableURL = URL(filePath: "/bin/sh")
        libraries.arguments = [
            "-c",
            // What the images of a sandbox have is this machine's /usr, and not where a toolchain may be.
            #"cp "$0" "$1" && ldd "$0" | grep -oE '/(opt|root|home|work|tmp)[^ ]+' | xargs -r cp -t "$1" && chmod -R a+rX "$1""#,
            Program.directory.appending(path: "pvmigrate").path, place.path,
        ]
        libraries.standardError = output
        try libraries.run()
        libraries.waitUntilExit()
        try #require(libraries.terminationStatus == 0)
        var pod = job[path: ["spec", "template", "spec"]] ?? [:]
        pod["nodeName"] = .string(cluster.node)
        pod["volumes"] = [["name": "program", "hostPath": ["path": "/opt/pvmigrate"]]]
        var container = try #require(pod["containers"]?.array?.first)
        container["command"] = ["/opt/pvmigrate/pvmigrate"]
        container["volumeMounts"] = [["name": "program", "mountPath": "/opt/pvmigrate", "readOnly": true]]
        pod["containers"] = [container]
        job[path: ["spec", "template", "spec"]] = pod
    }
}
