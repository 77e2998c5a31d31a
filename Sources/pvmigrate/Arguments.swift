import ArgumentParser
import Kubernetes
import Migration

/// Whether results are for a person or for a program.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
    /// Events, one JSON object a line, as they happen.
    case jsonl
}

/// The flags of every command that asks a cluster.
struct ConnectionArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The kubeconfig. (default: $KUBECONFIG, the pod's service account, ~/.kube/config)",
            valueName: "file"
        )
    )
    var kubeconfig: String?

    @Option(help: ArgumentHelp("The kubeconfig's context. (default: its current one)", valueName: "name"))
    var context: String?

    @Option(help: ArgumentHelp("How many requests a second the API server is sent at most.", valueName: "number"))
    var qps = 100

    @Option(help: ArgumentHelp("How results are written on stdout.", valueName: "format"))
    var output = OutputFormat.text

    /// - Parameter streaming: whether the command has events to stream.
    func checked(streaming: Bool = false) throws(UsageError) -> Connection {
        guard streaming || output != .jsonl else {
            throw UsageError("--output jsonl streams what happens in a run; this command has one result: use json")
        }
        return Connection(
            kubeconfig: try Check.notEmpty(kubeconfig, "--kubeconfig"),
            context: try Check.notEmpty(context, "--context"),
            format: output,
            rate: RequestRate(perSecond: try Check.requestsPerSecond(qps))
        )
    }
}

/// Which claims a command is about; each flag but --selector may come several times.
struct SelectionArguments: ParsableArguments {
    @Option(
        name: [.customShort("n"), .customLong("namespace")],
        help: ArgumentHelp("Only the claims of these namespaces. (default: all)", valueName: "names")
    )
    var namespace: [String] = []

    @Option(help: ArgumentHelp("Not the claims of these namespaces.", valueName: "names"))
    var excludeNamespace: [String] = []

    @Option(
        name: [.customShort("l"), .customLong("selector")],
        help: ArgumentHelp("Only the claims with these labels, as kubectl selects them.", valueName: "labels")
    )
    var selector: String?

    @Option(help: ArgumentHelp("Only this claim; may be given several times.", valueName: "namespace/name"))
    var pvc: [String] = []

    @Option(help: ArgumentHelp("Not this claim; may be given several times.", valueName: "namespace/name"))
    var exclude: [String] = []

    func checked() throws(UsageError) -> Selection {
        var selection = Selection()
        selection.namespaces = try Check.namespaces(namespace, "--namespace")
        selection.excludedNamespaces = try Check.namespaces(excludeNamespace, "--exclude-namespace")
        for name in pvc { selection.claims.insert(try Check.claim(name, "--pvc")) }
        for name in exclude { selection.excludedClaims.insert(try Check.claim(name, "--exclude")) }
        if let selector, selector.allSatisfy(\.isWhitespace) { throw UsageError("--selector is empty") }
        selection.labels = selector
        // What contradicts itself is a slip, and would look as if there were nothing to do.
        if let both = selection.namespaces.intersection(selection.excludedNamespaces).min() {
            throw UsageError("the namespace \(both) is both in --namespace and in --exclude-namespace")
        }
        for claim in selection.claims.sorted() {
            if let filter = selection.whatLeavesOut(claim) { throw UsageError("--pvc \(claim) is \(filter)") }
        }
        return selection
    }
}

/// Which migration a command makes, takes back or tells of.
struct MigrationArguments: ParsableArguments {
    @Option(
        name: .customLong("source-sc"),
        help: ArgumentHelp("The StorageClass to migrate from. Required.", valueName: "name")
    )
    var sourceClass: String?

    @Option(
        name: .customLong("dest-sc"),
        help: ArgumentHelp("The StorageClass to migrate to. Required.", valueName: "name")
    )
    var destinationClass: String?

    @OptionGroup var selection: SelectionArguments

    func checked() throws(UsageError) -> Options {
        let (sourceClass, destinationClass) = try Check.classNames(sourceClass, destinationClass)
        guard let sourceClass else { throw UsageError("--source-sc is missing") }
        guard let destinationClass else { throw UsageError("--dest-sc is missing") }
        var options = Options(sourceClass: sourceClass, destinationClass: destinationClass)
        options.selection = try selection.checked()
        return options
    }
}

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

