import Kubernetes

/// What a mover copies, and with what: files with rsync (`RsyncFlags`), or a device with a script (`DeviceScript`).
protocol MoverContent: Sendable {
    /// Who ends with an exit code, as messages name it.
    var tool: String { get }
    /// The command lines, program first, of the container that copies and of the one that checks.
    var copyingCommand: [String] { get }
    var checkingCommand: [String] { get }
    /// That of a container that only compares, some time after the copy.
    var comparingCommand: [String] { get }
    /// Whether a copy that did not fail is to be checked all the same.
    var isToBeChecked: Bool { get }
    /// That of a container that copies while the workload goes on writing; nil for what has to stand still.
    ///
    /// - Parameter moment: since when what it reads may lack what was written, in seconds since 1970; nil where it reads
    ///   what is written to.
    func passCommand(since moment: Int?) -> [String]?
    /// The command line of preflight's trial, which has the destination only.
    var tryingCommand: [String] { get }

    /// False where what is copied may be lost with the node for a while after the mover's end.
    var isFlushed: Bool { get }

    /// The same for a mover that is not root.
    var withoutRoot: Self { get }
    /// The same for a copy that repeats one which failed, or whose check did.
    var repeated: Self { get }

    /// The same with a source that another pod serves; nil for what can't be copied that way.
    func served(at address: String) -> Self?
    /// The fields of a container that give it volumes, each at the path of its name.
    func volumes(_ names: [String], readOnly: Set<String>) -> [String: JSON]
    /// What is still to be copied, in the words of a check that ended well; nil where it does not say that it looked, or
    /// where its words are cut so that a difference may be missing.
    func differences(in check: String) -> [String]?
    /// Why another attempt would leave the same differences; nil where it may not.
    func whyFinal(_ differences: [String]) -> String?
    /// True of an end with an error that a check can overrule, which is then made by a mover of its own.
    func isHarmless(_ code: Int, output: String) -> Bool
    /// How much was copied, or compared; nil where the output does not tell.
    func statistics(in output: String) -> CopyStatistics?
    /// How far the copy is, where a line of its output tells.
    func amount(in line: Substring) -> CopyAmount?
    func exit(_ code: Int) -> MoverExit
    /// Advice that only the output allows.
    func advice(output: String) -> String?
    /// What the copy can do without, where a failure is about nothing else: the content to go on with.
    func reduced(after code: Int, output: String) -> (content: any MoverContent, loss: Loss)?
}

/// What a copy does without.
enum Loss: Equatable {
    /// Something that the file systems can't hold, or this rsync was not built for.
    case metadata([String])
    /// The image has none: there is nothing to see of the copy while it runs.
    case shell
}

extension MoverContent {
    /// The one that reads what is written to.
    var passCommand: [String]? { passCommand(since: nil) }
}

extension ClaimState {
    /// What its movers copy.
    ///
    /// - Parameter found: nothing yet, before the first of them.
    func content(_ options: Options, found: Findings.All = Findings.All()) -> any MoverContent {
        if isBlock { return DeviceScript(verification: options.verification) }
        let flags = RsyncFlags(
            hasShell: !found.lacksShell,
            verbose: options.verboseCopy,
            streams: options.streams,
            bandwidthLimit: options.bandwidthLimit.map { $0 / Int64(found.movers) },
            verification: options.verification,
            further: options.rsyncFlags
        )
        return options.moverTemplate?.leavesRoot == false ? flags.withoutRoot : flags
    }

    var isBlock: Bool { (claim?.volumeMode ?? source?.spec.volumeMode) == .block }
}

extension RsyncFlags: MoverContent {
    var tool: String { "rsync" }
    var copyingCommand: [String] {
        if hasShell { return command(isToBeChecked ? .copy : .unchecked, copying) }
        // Without a shell an interrupted pass can't be settled: its stamp stays, and the check sees it.
        return ["rsync", "--filter=P /\(CopyScript.stamp)"] + copying
    }
    func passCommand(since moment: Int?) -> [String]? { hasShell ? command(.pass, since: moment, copying) : nil }
    var checkingCommand: [String] { ["rsync"] + checking }
    var comparingCommand: [String] {
        hasShell ? CopyScript.command(.compare, .all, streams: "1", checking) : checkingCommand
    }
    /// rsync's own `--fsync` flushes contents, but no names, and nothing that an earlier copy has left.
    var isFlushed: Bool { hasShell }
    /// Only the check sees owners that could not be kept.
    var isToBeChecked: Bool { verification != .none || !isRoot }
    var tryingCommand: [String] {
        let trial = further + ["--version"]
        return hasShell ? command(.plain, trial) : ["rsync"] + trial
    }

