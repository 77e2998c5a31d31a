import Kubernetes

/// The content of a mover: files that rsync copies (`RsyncFlags`), or a device that a script copies (`DeviceScript`).
protocol MoverContent: Sendable {
    /// The program that exits with a code, as messages name it.
    var tool: String { get }
    /// The command line of the copying container, program first.
    var copyingCommand: [String] { get }
    var checkingCommand: [String] { get }
    /// The command line of a container that only compares, some time after the copy.
    var comparingCommand: [String] { get }
    /// True where a copy that did not fail is still to be checked.
    var isToBeChecked: Bool { get }
    /// Returns the command line of a container that copies while the workload writes; nil for content that must stand
    /// still.
    ///
    /// - Parameter moment: The moment since which writes may be missing in what it reads, in seconds since 1970; nil
    ///   where it reads the volume that is written to.
    func passCommand(since moment: Int?) -> [String]?
    /// The command line of preflight's trial, which has only the destination. Where there is a shell, it shows at
    /// its end the label that its process has (`Labels`).
    var tryingCommand: [String] { get }
    /// Returns the call that tells a standing mover a command; nil for content that no mover stands for.
    func call(for command: Command) -> String?

    /// False where the copied data may be lost with the node for a while after the mover's end.
    var isFlushed: Bool { get }

    /// The same content for a mover that is not root.
    var withoutRoot: Self { get }
    /// The same content for a repeated copy, after a failed copy or check.
    var repeated: Self { get }

    /// Returns the same content with a source that another pod serves; nil for content that cannot be copied so.
    func served(at address: String) -> Self?
    /// Returns the fields of a container that give it volumes, each at the path of its name.
    func volumes(_ names: [String], readOnly: Set<String>) -> [String: JSON]
    /// Returns what is still to be copied, from the output of a check that succeeded; nil where the output does not
    /// prove that the check looked, or is cut so that a difference may be missing.
    func differences(in check: String) -> [String]?
    /// Returns the reason why another attempt would leave the same differences; nil where it may not.
    func whyFinal(_ differences: [String]) -> String?
    /// Returns true where an error at the end can be overruled by a check. A mover of its own then makes the check.
    func isHarmless(_ code: Int, output: String) -> Bool
    /// Returns how much was copied or compared; nil where the output does not tell.
    func statistics(in output: String) -> CopyStatistics?
    /// Returns the progress of the copy, where a line of its output tells.
    func amount(in line: Substring) -> CopyAmount?
    func exit(_ code: Int) -> MoverExit
    /// Returns advice that depends on the output.
    func advice(output: String) -> String?
    /// Returns the content without what the copy can do without, where a failure is about nothing else.
    func reduced(after code: Int, output: String) -> (content: any MoverContent, loss: Loss)?
}

/// The part that a copy does without.
enum Loss: Equatable {
    /// Metadata that the file systems cannot hold, or that this rsync was not built for.
    case metadata([String])
    /// The shell, which the image lacks. The copy's progress is not shown then.
    case shell
}

extension MoverContent {
    /// The command line of a pass that reads the volume that is written to.
    var passCommand: [String]? { passCommand(since: nil) }
}

extension ClaimState {
    /// Returns the content of its movers.
    ///
    /// - Parameter found: The findings of the run; empty before the first mover.
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
        // Without a shell an interrupted pass cannot be settled: its stamp stays, and the check sees it.
        return ["rsync", "--filter=P /\(CopyScript.stamp)"] + copying
    }
    func passCommand(since moment: Int?) -> [String]? { hasShell ? command(.pass, since: moment, copying) : nil }
    var checkingCommand: [String] { ["rsync"] + checking }
    var comparingCommand: [String] {
        hasShell ? CopyScript.command(.compare, .all, streams: "1", checking) : checkingCommand
    }
    /// True where a shell flushes. rsync's own `--fsync` flushes contents, but no names, and nothing that an earlier
    /// copy left.
    var isFlushed: Bool { hasShell }
    /// True also without verification where it is not root: only the check sees owners that could not be kept.
    var isToBeChecked: Bool { verification != .none || !isRoot }
    var tryingCommand: [String] {
        let trial = ["rsync"] + further + ["--version"]
        return hasShell ? ["sh", "-c", Labels.script, "sh"] + trial : trial
    }

    func call(for command: Command) -> String? {
        // All of rsync's own output is more than a standing mover keeps.
        guard hasShell, !verbose else { return nil }
        let line =
            switch command {
            case .pass: self.command(.pass, copying)
            case .copy: copyingCommand
            case .check: self.command(.plain, checking)
            case .compare: comparingCommand
            }
        return CopyScript.call(line)
    }

    private func command(_ mode: CopyScript.Mode, since moment: Int? = nil, _ rsync: [String]) -> [String] {
        // Only rsync knows what the person's own flags select or ask for.
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
        // The statistics prove that the check looked. The person's own flags may silence it.
        guard CopyStatistics(rsync: check) != nil else { return nil }
        let found = RsyncDifferences(in: check)
        let differences = found.lines.filter { !isOfTheMount($0) }
        // The missing part may have held a difference.
        return found.isWhole || !differences.isEmpty ? differences.map(String.init) : nil
    }

    var withoutRoot: RsyncFlags {
        var flags = self
        flags.isRoot = false
        return flags
    }

    /// The flags of a repeated copy. By size and time rsync would skip files that only contents tell apart.
    var repeated: RsyncFlags {
        var flags = self
        flags.comparesContents = verification == .checksum
        return flags
    }

    func served(at address: String) -> RsyncFlags? {
        var flags = self
        // Brackets separate a literal IPv6 address from a port.
        flags.source = (address.contains(":") ? "[\(address)]" : address) + "::source/"
        return flags
    }

    /// Returns true where the item is the volume's own directory. It is root's, so nobody else can set its time and
    /// mode. Its owners must be the same.
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