/// The flags of how claims are copied.
struct CopyArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The image to copy with; must have rsync on its PATH.", valueName: "image"))
    var rsyncImage = Options(sourceClass: "", destinationClass: "").rsyncImage

    @Option(
        name: .customLong("rsync-flags"),
        help: ArgumentHelp(
            "Further flags for rsync, separated by commas.",
            discussion: "Given several times, each is one flag as it is, commas and all; empty ones don't count.",
            valueName: "flags"
        )
    )
    var rsyncFlags: [String] = []

    @Option(
        name: .customLong("dest-size"),
        help: ArgumentHelp(
            "How large the new volumes are, of the old ones' capacity: 120%. (default: as large)",
            discussion: "The annotation kurl.sh/pvcmigrate-destinationsize gives a claim a size of its own.",
            valueName: "percentage"
        )
    )
    var destinationSize: String?

    @Option(
        help: ArgumentHelp(
            "A partial pod manifest, in YAML or JSON, that is merged into every mover and preflight pod.",
            valueName: "file"
        )
    )
    var moverTemplate: String?

    @Option(help: ArgumentHelp("How many units are migrated side by side.", valueName: "number"))
    var parallel = Options(sourceClass: "", destinationClass: "").parallel

    @Option(help: ArgumentHelp("How many of them may have their pods on the same node.", valueName: "number"))
    var parallelPerNode = Options(sourceClass: "", destinationClass: "").parallelPerNode

    @Option(
        help: ArgumentHelp(
            "How long the copy after the stop may take, where passes before it can make it so: 10s, 2m.",
            discussion:
                "With --live and `pvmigrate stage`, passes are made until one is as short, or they don't get shorter.",
            valueName: "duration"
        )
    )
    var maxOutage = "10s"

    @Option(
        help: ArgumentHelp(
            "How many copiers fill an empty volume side by side, before rsync goes over it. (default: as suits the node)",
            discussion: "With --rsync-flags or --verbose-copy there is one rsync, which does all.",
            valueName: "number"
        )
    )
    var streams: Int?

    @Option(
        help: ArgumentHelp(
            "How many bytes a second all movers together may copy: 50M, 1.5G. (default: no limit)",
            discussion: "Each mover has a fixed share of it, whether the others use theirs or not.",
            valueName: "bytes"
        )
    )
    var bandwidthLimit: String?

    @Flag(help: "Show rsync's own output, complete.")
    var verboseCopy = false

    func apply(to options: inout Options) throws(UsageError) {
        options.destinationSize = try Check.percentage(destinationSize)
        options.rsyncImage = try Check.image(rsyncImage)
        options.rsyncFlags = try Check.rsyncFlags(rsyncFlags)
        options.moverTemplate = try Check.moverTemplate(moverTemplate)
        options.parallel = try Check.parallel(parallel, "--parallel")
        options.parallelPerNode = try Check.parallel(parallelPerNode, "--parallel-per-node")
        options.maxOutage = try Check.duration(maxOutage, "--max-outage")
        options.streams = try streams.map { number throws(UsageError) in try Check.parallel(number, "--streams") }
        options.bandwidthLimit = try Check.bandwidth(bandwidthLimit, with: options)
        options.verboseCopy = verboseCopy
    }
}

/// The flags of how preflight checks.
struct PreflightArguments: ParsableArguments {
    @Flag(help: "Migrate from a class that does not exist any more.")
    var skipSourceValidation = false

    @Option(help: ArgumentHelp("How long a pod of preflight may take to run.", valueName: "seconds"))
    var podReadyTimeout = 60

    @Option(
        name: .customLong("delete-pv-timeout"),
        help: ArgumentHelp("How long the volume of a temporary claim may take to go.", valueName: "seconds")
    )
    var deleteVolumeTimeout = 300

