import ClusterSimulator
import Foundation
import Kubernetes
import Testing

@testable import pvmigrate

@Suite("Completion")
struct CompletionTests {
    /// The candidates for the last word, without what they mean.
    private func complete(_ words: String...) throws -> [String] { try complete(words) }

    private func complete(_ words: [String], in shop: Shop? = nil) throws -> [String] {
        let run = try (shop ?? Shop()).complete(words)
        #expect(run.code == .done && run.errors.isEmpty, "\(run.errors)")
        return run.output.split(separator: "\n").map { String($0.prefix { $0 != "\t" }) }
    }

    @Test("the names of classes, namespaces and claims come from the cluster")
    func names() throws {
        #expect(try complete("--source-sc", "") == ["fast", "slow"])
        #expect(try complete("--dest-sc=f") == ["--dest-sc=fast"])
        #expect(try complete("status", "-n", "sh") == ["shop"])
        #expect(try complete("--namespace", "default,sh") == ["default,shop"])
        #expect(try complete("--source-sc", "slow", "--pvc", "") == ["shop/data"])
        #expect(try complete("--source-sc", "fast", "--pvc", "shop/") == [])
        #expect(try complete("rollback", "--exclude=shop/d") == ["--exclude=shop/data"])
        #expect(try complete("--context", "") == ["c"])
        #expect(try complete("--cluster", "") == ["k"] && complete("--user=") == ["--user=u"])
        #expect(try complete("--token-file", "") == [Completion.files])
        for other in [["--context", "none"], ["--context=none"], ["-kubeconfig", "/none"]] {
            #expect(try complete(other + ["--source-sc", ""]) == [])
        }
    }

    @Test("the claims that a command may be given are those of the class that they are on")
    func claims() throws {
        let classes = ["--source-sc", "slow", "--dest-sc", "fast", "--pvc", ""]
        var shop = try Shop()
        for command in [[], ["stage"], ["abort"], ["status"]] {
            #expect(try complete(command + classes, in: shop) == ["shop/data"], "\(command)")
        }
        #expect(try complete(["rollback"] + classes, in: shop) == [])
        #expect(try shop.run("--keep-source").code == .done)
        for command in [["rollback"], ["abort"], ["status"]] {
            #expect(try complete(command + classes, in: shop) == ["shop/data"], "\(command)")
        }
        #expect(try complete(["stage"] + classes, in: shop) == [])
    }

    @Test("a kubeconfig may be given as shells pass it on, with a tilde")
    func tilde() throws {
        #expect(try complete("--kubeconfig", "~/config", "--context", "") == ["c"])
        #expect(try complete("--kubeconfig=~/config", "--source-sc", "") == ["fast", "slow"])
        #expect(try complete("--kubeconfig=~/none", "--source-sc", "") == [])
    }

    @Test("subcommands come first, then the flags that the command has")
    func flags() throws {
        let all = try complete("")
        #expect(all.first == "stage" && all.contains("status") && all.contains("--dest-size"))
        #expect(!all.contains(Completion.hiddenCommand))
        #expect(try complete("sta") == ["stage", "status"])
        #expect(try complete("stage", "tr") == ["transfer"])
        #expect(try complete("rollback", "--disc") == ["--discard-changes"])
        #expect(try complete("status", "--disc") == [])
        #expect(try complete("--output", "j") == ["json", "jsonl"])
        #expect(try complete("--verify=") == ["--verify=checksum", "--verify=none", "--verify=quick"])
        #expect(try complete("completion", "") == ["bash", "zsh", "fish"])
        #expect(try complete("--junit=x") == [Completion.files])
        // A flag that takes no value is not waiting for one.
        #expect(try complete("--live", "--par") == ["--parallel", "--parallel-per-node"])
        // After any of them.
        for name in try complete("") { _ = try complete(name, "") }
    }

    @Test(
        "a cluster that does not answer is waited for for seconds only, and nothing is said",
        arguments: [true, false]
    )
    func away(isSilent: Bool) throws {
        let run = try Shop().complete(["--source-sc", ""]) { _, _ in isSilent ? .hang(takesEffect: false) : .refuse }
        #expect(run.code == .done && run.output.isEmpty && run.errors.isEmpty)
        let lost = try Shop().complete(["--context", "none", "--source-sc", ""])
        #expect(lost.code == .done && lost.output.isEmpty && lost.errors.isEmpty)
    }

    @Test(
        "bash really completes",
        arguments: [
            (["sta"], ["stage", "status"]), (["rollback", "--disc"], ["--discard-changes"]),
            (["--context", ""], ["arn:aws:eks:x", "arn:other"]), (["--context", "arn", ":", "aws:"], ["aws:eks:x"]),
            (["--output", "=", "jsonl"], ["jsonl"]), (["--output", "="], ["json", "jsonl", "text"]),
            (["--kubeconfig", "/etc/hostn"], ["/etc/hostname"]),
        ]
    )
    func bash(words: [String], expected: [String]) throws {
        // As bash splits a line: at `=` and `:`, too.
        let folder = try TemporaryFolder()
        let contexts = ["arn:aws:eks:x", "arn:other"].map { "{name: '\($0)', context: {cluster: k, user: u}}" }
        let config = kubeconfig().replacing("contexts: [", with: "contexts: [\(contexts.joined(separator: ", ")), ")
            .replacing(", {name: c, context: {cluster: k, user: u}}", with: "")
        var line = "pvmigrate"
        for word in words {
            let isGlued = word == "=" || word == ":" || line.hasSuffix("=") || line.hasSuffix(":")
            line += (isGlued ? "" : " ") + word
        }
        let script = """
            source <(pvmigrate completion bash)
            COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
            _pvmigrate
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = ["-c", script, "bash", line, "pvmigrate"] + words
        process.environment = [
            "PATH": ProgramTests.directory.path + ":/usr/bin:/bin", "KUBECONFIG": try folder.write("config", config),
        ]
        process.standardOutput = output
        try process.run()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(String(decoding: said, as: UTF8.self).split(separator: "\n").map(String.init) == expected)
    }

    @Test("each shell has its script, and others are named")
    func scripts() throws {
        for shell in Shell.allCases { #expect(shell.script.contains(Completion.hiddenCommand)) }
        var shop = try Shop()
        let run = try shop.run(proposed: "pvmigrate completion tcsh")
        #expect(run.code == .usage && run.errors.contains("'bash', 'zsh' or 'fish'"))
    }
}
