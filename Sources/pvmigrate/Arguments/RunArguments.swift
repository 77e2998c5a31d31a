import ArgumentParser
import Migration

/// The flags that say how workloads may be stopped which can't just be scaled.
struct StoppingArguments: ParsableArguments {
    @Flag(help: "Delete pods that nothing owns, and create them again afterwards.")
    var recreatePods = false

    @Option(
        help: ArgumentHelp(
            "How to pause a custom resource that owns workloads and has no scale; may be given several times.",
            discussion: #"A merge patch, which is taken back afterwards: --pause 'Kafka/main={"spec":{"pause":true}}'"#,
            valueName: "kind/name=patch"
        )
    )
    var pause: [String] = []

    func apply(to options: inout Options) throws(UsageError) {
        options.recreatesPods = recreatePods
        for text in pause {
            guard let pause = Pause(text) else {
                throw UsageError(
                    #"--pause "\(text)" is not of the form KIND/NAME=PATCH with a JSON object as the patch, "#
                        + #"such as 'Kafka/main={"spec":{"pause":true}}'"#
                )
            }
            options.pauses.append(pause)
        }
    }
}

/// Whether the cluster is told what happens.
struct EventArguments: ParsableArguments {
    @Flag(help: "Record no Events on claims and workloads, which `kubectl describe` would show.")
    var noEvents = false

    func apply(to options: inout Options) { options.recordsEvents = !noEvents }
}

/// The files that a run writes.
struct FileArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Write a test case for each claim here at the end, as CI systems read it.",
            valueName: "file"
        )
    )
    var junit: String?

    @Option(
        help: ArgumentHelp(
            "Write a page here at the end: what was migrated, when, and for how long workloads were down.",
            valueName: "file"
        )
    )
    var report: String?

    func checked() throws(UsageError) -> Invocation.Files {
        let files = Invocation.Files(
            junit: try Check.notEmpty(junit, "--junit").map { ResultFile(flag: "--junit", path: $0) },
            report: try Check.notEmpty(report, "--report").map { ResultFile(flag: "--report", path: $0) }
        )
        if let path = files.junit?.path, path == files.report?.path {
            throw UsageError("--junit and --report are the same file \(path)")
        }
        return files
    }
}