    func apply(to options: inout Options) throws(UsageError) {
        options.skipSourceValidation = skipSourceValidation
        options.podReadyTimeout = try Check.seconds(podReadyTimeout, "--pod-ready-timeout")
        options.deleteVolumeTimeout = try Check.seconds(deleteVolumeTimeout, "--delete-pv-timeout")
    }
}

/// The flags of `pvmigrate`.
///
/// What is required is checked in `checked`, together with everything else that may be wrong with a value.
struct MigrateArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate",
        abstract: "Moves the PersistentVolumeClaims of one StorageClass to another, keeping their names.",
        usage: (["pvmigrate --source-sc <name> --dest-sc <name> [flags]"]
            + Subcommands.all.map { "pvmigrate \($0.name) \($0.flags)" }).joined(separator: "\n"),
        version: "pvmigrate \(version)"
    )

    @OptionGroup var migration: MigrationArguments

    @OptionGroup var copying: CopyArguments

    @Flag(help: "Copy while the workloads run, and stop them only for what has changed since.")
    var live = false

    @Flag(help: "Make the destination class the default class afterwards.")
    var setDefaults = false

    @Flag(help: "Make StatefulSets name the destination class in their claim templates afterwards.")
    var updateClaimTemplates = false

    @OptionGroup var checks: PreflightArguments

    @Flag(help: "Only check whether the migration would work.")
    var preflightValidationOnly = false

    @Flag(help: "Migrate without checking first.")
    var skipPreflightValidation = false

    @Flag(help: "Keep each source volume, so that `pvmigrate rollback` can swap its claim back to it.")
    var keepSource = false

    @OptionGroup var stopping: StoppingArguments
    @OptionGroup var events: EventArguments

    @Flag(help: "Show what would be done, and change nothing.")
    var dryRun = false

    @OptionGroup var files: FileArguments

    @OptionGroup var connection: ConnectionArguments

    /// Checks every value, and the flags together.
    ///
    /// - Throws: `UsageError` with the first thing that is wrong.
    func checked() throws(UsageError) -> Invocation {
        var options = try migration.checked()
        if preflightValidationOnly {
            for (given, other) in [(skipPreflightValidation, "--skip-preflight-validation"), (dryRun, "--dry-run")]
            where given {
                throw UsageError("--preflight-validation-only and \(other) exclude each other")
            }
        }
        try copying.apply(to: &options)
        try stopping.apply(to: &options)
        events.apply(to: &options)
        try checks.apply(to: &options)
        options.isLive = live
        options.keepSource = keepSource
        options.setDefaults = setDefaults
        options.updatesClaimTemplates = updateClaimTemplates
        return Invocation(
            options: options,
            connection: try connection.checked(streaming: true),
            mode: dryRun
                ? .plan
                : preflightValidationOnly ? .preflight : .migrate(afterPreflight: !skipPreflightValidation),
            files: try files.checked()
        )
    }
}

/// The flags of `pvmigrate rollback`.
struct RollbackArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate rollback",
        abstract: "Swaps claims back to the source volumes that were kept with --keep-source.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup var migration: MigrationArguments

    @Flag(help: "Give up what was written since the migration.")
    var discardChanges = false

    @Flag(help: "Keep the volumes that the claims are on now, for a way forward again.")
    var keepSource = false

    @Option(help: ArgumentHelp("The image to compare with; must have rsync on its PATH.", valueName: "image"))
    var rsyncImage = Options(sourceClass: "", destinationClass: "").rsyncImage

    @Option(
        help: ArgumentHelp(
            "A partial pod manifest, in YAML or JSON, that is merged into every mover.",
            valueName: "file"
        )
    )
    var moverTemplate: String?

    @Flag(help: "Roll back without checking first.")
    var skipPreflightValidation = false

    @OptionGroup var stopping: StoppingArguments
    @OptionGroup var events: EventArguments

    @Flag(help: "Show what would be done, and change nothing.")
    var dryRun = false

    @OptionGroup var files: FileArguments

    @OptionGroup var connection: ConnectionArguments

    func checked() throws(UsageError) -> Invocation {
        var options = try migration.checked().back(discardingChanges: discardChanges)
        options.keepSource = keepSource
        options.rsyncImage = try Check.image(rsyncImage)
        try stopping.apply(to: &options)
        events.apply(to: &options)
        options.moverTemplate = try Check.moverTemplate(moverTemplate)
        return Invocation(
            options: options,
            connection: try connection.checked(streaming: true),
            mode: dryRun ? .plan : .migrate(afterPreflight: !skipPreflightValidation),
            files: try files.checked()
        )
    }
}

