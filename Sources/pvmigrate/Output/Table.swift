/// Rows with aligned columns, as kubectl prints them.
struct Table {
    var header: [String]
    var rows: [[String]]

    /// Three spaces between columns, none at the end of a line; each row is one line whatever is in it.
    var text: String {
        let lines = ([header] + rows).map { $0.map(\.onOneLine) }
        let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { cells in
            let padded = cells.enumerated().map { column, cell in
                column == cells.count - 1 ? cell : cell.padded(to: widths[column] + 3)
            }
            let line = padded.joined()
            return line.prefix(upTo: line.lastIndex { $0 != " " }.map(line.index(after:)) ?? line.startIndex) + "\n"
        }.joined()
    }
}

extension String {
    /// With spaces after it, up to a width.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
