/// The progress of a mover, from a line of its output.
struct CopyAmount: Equatable, Sendable {
    /// The amount of content that was copied or compared, in bytes.
    var bytes: Int64
    /// The whole amount, as far as it is known.
    var total: Int64?
    /// False while the tool still looks for files and the whole amount grows; nil where the line does not tell.
    var isTotalKnown: Bool?

    /// The largest amount. No volume holds more, and the hundredfold of it and the sum of many claims must still be
    /// numbers.
    static let most: Int64 = 10_000_000_000_000_000

    init(bytes: Int64, total: Int64?, isTotalKnown: Bool?) {
        self.bytes = bytes
        self.total = total
        self.isTotalKnown = isTotalKnown
    }

    /// Reads a line of rsync's `--info=progress2`; nil for any other.
    ///
    /// rsync ends it with a carriage return, so several may come as one line. The last counts.
    ///
    ///     1,048,576  16%  328.12MB/s    0:00:00 (xfr#1, to-chk=6/9)
    init?(rsync line: Substring) {
        let words = (line.split(separator: "\r").last ?? "").split(separator: " ")
        guard words.count >= 4, words[2].hasSuffix("/s"), words[1].last == "%", let bytes = Self.bytes(words[0]),
            let percent = Int64(words[1].dropLast()), 0...100 ~= percent
        else { return nil }
        self.bytes = bytes
        total = percent > 0 ? min(bytes * 100 / percent, Self.most) : nil
        guard let checked = words.last, checked.hasSuffix(")") else { return }
        isTotalKnown = checked.hasPrefix("to-chk=")
    }

    /// Reads `10,485,760`, and also `10.49M`, which the person's own flags may make rsync write.
    private static func bytes(_ text: Substring) -> Int64? {
        let units: [Character: Double] = ["K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15]
        let number =
            if let unit = text.last.flatMap({ units[$0] }) {
                Double(text.dropLast()).map { $0 * unit }
            } else {
                Double(text.filter { $0 != "," && $0 != "." })
            }
        guard let number, 0...Double(most) ~= number else { return nil }
        return Int64(number)
    }
}

extension RsyncFlags {
    func amount(in line: Substring) -> CopyAmount? {
        // Verbose output has such lines for single files: those of `--progress` look the same.
        verbose ? nil : CopyAmount(rsync: line)
    }
}

extension DeviceScript {
    /// Reads `256 of 1024 MiB compared, 12 MiB written`.
    func amount(in line: Substring) -> CopyAmount? {
        let words = line.split(separator: " ")
        guard words.count > 4, words[1] == "of", words[4].hasPrefix("compared"), let done = Int64(words[0]),
            let total = Int64(words[2]), 0...total ~= done, total <= CopyAmount.most >> 20
        else { return nil }
        return CopyAmount(bytes: done << 20, total: total << 20, isTotalKnown: true)
    }
}