/// The flags of `pvmigrate stage`.
struct StageArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate stage",
        abstract: "Copies while the workloads run, so that a later `pvmigrate --live` has little left to copy.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup var migration: MigrationArguments
    @OptionGroup var copying: CopyArguments
    @OptionGroup var checks: PreflightArguments

    @Flag(help: "Copy without checking first.")
    var skipPreflightValidation = false

    @OptionGroup var stopping: StoppingArguments
    @OptionGroup var events: EventArguments

    @Flag(help: "Show what would be done, and change nothing.")
    var dryRun = false

    @OptionGroup var files: FileArguments
    @OptionGroup var connection: ConnectionArguments

    func checked() throws(UsageError) -> Invocation {
        var options = try migration.checked()
        options.goal = .stage
        try copying.apply(to: &options)
        try stopping.apply(to: &options)
        events.apply(to: &options)
        try checks.apply(to: &options)
        return Invocation(
            options: options,
            connection: try connection.checked(streaming: true),
            mode: dryRun ? .plan : .migrate(afterPreflight: !skipPreflightValidation),
            files: try files.checked()
        )
    }
}

/// The flags of `pvmigrate abort`.
struct AbortArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate abort",
        abstract: "Takes back what a run has left half done, and removes what it had copied.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup var migration: MigrationArguments
    @OptionGroup var files: FileArguments
    @OptionGroup var connection: ConnectionArguments

    func checked() throws(UsageError) -> Invocation {
        Invocation(
            options: try migration.checked(),
            connection: try connection.checked(streaming: true),
            mode: .abort,
            files: try files.checked()
        )
    }
}

/// The flags of `pvmigrate cleanup`.
struct CleanupArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate cleanup",
        abstract: "Removes the volumes that were kept for a rollback, once they are old enough.",
        version: "pvmigrate \(version)"
    )

    @Option(help: ArgumentHelp("Keep those of the last days; 0 for none. Required.", valueName: "days"))
    var keepDays: Int?

    @OptionGroup var selection: SelectionArguments

    @Flag(help: "Show what would be freed, and change nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionArguments

    func checked() throws(UsageError) -> (Options, age: Duration, connection: Connection) {
        guard let keepDays else { throw UsageError("--keep-days is missing") }
        guard (0...100_000).contains(keepDays) else {
            throw UsageError("--keep-days must be a whole number of days from 0 to 100000, not \(keepDays)")
        }
        var options = Options(sourceClass: "", destinationClass: "")
        options.selection = try selection.checked()
        return (options, .seconds(86_400 * keepDays), try connection.checked())
    }
}

/// The flags of `pvmigrate rbac`.
struct RBACArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate rbac",
        abstract: "Prints a manifest for kubectl apply: a ServiceAccount that may do what a run does, and no more.",
        version: "pvmigrate \(version)"
    )

    @Option(
        name: [.customShort("n"), .customLong("namespace")],
        help: ArgumentHelp("Only what a run with this --namespace needs.", valueName: "names")
    )
    var namespace: [String] = []

    @Flag(help: "Also what --set-defaults needs.")
    var setDefaults = false

    @Flag(help: "Also what --update-claim-templates needs.")
    var updateClaimTemplates = false

    @Flag(help: "Only what a run with --no-events needs.")
    var noEvents = false

    @Option(
        name: .customLong("dest-size"),
        help: ArgumentHelp("Also what a run with this --dest-size needs.", valueName: "percentage")
    )
    var destinationSize: String?

    func checked() throws(UsageError) -> Options {
        var options = Options(sourceClass: "", destinationClass: "")
        options.selection.namespaces = try Check.namespaces(namespace, "--namespace")
        options.setDefaults = setDefaults
        options.updatesClaimTemplates = updateClaimTemplates
        options.recordsEvents = !noEvents
        options.destinationSize = try Check.percentage(destinationSize)
        return options
    }
}

