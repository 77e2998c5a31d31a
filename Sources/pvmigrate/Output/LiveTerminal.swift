import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The terminal that stderr is: messages scroll by, and some lines below them are drawn again and again.
///
/// It needs a terminal that can move the cursor up and erase, and no colours.
final class LiveTerminal: Sendable {
    struct Size: Sendable, Equatable {
        var columns: Int
        var rows: Int
    }

    private let output: @Sendable (String) -> Void
    private let size: @Sendable () -> Size
    private let drawn = Mutex(Drawn())

    /// What is drawn; the cursor is at the beginning of the line after it.
    private struct Drawn {
        var lines: [String] = []
        /// How wide the terminal was.
        var columns = 0
    }

    private static let eraseBelow = "\u{1B}[J"

    /// - Parameters:
    ///   - size: asked for each time, as windows change.
    ///   - output: takes text for the terminal.
    init(size: @escaping @Sendable () -> Size, output: @escaping @Sendable (String) -> Void) {
        self.size = size
        self.output = output
    }

    /// The terminal behind standard error; nil where that is none, or one that can do no more than print.
    static func standardError(_ environment: [String: String], _ stream: Descriptor) -> LiveTerminal? {
        guard isatty(STDERR_FILENO) == 1, !["", "dumb"].contains(environment["TERM"] ?? "") else { return nil }
        return LiveTerminal(
            size: {
                var size = winsize()
                guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
                    return Size(columns: 80, rows: 24)
                }
                return Size(columns: Int(size.ws_col), rows: Int(size.ws_row))
            },
            output: { stream.write($0) }
        )
    }

    /// Writes whole lines above those that are drawn.
    func write(_ text: String) {
        drawn.withLock { drawn in
            guard !drawn.lines.isEmpty else { return output(text) }
            output(up(over: drawn.lines) + Self.eraseBelow + text + drawn.lines.map { $0 + "\n" }.joined())
        }
    }

    /// Draws lines in place of those that are drawn.
    ///
    /// - Parameter make: is told how large the terminal is now.
    func draw(_ make: (Size) -> [String]) {
        let size = size()
        let lines = make(size).map(\.withoutControls)
        drawn.withLock { drawn in
            guard lines != drawn.lines else { return }
            // Rows into which a line was wrapped belong together, and are joined when the window becomes wider, whatever
            // they hold by then; unless they were erased.
            let erasing = size.columns == drawn.columns ? "" : Self.eraseBelow
            output(up(over: drawn.lines) + erasing + lines.map { $0 + "\u{1B}[K\n" }.joined() + Self.eraseBelow)
            drawn = Drawn(lines: lines, columns: size.columns)
        }
    }

    /// Erases what is drawn, so that what comes next is seen where it belongs.
    func erase() { draw { _ in [] } }

    /// To the beginning of what is drawn. Lines that were drawn in a wider window are several by now.
    private func up(over drawn: [String]) -> String {
        let columns = max(1, size().columns)
        let rows = drawn.reduce(0) { $0 + max(1, ($1.columns + columns - 1) / columns) }
        return "\r" + (rows > 0 ? "\u{1B}[\(rows)A" : "")
    }
}
