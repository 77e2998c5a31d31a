import Migration

extension Overview {
    /// The overview as lines for a terminal: one for each unit under way, as many as there is room for, and the totals.
    ///
    /// - Parameters:
    ///   - width: the terminal's columns; no line fills the last one, after which terminals differ.
    ///   - height: the terminal's lines; one is left to the messages above.
    ///   - now: since the command started.
    func lines(width: Int, height: Int, now: Duration) -> [String] {
        guard !units.isEmpty else { return [] }
        let width = max(1, width - 1)
        let room = max(0, height - 2)
        let shown = units.count <= room ? units.count : max(0, room - 1)
        let layout = Layout(width: width, names: units.prefix(shown).map(\.name.onOneLine))
        var lines = units.prefix(shown).map { layout.line(of: $0, now: now) }
        if shown < units.count, room > 0 { lines.append("and \((units.count - shown).of("more unit"))") }
        return (lines + [totals(now)]).map { $0.cut(to: width) }
    }

    private func totals(_ now: Duration) -> String {
        let rates = units.compactMap { $0.copy?.rate }
        var parts = ["\(done) of \(claims.of("claim")) done"]
        if failed > 0 { parts.append("\(failed) failed") }
        parts.append("\(units.count.of("unit")) under way")
        if !rates.isEmpty { parts.append("\(rates.sum().inBytes)/s") }
        return (parts + [now.short]).joined(separator: ", ")
    }

    /// Which columns there is room for.
    private struct Layout {
        private static let step = 8, percent = 4, time = 8, rate = 12, down = 8
        private static let bars = 10...40

        private let name: Int
        private var bar = 0
        private var hasRate = false
        private var hasDown = false

        init(width: Int, names: [String]) {
            var rest = width - (Self.step + Self.percent + Self.time + 3)
            let longest = names.map(\.columns).max() ?? 0
            /// Takes room for a column, where enough is left for the names.
            func take(_ columns: Int, leaving names: Int) -> Bool {
                guard rest - columns - 1 >= names else { return false }
                rest -= columns + 1
                return true
            }
            hasRate = take(Self.rate, leaving: 20)
            if take(Self.bars.lowerBound, leaving: 24) {
                hasDown = take(Self.down, leaving: min(longest, 40))
                bar = Self.bars.lowerBound
            }
            name = max(1, min(longest, rest))
            if bar > 0 { bar = min(Self.bars.upperBound, bar + rest - name) }
        }

        func line(of unit: Unit, now: Duration) -> String {
            let copy = unit.copy
            var cells = [
                unit.name.onOneLine.shortTitle(name).padded(columns: name), unit.step.padded(columns: Self.step),
            ]
            if bar > 0 { cells.append((copy.map(self.bar) ?? "").padded(columns: bar)) }
            cells.append((copy?.percent.map { "\($0)%" } ?? "").padded(columns: -Self.percent))
            if hasRate { cells.append((copy?.rate.map { "\($0.inBytes)/s" } ?? "").padded(columns: -Self.rate)) }
            let time =
                if let copy {
                    copy.timeLeft.map { "\($0.short) left" } ?? (copy.percent == 100 ? "checking" : "")
                } else {
                    "for \((now - unit.stepBegan).short)"
                }
            cells.append(time.padded(columns: -Self.time))
            if hasDown { cells.append(unit.outageBegan.map { "down \((now - $0).short)" } ?? "") }
            return cells.joined(separator: " ").withoutTrailingSpaces
        }

        /// `[====>     ]`, or how much was copied where nobody knows of how much.
        private func bar(_ copy: CopyProgress) -> String {
            guard let percent = copy.percent else { return copy.bytes.inBytes }
            let inner = bar - 2
            let full = inner * percent / 100
            let head = full < inner ? ">" : ""
            return "[" + (String(repeating: "=", count: full) + head).padded(columns: inner) + "]"
        }
    }
}

extension Duration {
    /// In at most three columns, as long as it takes less than a hundred days: `9s`, `99s`, `99m`, `99h`.
    var short: String {
        let seconds = max(0, components.seconds)
        if seconds < 100 { return "\(seconds)s" }
        if seconds < 6000 { return "\(seconds / 60)m" }
        return seconds < 360_000 ? "\(seconds / 3600)h" : "\(seconds / 86_400)d"
    }
}

extension String {
    /// A kind and a name in so many columns: the kind is what can be missed first, then the name's beginning.
    fileprivate func shortTitle(_ limit: Int) -> String {
        guard columns > limit else { return self }
        let name = String(split(separator: " ", maxSplits: 1).last ?? "")
        guard name.columns > limit else { return name }
        var end = ""
        for character in name.reversed() {
            guard end.columns + character.columns + 2 <= limit else { break }
            end = "\(character)" + end
        }
        return (".." + end).cut(to: limit)
    }

    fileprivate var withoutTrailingSpaces: String {
        String(self[..<(lastIndex { $0 != " " }.map(index(after:)) ?? startIndex)])
    }
}
