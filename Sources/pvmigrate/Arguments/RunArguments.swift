import ArgumentParser
import Migration

/// How workloads are stopped.
struct WorkloadArguments: ParsableArguments {
    @Flag(help: "Delete pods that nothing owns, and create them again afterwards.")
    var recreatePods = false

    @Option(
        help: ArgumentHelp(
            "How to pause a custom resource that owns workloads and can't be scaled; may be given several times.",
            discussion: #"A merge patch, which is taken back afterwards: --pause 'Kafka/main={"spec":{"pause":true}}'"#,
            valueName: "kind/name=patch"
        )
    )
    var pause: [String] = []

    @Option(
        help: ArgumentHelp(
            "How long the pods of stopped workloads may take to be gone; by default their grace period, and ten minutes at least.",
            valueName: "duration"
        )
    )
    var stopTimeout: String?

    func apply(to options: inout Options) throws(UsageError) {
        options.recreatesPods = recreatePods
        if let stopTimeout { options.stopTimeout = try Check.duration(stopTimeout, "--stop-timeout") }
        for text in pause { options.pauses.append(try Check.pause(text)) }
    }
}

/// What all commands that migrate have in common, one way or the other: how they stop workloads, whom they tell, and how
/// they reach the cluster.
struct RunArguments: ParsableArguments {
    @OptionGroup(title: "Workloads") var workloads: WorkloadArguments

    @Flag(help: "Record no Events on claims and workloads, which `kubectl describe` would show.")
    var noEvents = false

    @Flag(help: "Show what would be done, and change nothing.")
    var dryRun = false

    @Option(
        help: ArgumentHelp(
            "How long the whole run may take, after which it goes back as after Ctrl-C: 90m, 2h. (default: no limit)",
            valueName: "duration"
        )
    )
    var timeout: String?

    @OptionGroup(title: FileArguments.title) var files: FileArguments
    @OptionGroup(title: ConnectionArguments.title) var connection: ConnectionArguments

    /// What a command with these two flags is to do.
    ///
    /// - Throws: `UsageError` where the flags exclude each other.
    func mode(onlyValidates: Bool, skipsPreflight: Bool) throws(UsageError) -> Invocation.Mode {
        guard onlyValidates else { return .migrate(afterPreflight: !skipsPreflight) }
        for (given, other) in [(skipsPreflight, "--skip-preflight-validation"), (dryRun, "--dry-run")] where given {
            throw UsageError("--preflight-validation-only and \(other) exclude each other")
        }
        return .preflight
    }

    /// - Parameter mode: what is to be done where it is not only to be shown.
    func invocation(_ options: Options, _ mode: Invocation.Mode) throws(UsageError) -> Invocation {
        var options = options
        try workloads.apply(to: &options)
        options.recordsEvents = !noEvents
        return Invocation(
            options: options,
            connection: try connection.checked(streaming: true),
            mode: dryRun ? .plan : mode,
            files: try files.checked(),
            timeout: try timeout.map { text throws(UsageError) in try Check.duration(text, "--timeout") }
        )
    }
}
