extension Character {
    /// How many columns of a terminal it takes.
    var columns: Int { unicodeScalars.lazy.map(\.columns).max() ?? 0 }
}

extension Unicode.Scalar {
    /// What Unicode calls wide (UAX #11) takes two, as far as terminals agree on it.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x231A...0x231B, 0x2E80...0x303E, 0x3041...0x4DBF, 0x4E00...0xA4CF, 0xA960...0xA97F,
        0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F,
        0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
    ]

    fileprivate var columns: Int {
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: 0
        default: Self.wide.contains { $0.contains(value) } ? 2 : 1
        }
    }
}

extension String {
    /// How many columns of a terminal it takes.
    var columns: Int { reduce(0) { $0 + $1.columns } }

    /// As much of it as has room in so many columns; two dots stand for what has not.
    func cut(to limit: Int) -> String {
        guard columns > limit else { return self }
        var cut = ""
        var columns = 0
        for character in self {
            columns += character.columns
            guard columns <= limit - 2 else { break }
            cut.append(character)
        }
        return cut + String(repeating: ".", count: min(2, limit))
    }

    /// With spaces after it, up to so many columns; before it, where that is negative.
    func padded(columns width: Int) -> String {
        let spaces = String(repeating: " ", count: max(0, abs(width) - columns))
        return width < 0 ? spaces + self : self + spaces
    }
}