    private func command(_ mode: CopyScript.Mode, since moment: Int? = nil, _ rsync: [String]) -> [String] {
        // What the person's own flags select, or ask for, is rsync's alone.
        let isAlone = verbose || !further.isEmpty || bandwidthLimit != nil
        let streams = isAlone ? "1" : streams.map(String.init) ?? "auto"
        return CopyScript.command(mode, verbose ? .all : .progress, streams: streams, since: moment, rsync)
    }

    func volumes(_ names: [String], readOnly: Set<String>) -> [String: JSON] {
        let mounts = names.map { name in
            var mount: JSON = ["name": .string(name), "mountPath": .string("/\(name)")]
            if readOnly.contains(name) { mount["readOnly"] = true }
            return mount
        }
        return ["volumeMounts": .array(mounts)]
    }

    func differences(in check: String) -> [String]? {
        // The statistics prove that it looked; the person's own flags may silence it.
        guard CopyStatistics(rsync: check) != nil else { return nil }
        let found = RsyncDifferences(in: check)
        let differences = found.lines.filter { !isOfTheMount($0) }
        // What is missing may have been a difference.
        return found.isWhole || !differences.isEmpty ? differences.map(String.init) : nil
    }

    var withoutRoot: RsyncFlags {
        var flags = self
        flags.isRoot = false
        return flags
    }

    /// By size and time rsync would pass over what only contents tell apart.
    var repeated: RsyncFlags {
        var flags = self
        flags.comparesContents = verification == .checksum
        return flags
    }

    func served(at address: String) -> RsyncFlags? {
        var flags = self
        // A literal address of IPv6 is told from a port by its brackets.
        flags.source = (address.contains(":") ? "[\(address)]" : address) + "::source/"
        return flags
    }

    /// The volume's own directory is root's: nobody else can set its time and mode. Its owners must be the same.
    private func isOfTheMount(_ item: Substring) -> Bool {
        guard !isRoot, item.hasPrefix(".d"), item.dropFirst(11) == " ./" else { return false }
        return zip(item.dropFirst(2), 2...10).allSatisfy { $0 == "." || [4, 5].contains($1) }
    }

    func whyFinal(_ differences: [String]) -> String? {
        guard !isRoot else { return nil }
        let others = differences.filter { item in
            !item.hasPrefix("*") && zip(item, 0...7).contains { $1 > 5 && "og".contains($0) }
        }
        guard let first = others.first else { return nil }
        return "without root the mover can't keep the owner or group of \(others.count) "
            + "\(others.count == 1 ? "entry" : "entries"), such as \(String(first.dropFirst(12)).shortened(to: 200))"
    }

    func isHarmless(_ code: Int, output: String) -> Bool {
        let complaints = output.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("rsync: ") }
        guard !isRoot, code == 23, !complaints.isEmpty else { return false }
        return complaints.allSatisfy { line in
            ["times", "permissions"].contains {
                line.contains("failed to set \($0) on \"/dest/.\": Operation not permitted")
            }
        }
    }

    func statistics(in output: String) -> CopyStatistics? { CopyStatistics(rsync: output) }
    func exit(_ code: Int) -> MoverExit { MoverExit(rsync: code) }
    func advice(output: String) -> String? { MoverExit.advice(output: output) }

    func reduced(after code: Int, output: String) -> (content: any MoverContent, loss: Loss)? {
        if hasShell, CopyScript.lacksShell(output) {
            var flags = self
            flags.hasShell = false
            return (flags, .shell)
        }
        guard [1, 4, 23].contains(code), let flags = MoverExit.unsupported(in: output, flags: self) else { return nil }
        let without =
            (accessControlLists && !flags.accessControlLists ? ["ACLs"] : [])
            + (extendedAttributes && !flags.extendedAttributes ? ["extended attributes"] : [])
        return (flags, .metadata(without))
    }
}
