import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("pvmigrate job")
struct JobTests {
    private func run(_ arguments: [String]) async -> Run {
        let console = Console()
        let code = await pvmigrate.run(
            ["job"] + arguments,
            in: console.surroundings(time: .instant) { _ in throw TransportError(.configuration, "asked") },
            interruption: Interruption()
        )
        return console.run(ending: code)
    }

    /// The documents of the manifest that is printed for a command.
    private func documents(_ flags: [String] = [], _ command: String...) async throws -> [JSON] {
        let run = await run(["--image", "example.com/pvmigrate:1"] + flags + ["--"] + command)
        #expect(run.code == .done && run.errors.isEmpty, "\(run.errors)")
        let folder = try TemporaryFolder()
        return try run.output.components(separatedBy: "---\n").enumerated().map { number, text in
            try ManifestFile.read(try folder.write("\(number).yaml", text))
        }
    }

    private static let migration = ["--source-sc", "slow", "--dest-sc=fast"]

    @Test("prints a Job that runs the command as it was given, with what keeps a run safe")
    func job() async throws {
        let documents = try await documents(
            [],
            "--source-sc",
            "slow",
            "--dest-sc=fast",
            "--pause",
            #"Kafka/a={"x":"$(Y)"}"#
        )
        let job = try #require(documents.last)
        #expect(job["kind"] == "Job" && job[path: ["metadata", "namespace"]] == "default")
        let spec = try #require(job["spec"])
        let rules = spec[path: ["podFailurePolicy", "rules"]]?.array ?? []
        #expect(rules.map { $0["action"]?.string } == ["Ignore", "FailJob"])
        #expect(rules.last?[path: ["onExitCodes", "values"]] == [2, 64])
        let pod = try #require(spec[path: ["template", "spec"]])
        #expect(pod["restartPolicy"] == "Never" && pod["serviceAccountName"] == job[path: ["metadata", "name"]])
        #expect(documents.first?[path: ["metadata", "name"]] == pod["serviceAccountName"])
        #expect(try #require(pod["terminationGracePeriodSeconds"]?.integer) > 1560)
        let container = try #require(pod["containers"]?.array?.first)
        #expect(container["image"] == "example.com/pvmigrate:1" && container["command"] == ["pvmigrate"])
        #expect(container["args"] == ["--source-sc", "slow", "--dest-sc=fast", "--pause", #"Kafka/a={"x":"$$(Y)"}"#])
        #expect(container[path: ["securityContext", "readOnlyRootFilesystem"]] == true)
        #expect(pod[path: ["securityContext", "runAsNonRoot"]] == true)
    }

    @Test("prints the rights that rbac prints for the same flags")
    func rights() async throws {
        for (flags, command, rbac) in [
            ([], Self.migration, []),
            (["--network-copy", "--standing-movers"], Self.migration, ["--network-copy", "--standing-movers"]),
            (
                [], Self.migration + ["--set-defaults", "-n", "shop", "--no-events"],
                [
                    "--set-defaults", "-n", "shop", "--no-events",
                ]
            ),
            ([], Self.migration + ["--retype", "--update-claim-templates"], ["--retype", "--update-claim-templates"]),
            (
                [], ["transfer", "-n=shop", "--to-namespace=eu", "--create-namespace", "--include=secrets"],
                [
                    "-n=shop", "--to-namespace=eu", "--create-namespace", "--include=secrets",
                ]
            ),
            ([], ["rollback"] + Self.migration, []),
        ] as [([String], [String], [String])] {
            let job = await run(["--image=x"] + flags + ["--"] + command)
            let console = Console()
            _ = await pvmigrate.run(
                ["rbac"] + rbac,
                in: console.surroundings(time: .instant) { _ in throw TransportError(.configuration, "asked") },
                interruption: Interruption()
            )
            let rights = console.run(ending: .done).output
            let name = try #require(job.output.firstMatch(of: /pvmigrate-[0-9a-f]{8}/)).0
            let own = job.output.replacing("name: \(name)\n", with: "name: pvmigrate\n")
            #expect(job.code == .done && own.hasPrefix(rights), "\(command): \(job.errors)")
        }
    }

    @Test("gives the same command the same name, and others other ones")
    func names() async throws {
        func name(_ flags: String...) async throws -> String {
            let text = await run(["--image=x", "--"] + Self.migration + flags).output
            return try #require(text.firstMatch(of: /name: (pvmigrate-[0-9a-f]{8})\n/)).1.description
        }
        let one = try await name()
        #expect(try await name() == one)
        let other = try await name("--live")
        #expect(other != one)
    }

    @Test(
        "refuses what names something of this machine, or is no run",
        arguments: [
            (
                "--image=x -- --source-sc=a --dest-sc=b --kubeconfig c",
                "--kubeconfig names a file, and the Job's pod has none of this machine's: leave it out"
            ),
            (
                "--image=x -- rollback --source-sc=a --dest-sc=b -report=c",
                "--report names a file, and the Job's pod has none of this machine's: leave it out"
            ),
            (
                "--image=x -- --context=c",
                "--context names a part of a kubeconfig, and the Job's pod has none of this machine's: leave it out"
            ),
            (
                "--image=x -- status",
                "a Job runs what migrates, rolls back or takes back, which `pvmigrate status` does not"
            ),
            ("--image=x -- --source-sc=a", "--dest-sc is missing"),
            (
                "--image=x",
                "what the Job is to run is missing: pvmigrate job --image … -- --source-sc gp2 --dest-sc gp3"
            ),
            ("-- --source-sc=a --dest-sc=b", "--image is missing"),
            ("--image=-x -- --source-sc=a --dest-sc=b", "--image \"-x\" is not the name of an image"),
        ]
    )
    func refused(arguments: String, message: String) async {
        let run = await run(arguments.split(separator: " ").map(String.init))
        #expect(run.code == .usage && run.output.isEmpty)
        #expect(run.errors == "error: \(message); see pvmigrate --help\n")
    }
}