/// The flags of `pvmigrate status`.
struct StatusArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate status",
        abstract: "Tells what is under way, stopped, left over, or kept for a rollback; changes nothing.",
        version: "pvmigrate \(version)"
    )

    @Option(
        name: .customLong("source-sc"),
        help: ArgumentHelp(
            "Only migrations from this StorageClass, and how many claims it still has.",
            valueName: "name"
        )
    )
    var sourceClass: String?

    @Option(
        name: .customLong("dest-sc"),
        help: ArgumentHelp("Only migrations to this StorageClass, and how many claims are on it.", valueName: "name")
    )
    var destinationClass: String?

    @OptionGroup var selection: SelectionArguments

    @OptionGroup var connection: ConnectionArguments

    func checked() throws(UsageError) -> (MigrationStatus.Scope, Connection) {
        var scope = MigrationStatus.Scope()
        (scope.sourceClass, scope.destinationClass) = try Check.classNames(sourceClass, destinationClass)
        scope.selection = try selection.checked()
        return (scope, try connection.checked())
    }
}

/// What a person asked for, with every value checked.
struct Invocation: Sendable {
    /// Reads it from the command's arguments, in Go's spellings too.
    ///
    /// - Throws: `UsageError`, or the argument parser's own errors and requests for help.
    static func read(_ arguments: [String]) throws -> Invocation {
        try MigrateArguments.parse(try GoSpelling.normalise(arguments)).checked()
    }

    enum Mode: Sendable, Equatable {
        /// `--dry-run`
        case plan
        /// `--preflight-validation-only`
        case preflight
        /// A rollback too.
        case migrate(afterPreflight: Bool)
        case abort
    }

    /// What a run writes at its end, however it ends.
    struct Files: Sendable {
        var junit: ResultFile?
        var report: ResultFile?
    }

    var options: Options
    var connection: Connection
    var mode: Mode
    var files: Files
}

/// The checks of single values.
private enum Check {
    static func notEmpty(_ text: String?, _ flag: String) throws(UsageError) -> String? {
        if text == "" { throw UsageError("\(flag) is empty") }
        return text
    }

    /// Source and destination class, as far as they are given.
    static func classNames(
        _ source: String?,
        _ destination: String?
    ) throws(UsageError) -> (source: String?, destination: String?) {
        for (text, flag) in [(source, "--source-sc"), (destination, "--dest-sc")] {
            guard let text = try notEmpty(text, flag) else { continue }
            guard isName(text, limit: 253, dots: true) else {
                throw UsageError("\(flag) \"\(text)\" is not the name of a StorageClass")
            }
        }
        if let source, source == destination {
            throw UsageError("--source-sc and --dest-sc are both \"\(source)\"; they must differ")
        }
        return (source, destination)
    }

    /// `NAMESPACE/NAME`
    static func claim(_ text: String, _ flag: String) throws(UsageError) -> ObjectName {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, isName(parts[0], limit: 63, dots: false), isName(parts[1], limit: 253, dots: true)
        else {
            throw UsageError("\(flag) \"\(text)\" is not a claim's NAMESPACE/NAME")
        }
        return ObjectName(parts[1], in: parts[0])
    }

    /// Names that are separated by commas, or given one by one.
    static func namespaces(_ lists: [String], _ flag: String) throws(UsageError) -> Set<String> {
        if lists.contains("") { throw UsageError("\(flag) is empty; leave it out for all namespaces") }
        let names = lists.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        for name in names where !isName(name, limit: 63, dots: false) {
            throw UsageError("\(flag) \"\(name)\" is not the name of a namespace")
        }
        return Set(names)
    }

    static func percentage(_ text: String?) throws(UsageError) -> Percentage? {
        guard let text else { return nil }
        guard let percentage = Percentage(text) else {
            throw UsageError("--dest-size must be a percentage from 1% to 1000%, such as 120%, not \"\(text)\"")
        }
        return percentage
    }

