import Kubernetes

/// The copy of a block device: the script `device.sh`.
///
/// Each piece of the source is compared with the destination's and written where it differs. So runs of zeros stay
/// sparse on a fresh volume, and a repeated copy writes only the changes.
struct DeviceScript: MoverContent, Equatable {
    /// The programs that the script needs in the image.
    static let programs = ["sh", "dd", "cmp", "head", "wc", "sha256sum"]

    /// The verification. Any except none compares contents, because a device has nothing else.
    var verification = Options.Verification.quick

    /// The script's own exit codes.
    private enum Code: Int { case empty = 65, input, tooSmall }

    static let text = MoverScript.text(PackageResources.device_sh)

    private static func command(_ mode: String) -> [String] { ["sh", "-c", text, "sh", mode] }

    var tool: String { "the copy of the device" }
    var copyingCommand: [String] { Self.command("copy") }
    var checkingCommand: [String] { Self.command("check") }
    var comparingCommand: [String] { checkingCommand }
    func passCommand(since moment: Int?) -> [String]? { nil }
    var tryingCommand: [String] { Self.command("try") }
    func call(for command: Command) -> String? { nil }

    func volumes(_ names: [String], readOnly: Set<String>) -> [String: JSON] {
        ["volumeDevices": .array(names.map { ["name": .string($0), "devicePath": .string("/\($0)")] })]
    }

    func differences(in check: String) -> [String]? {
        let values = Self.values(in: check)
        guard let size = values["size"].flatMap({ Int64($0) }), let source = values["source"],
            let dest = values["dest"],
            [source, dest].allSatisfy({ $0.utf8.count == 64 && $0.allSatisfy(\.isHexDigit) })
        else { return nil }
        if source == dest { return [] }
        return ["device /dest: of the first \(size) bytes the SHA-256 is \(dest), that of the source \(source)"]
    }

    func statistics(in output: String) -> CopyStatistics? {
        let values = Self.values(in: output)
        guard let size = values["size"].flatMap({ Int64($0) }) else { return nil }
        return CopyStatistics(totalBytes: size, transferredBytes: values["written"].flatMap { Int64($0) } ?? 0)
    }

    /// Returns the lines of names and values at the end of the script's output.
    private static func values(in output: String) -> [Substring: String] {
        let pairs = output.split(whereSeparator: \.isNewline).map { $0.split(separator: " ") }.filter { $0.count == 2 }
        return Dictionary(pairs.map { ($0[0], String($0[1])) }, uniquingKeysWith: { $1 })
    }

    func exit(_ code: Int) -> MoverExit {
        var exit = MoverExit(rsync: code)
        switch code {
        case Code.empty.rawValue: exit.meaning = "the device holds nothing, or can't be read"
        case Code.input.rawValue: exit.meaning = "error in device I/O"
        case Code.tooSmall.rawValue: exit.meaning = "the destination is smaller than the source"
        case 127, 128: exit.meaning = "the image must have \(Self.programs.joined(separator: ", ")); see --rsync-image"
        case 137, 143: break
        default: (exit.meaning, exit.isWorthRepeating) = ("the shell failed", false)
        }
        return exit
    }

    func advice(output: String) -> String? {
        let text = output.lowercased()
        guard text.contains("operation not permitted") || text.contains("permission denied") else {
            return MoverExit.advice(output: output)
        }
        return "only root, or the device's group, can read and write a device: a policy keeps the mover from being root"
    }
}

extension DeviceScript {
    var withoutRoot: DeviceScript { self }
    func served(at address: String) -> DeviceScript? { nil }
    var repeated: DeviceScript { self }
    var isFlushed: Bool { true }
    var isToBeChecked: Bool { verification != .none }
    func whyFinal(_ differences: [String]) -> String? { nil }
    func isHarmless(_ code: Int, output: String) -> Bool { false }
    func reduced(after code: Int, output: String) -> (content: any MoverContent, loss: Loss)? { nil }
}
