import Kubernetes

/// What a mover copies, and with what: files with rsync (`RsyncFlags`), or a device with a script (`DeviceScript`).
protocol MoverContent: Sendable {
    /// Who ends with an exit code, as messages name it.
    var tool: String { get }
    /// The command lines, program first, of the container that copies and of the one that checks.
    var copyingCommand: [String] { get }
    var checkingCommand: [String] { get }
    /// The command line of preflight's trial, which has the destination only.
    var tryingCommand: [String] { get }

    /// The fields of a container that give it volumes, each at the path of its name.
    func volumes(_ names: [String], readOnly: Set<String>) -> [String: JSON]
    /// What is still to be copied, in the words of a check that ended well; nil where it does not say that it looked.
    func differences(in check: String) -> [String]?
    /// How much was copied, or compared; nil where the output does not tell.
    func statistics(in output: String) -> CopyStatistics?
    func exit(_ code: Int) -> MoverExit
    /// Advice that only the output allows.
    func advice(output: String) -> String?
    /// What the copy can do without, where a failure is about nothing else: the content to go on with, and what is lost.
    func reduced(after code: Int, output: String) -> (content: any MoverContent, without: [String])?
}

extension ClaimState {
    /// What its movers copy.
    func content(_ options: Options) -> any MoverContent {
        isBlock ? DeviceScript() : RsyncFlags(verbose: options.verboseCopy, further: options.rsyncFlags)
    }

    var isBlock: Bool { (claim?.volumeMode ?? source?.spec.volumeMode) == "Block" }
}

extension RsyncFlags: MoverContent {
    var tool: String { "rsync" }
    var copyingCommand: [String] { ["rsync"] + copying }
    var checkingCommand: [String] { ["rsync"] + checking }
    var tryingCommand: [String] { ["rsync"] + further + ["--version"] }

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
        CopyStatistics(rsync: check) == nil ? nil : RsyncDifferences(in: check).lines.map(String.init)
    }

    func statistics(in output: String) -> CopyStatistics? { CopyStatistics(rsync: output) }
    func exit(_ code: Int) -> MoverExit { MoverExit(rsync: code) }
    func advice(output: String) -> String? { MoverExit.advice(output: output) }

    func reduced(after code: Int, output: String) -> (content: any MoverContent, without: [String])? {
        guard [1, 4, 23].contains(code), let flags = MoverExit.unsupported(in: output, flags: self) else { return nil }
        let without =
            (accessControlLists && !flags.accessControlLists ? ["ACLs"] : [])
            + (extendedAttributes && !flags.extendedAttributes ? ["extended attributes"] : [])
        return (flags, without)
    }
}
