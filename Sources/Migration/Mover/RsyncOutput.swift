/// The amount that a mover copied or compared.
struct CopyStatistics: Equatable, Sendable {
    /// The number of entries in the source, directories included; nil for a device.
    var files: Int?
    /// The number of files that had to be transferred.
    var transferredFiles = 0
    /// The size of all the source's files, or of the device, in bytes.
    var totalBytes: Int64 = 0
    /// The amount of content that had to be transferred, in bytes.
    var transferredBytes: Int64 = 0

    init(totalBytes: Int64, transferredBytes: Int64) {
        self.totalBytes = totalBytes
        self.transferredBytes = transferredBytes
    }

    /// Reads rsync's `--stats` from its output; nil where there are none.
    ///
    /// Numbers have separators: `Total file size: 1,048,576 bytes`.
    init?(rsync output: String) {
        var found = false
        for line in output.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let number = Self.number(line[line.index(after: colon)...])
            switch line[..<colon] {
            case "Number of files": files = Int(clamping: number); found = true
            case "Number of regular files transferred": transferredFiles = Int(clamping: number)
            case "Total file size": totalBytes = number
            case "Total transferred file size": transferredBytes = number
            default: break
            }
        }
        guard found else { return nil }
    }

    private static func number(_ text: Substring) -> Int64 {
        let digits = text.drop { $0 == " " }.prefix { $0.isNumber || $0 == "," || $0 == "." }
        return Int64(digits.filter(\.isASCII).filter { $0 != "," && $0 != "." }) ?? 0
    }
}

/// The findings of a check: the lines of `--itemize-changes` that name something still to transfer.
struct RsyncDifferences {
    var lines: [Substring]
    /// False where the log lacks its beginning, which may have held items. The kubelet keeps some 10 MiB in a file, and
    /// only the end of the newest file is read.
    var isWhole: Bool

    /// The first output of rsync (`--info=flist1`). A file's name cannot look like it, because it follows an item, and
    /// a newline in it is escaped.
    private static let beginnings: Set<Substring> = [
        "sending incremental file list", "receiving incremental file list", "building file list ... done",
        "receiving file list ... done",
    ]

    init(in output: String) {
        let all = output.split(whereSeparator: \.isNewline)
        lines = all.filter(Self.isItem)
        isWhole = all.contains(where: Self.beginnings.contains)
    }

    /// Returns true where a line is an item: eleven characters, the first two of which name the action and the kind of
    /// file, and then the name (rsync(1), `--itemize-changes`). Other lines come from the person's own flags.
    private static func isItem(_ line: Substring) -> Bool {
        if line.hasPrefix("*deleting") { return true }
        let characters = Array(line.utf8.prefix(13))
        guard characters.count == 13, characters[11] == UInt8(ascii: " ") else { return false }
        return "<>ch.".utf8.contains(characters[0]) && "fdLDS".utf8.contains(characters[1])
    }
}
