import ArgumentParser
import Migration

/// What a run finds out to need only as it goes, so that nobody but a person can grant it beforehand.
struct GrantArguments: ParsableArguments {
    @Flag(help: "Also what copies over the network need, where no node can mount both volumes of a claim.")
    var networkCopy = false

    @Flag(
        help: "Also what movers need that stand ready before workloads stop, which saves some seconds of each outage."
    )
    var standingMovers = false
}

/// The flags of `pvmigrate job`.
struct JobArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate job",
        abstract: "Prints a manifest for kubectl apply: a Job that runs a command in the cluster, with its rights.",
        discussion: """
            The command is what stands behind the two dashes, without pvmigrate. The Job tries again what ended with 1 or 3, \
            and goes on where it was; it fails with 2 and 64. `kubectl logs` has what it tells, and `pvmigrate status --follow` \
            watches it.
            """,
        version: "pvmigrate \(version)"
    )

    @Option(
        help: ArgumentHelp("The image of the Job, which has pvmigrate on its PATH. Required.", valueName: "image")
    )
    var image: String?

    @OptionGroup var grants: GrantArguments

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("The command with its flags, as pvmigrate takes them.", valueName: "command")
    )
    var command: [String] = []

    /// - Throws: `UsageError`, or the argument parser's own errors about the command.
    func checked() throws -> JobManifest {
        guard let image else { throw UsageError("--image is missing") }
        guard !command.isEmpty else {
            throw UsageError(
                "what the Job is to run is missing: pvmigrate job --image … -- --source-sc gp2 --dest-sc gp3"
            )
        }
        let arguments = try GoSpelling.normalise(command)
        for argument in arguments {
            let flag = String(argument.prefix { $0 != "=" })
            guard let why = Self.local[flag] else { continue }
            throw UsageError("\(flag) \(why), and the Job's pod has none of this machine's: leave it out")
        }
        let options = try Self.invocation(command).options
        return JobManifest(
            image: try Check.image(image, "--image"),
            command: command,
            rights: { [networkCopy = grants.networkCopy, standingMovers = grants.standingMovers] account in
                Permissions.rbac(
                    for: options,
                    copiesOverNetwork: networkCopy,
                    runsCommands: standingMovers,
                    retypes: options.goal == .retype,
                    account: account
                )
            },
            wayBack: options.wayBack
        )
    }

    private static func invocation(_ command: [String]) throws -> Invocation {
        guard let (type, rest) = Subcommands.find(in: command) else { return try Invocation.read(command) }
        guard let run = try type.parse(try GoSpelling.normalise(rest)) as? any RunSubcommand else {
            throw UsageError(
                "a Job runs what migrates, rolls back or takes back, which `pvmigrate \(type.name)` does not"
            )
        }
        let invocation = try run.checked()
        guard invocation.plan == nil else {
            throw UsageError("a plan is a file, and the Job's pod has none of this machine's: give the command itself")
        }
        guard invocation.tree?.directory == nil else {
            throw UsageError("the Job's pod has no directory of this machine's to copy from or to")
        }
        return invocation
    }

    /// The flags that name something of the machine on which they are given.
    private static let local: [String: String] = {
        let files = ["--kubeconfig", "--token-file", "--mover-template", "--junit", "--report", "--metrics"]
        let names = ["--context", "--cluster", "--user"]
        return Dictionary(uniqueKeysWithValues: files.map { ($0, "names a file") })
            .merging(names.map { ($0, "names a part of a kubeconfig") }) { $1 }
    }()
}

extension JobArguments: Subcommand {
    static let name = "job"
    static let flags = "--image <image> [flags] -- <command>"

    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode {
        surroundings.output(try checked().text)
        return .done
    }
}
