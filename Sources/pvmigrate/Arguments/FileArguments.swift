import ArgumentParser

/// The files that a run writes.
struct FileArguments: ParsableArguments {
    /// The names of its flags, which no plan holds.
    static let names: Set<String> = ["junit", "report"]
    static let title = "Files"

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
        if let junit = files.junit, let report = files.report, junit.isSame(as: report) {
            throw UsageError("--junit and --report are the same file \(report.path)")
        }
        return files
    }
}
