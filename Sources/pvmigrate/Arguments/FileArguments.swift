import ArgumentParser

/// The files that a run writes.
struct FileArguments: ParsableArguments {
    /// The names of its flags, which no plan holds.
    static let names: Set<String> = ["junit", "report", "metrics"]
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

    @Option(
        help: ArgumentHelp(
            "Write metrics here every 15 seconds and at the end, as the node exporter's textfile collector reads them.",
            valueName: "file"
        )
    )
    var metrics: String?

    func checked() throws(UsageError) -> Invocation.Files {
        let files = Invocation.Files(
            junit: try Check.notEmpty(junit, "--junit").map { ResultFile(flag: "--junit", path: $0) },
            report: try Check.notEmpty(report, "--report").map { ResultFile(flag: "--report", path: $0) },
            metrics: try Check.notEmpty(metrics, "--metrics").map { ResultFile(flag: "--metrics", path: $0) }
        )
        for (index, file) in files.all.enumerated() {
            guard let same = files.all.prefix(index).first(where: file.isSame) else { continue }
            throw UsageError("\(same.flag) and \(file.flag) are the same file \(file.path)")
        }
        return files
    }
}
