import Foundation
import Kubernetes
import Testing

/// Commands in containers, asked for by kubectl, where it is installed.
@Suite(.enabled(if: Kubectl.program != nil && TestCluster.isSandbox))
struct ExecTests {
    /// A pod that waits, in a namespace of its own.
    private func withPod(_ body: (Kubectl) async throws -> Void) async throws {
        try await Scene.with { scene in
            let container: JSON = [
                "name": "main", "image": .string(scene.cluster.image), "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", "sleep 3600"], "volumeMounts": [["name": "files", "mountPath": "/files"]],
            ]
            try await scene.create(
                .pods,
                "p",
                ["spec": ["containers": [container], "volumes": [["name": "files", "emptyDir": [:]]]]]
            )
            _ = try await scene.client.wait(
                for: Pod.self,
                in: scene.namespace,
                named: "p",
                limit: Scene.limit,
                what: "Pod p to run"
            ) { pods in pods.object(named: "p").flatMap { $0.isReady ? $0 : nil } }
            try await body(Kubectl(kubeconfig: scene.cluster.kubeconfig, namespace: scene.namespace))
        }
    }

    @Test("kubectl exec gives a command's output, errors and exit code, and takes its input")
    func exec() async throws {
        try await withPod { kubectl in
            let failed = try kubectl.run(["exec", "p", "--", "sh", "-c", "echo x; echo y >&2; exit 3"])
            #expect(failed.code == 3)
            #expect(failed.output == "x\n")
            #expect(failed.errors.hasPrefix("y\n"))
            let echoed = try kubectl.run(["exec", "-i", "p", "--", "cat"], input: "hi\n")
            #expect(echoed.code == 0)
            #expect(echoed.output == "hi\n")
            let missing = try kubectl.run(["exec", "p", "-c", "other", "--", "true"])
            #expect(missing.code == 1)
        }
    }

    @Test("kubectl cp carries a tree both ways")
    func copy() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "kubectl-\(UUID().uuidString)")
        let source = folder.appending(path: "tree")
        try FileManager.default.createDirectory(
            at: source.appending(path: "inner"),
            withIntermediateDirectories: true
        )
        try Data("one\n".utf8).write(to: source.appending(path: "a"))
        try Data(repeating: 7, count: 3 << 20).write(to: source.appending(path: "inner/large"))
        try await withPod { kubectl in
            let there = try kubectl.run(["cp", source.path, "p:/files/tree"])
            #expect(there.code == 0, "\(there)")
            let back = try kubectl.run(["cp", "p:/files/tree", folder.appending(path: "back").path])
            #expect(back.code == 0, "\(back)")
            for name in ["a", "inner/large"] {
                let before = try Data(contentsOf: source.appending(path: name))
                #expect(try Data(contentsOf: folder.appending(path: "back/" + name)) == before)
            }
        }
        try FileManager.default.removeItem(at: folder)
    }
}

/// The program of Kubernetes itself.
struct Kubectl {
    static let program = ["/usr/local/bin/kubectl", "/usr/bin/kubectl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    var kubeconfig: String
    var namespace: String

    /// Runs it to its end.
    func run(_ arguments: [String], input: String = "") throws -> (code: Int32, output: String, errors: String) {
        let process = Process()
        let (inputPipe, output, errors) = (Pipe(), Pipe(), Pipe())
        process.executableURL = URL(filePath: Self.program ?? "")
        process.arguments = ["--kubeconfig", kubeconfig, "-n", namespace] + arguments
        process.standardInput = inputPipe
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        try inputPipe.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try inputPipe.fileHandleForWriting.close()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        let complained = try errors.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (
            process.terminationStatus, String(decoding: said, as: UTF8.self),
            String(decoding: complained, as: UTF8.self)
        )
    }
}
