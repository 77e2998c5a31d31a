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
