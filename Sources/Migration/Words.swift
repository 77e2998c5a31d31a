import Kubernetes

extension Int64 {
    /// The number of bytes in messages: `512 B`, `1.5 GiB`.
    public var inBytes: String {
        if self < 1024 { return "\(self) B" }
        var value = Double(self) / 1024
        var units = ["KiB", "MiB", "GiB", "TiB", "PiB"][...]
        while value >= 1024, units.count > 1 {
            value /= 1024
            units = units.dropFirst()
        }
        let tenths = Int64(value * 10)
        return "\(tenths / 10).\(tenths % 10) \(units.first ?? "")"
    }
}

extension Sequence<String> {
    /// The end of a message of a name that there is not: ` (did you mean gp2?)`, where one of these is like it.
    public func didYouMean(_ name: String) -> String { nearest(to: name).map { " (did you mean \($0)?)" } ?? "" }

    /// Returns the one that somebody has mistyped perhaps; nil where none is like it.
    func nearest(to name: String) -> String? {
        let most = Swift.max(1, name.count / 3)
        return map { (name: $0, distance: $0.distance(to: name)) }.filter { $0.distance <= most }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
    }
}

extension String {
    /// The number of characters to insert, to remove, to replace or to swap with their neighbour to make the one of the
    /// other.
    fileprivate func distance(to other: String) -> Int {
        let (one, other) = (Array(self), Array(other))
        var rows = [Array(0...other.count)]
        for i in one.indices {
            var row = [i + 1]
            for j in other.indices {
                let replaced = rows[i][j] + (one[i] == other[j] ? 0 : 1)
                var least = Swift.min(replaced, rows[i][j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, one[i] == other[j - 1], one[i - 1] == other[j] {
                    least = Swift.min(least, rows[i - 1][j - 1] + 1)
                }
                row.append(least)
            }
            rows.append(row)
        }
        return rows[one.count][other.count]
    }
}

extension Duration {
    /// The duration in messages: `0.4 s`, `12 s`, `3 min 5 s`.
    public var inWords: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        if milliseconds < 10_000 { return "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s" }
        let seconds = milliseconds / 1000
        if seconds < 120 { return "\(seconds) s" }
        if seconds < 7200 { return "\(seconds / 60) min \(seconds % 60) s" }
        return "\(seconds / 3600) h \(seconds / 60 % 60) min"
    }
}
