import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("--mover-template")
struct MoverTemplateArgumentTests {
    private static func read(_ text: String) throws -> (Options?, String) {
        let file = FileManager.default.temporaryDirectory.appending(path: "template-\(UUID())").path
        try Data(text.utf8).write(to: URL(filePath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        do {
            let arguments = ["--source-sc", "a", "--dest-sc", "b", "-mover-template=\(file)"]
            return (try Invocation.read(arguments).options, "")
        } catch let error as UsageError {
            return (nil, error.message.replacingOccurrences(of: file, with: "FILE"))
        }
    }

    @Test(
        "is read as YAML and as JSON",
        arguments: ["spec: {priorityClassName: x}", #"{"spec":{"priorityClassName":"x"}}"#]
    )
    func formats(text: String) throws {
        let (options, message) = try Self.read(text)
        #expect(message == "")
        #expect(options?.moverTemplate == (try MoverTemplate(["spec": ["priorityClassName": "x"]])))
    }

    @Test(
        "that cannot be used is told at once, and where it is wrong",
        arguments: [
            ("spec: [", "--mover-template cannot be used: FILE:"),
            ("", "--mover-template cannot be used: FILE: it must hold one manifest, and nothing else"),
            ("a: 1\n---\nb: 1", "--mover-template cannot be used: FILE: it must hold one manifest, and nothing else"),
            ("- a", "--mover-template cannot be used: FILE: it must hold one manifest, and nothing else"),
            (
                "spec: {restartPolicy: Always}",
                "--mover-template FILE: spec.restartPolicy can't be set: the copy and its safety depend on it"
            ),
        ]
    )
    func refused(text: String, words: String) throws {
        let (_, message) = try Self.read(text)
        #expect(message.hasPrefix(words), "\(message)")
    }

    @Test("that is missing is told with the system's words")
    func missing() {
        let error = #expect(throws: UsageError.self) {
            try Invocation.read(["--source-sc", "a", "--dest-sc", "b", "--mover-template", "/nowhere/x"])
        }
        #expect(error?.message == "--mover-template cannot be used: /nowhere/x: no such file or directory")
    }
}
