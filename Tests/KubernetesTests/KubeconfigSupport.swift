import Foundation
import Kubernetes
import Testing

/// A folder for one test, which goes away with it.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("pvmigrate-\(UUID())").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // Best effort: nothing depends on it.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file and returns its path.
    @discardableResult
    func write(_ name: String, _ text: String, executable: Bool = false) throws -> String {
        let file = path + "/" + name
        let folder = URL(filePath: file).deletingLastPathComponent()
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: file))
        if executable { try makeExecutable(file) }
        return file
    }

    /// Another process writes what is to be run: a process that another test starts meanwhile would hold a file open that
    /// is written here, and such a file can't be run ("Text file busy").
    private func makeExecutable(_ file: String) throws {
        let copy = Process()
        copy.executableURL = URL(filePath: "/bin/sh")
        copy.arguments = ["-c", #"cp "$0" "$0.new" && chmod 755 "$0.new" && mv "$0.new" "$0""#, file]
        try copy.run()
        copy.waitUntilExit()
        if copy.terminationStatus != 0 { throw CocoaError(.fileWriteUnknown) }
    }

    func read(_ name: String) throws -> String {
        try String(contentsOfFile: path + "/" + name, encoding: .utf8)
    }
}

/// The kubeconfigs in `testdata`.
let corpus = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "testdata/kubeconfigs").path

/// Text that passes for PEM as long as nobody connects with it.
let fakePEM = "-----BEGIN CERTIFICATE-----\nTm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"

/// A kubeconfig with one context; both arguments are flow mappings.
func kubeconfig(cluster: String = "{server: https://a.example.com}", user: String) -> String {
    """
    apiVersion: v1
    kind: Config
    current-context: c
    contexts: [{name: c, context: {cluster: k, user: u}}]
    clusters: [{name: k, cluster: \(cluster)}]
    users: [{name: u, user: \(user)}]
    """
}

/// What is wrong with a kubeconfig, in one line without its folder; or that nothing is.
func complaint(
    in folder: TemporaryFolder,
    kubeconfig: String? = nil,
    context: String? = nil,
    environment: [String: String] = [:]
) -> String {
    do {
        let read = try Configuration.load(
            kubeconfig: kubeconfig,
            context: context,
            environment: environment,
            home: folder.path
        )
        return "read: \(read.server)"
    } catch {
        return error.description.replacingOccurrences(of: folder.path + "/", with: "")
    }
}