    static func image(_ text: String) throws(UsageError) -> String {
        if text.isEmpty { throw UsageError("--rsync-image is empty") }
        guard text.allSatisfy({ $0.isASCII && !$0.isWhitespace && $0 > " " }), !text.hasPrefix("-") else {
            throw UsageError("--rsync-image \"\(text)\" is not the name of an image")
        }
        return text
    }

    /// One list is split at its commas; several are one flag each.
    static func rsyncFlags(_ lists: [String]) throws(UsageError) -> [String] {
        let flags =
            lists.count == 1
            ? (lists.first ?? "").split(separator: ",").map { String($0.trimmingPrefix(while: \.isWhitespace)) } : lists
        let real = flags.filter { !$0.isEmpty }
        // Later ones may be the value of the flag before: `-e,ssh`.
        if let first = real.first, !first.hasPrefix("-") {
            throw UsageError("--rsync-flags \"\(first)\" is no flag of rsync: it must begin with a dash")
        }
        return real
    }

    static func requestsPerSecond(_ number: Int) throws(UsageError) -> Int {
        guard 1...10_000 ~= number else { throw UsageError("--qps must be from 1 to 10000, not \(number)") }
        return number
    }

    static func parallel(_ number: Int, _ flag: String) throws(UsageError) -> Int {
        guard 1...64 ~= number else { throw UsageError("\(flag) must be from 1 to 64, not \(number)") }
        return number
    }

    /// A number of bytes: `50M`, `1.5G`; of binary units, as rsync has them.
    static func bandwidth(_ text: String?, with options: Options) throws(UsageError) -> Int64? {
        guard let text else { return nil }
        let units: [Character: Double] = ["K": 1024, "M": 1_048_576, "G": 1_073_741_824]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }), let number = Double(digits),
            (65_536...1e15).contains(number * (unit ?? 1))
        else {
            throw UsageError(
                "--bandwidth-limit must be bytes a second, 64K or more, such as 50M or 1.5G, not \"\(text)\""
            )
        }
        if options.rsyncFlags.contains(where: { $0.hasPrefix("--bwlimit") }) {
            throw UsageError("--bandwidth-limit and a --bwlimit in --rsync-flags exclude each other")
        }
        if let streams = options.streams, streams > 1 {
            throw UsageError("--bandwidth-limit and --streams exclude each other: only rsync keeps to a limit")
        }
        return Int64(number * (unit ?? 1))
    }

    /// A number of seconds, or with a unit as Go writes it: `90`, `90s`, `2m`, `1h`.
    static func duration(_ text: String, _ flag: String) throws(UsageError) -> Duration {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard let number = digits.allSatisfy({ $0.isASCII && $0.isNumber }) ? Int(digits) : nil,
            (1...1_000_000).contains(number)
        else {
            throw UsageError("\(flag) must be a duration such as 10s or 2m, not \"\(text)\"")
        }
        return .seconds(number * (unit ?? 1))
    }

    static func moverTemplate(_ path: String?) throws(UsageError) -> MoverTemplate? {
        guard let path = try notEmpty(path, "--mover-template") else { return nil }
        let manifest: JSON
        do {
            manifest = try ManifestFile.read(path)
        } catch {
            throw UsageError("--mover-template cannot be used: \(error)")
        }
        do {
            return try MoverTemplate(manifest)
        } catch {
            throw UsageError("--mover-template \(path): \(error)")
        }
    }

    /// The limit keeps sums of times far from overflowing; nobody waits for eleven days.
    static func seconds(_ number: Int, _ flag: String) throws(UsageError) -> Duration {
        guard (1...1_000_000).contains(number) else {
            throw UsageError("\(flag) must be a whole number of seconds from 1 to 1000000, not \(number)")
        }
        return .seconds(number)
    }

    /// A DNS label, or a subdomain (RFC 1123), as Kubernetes wants names.
    private static func isName(_ text: String, limit: Int, dots: Bool) -> Bool {
        guard text.utf8.count <= limit else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            !label.isEmpty && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
                }
        } && (dots || !text.contains("."))
    }
}
