import Kubernetes
import Migration
import Synchronization
import Testing

@testable import pvmigrate

@Suite("What is under way, in a terminal")
struct OverviewTests {
    private static let database = "StatefulSet shop/database"

    /// A unit that is copied, one that waits for its pods, and one that is done.
    private func overview(more: Int = 0, name: String = OverviewTests.database) -> Overview {
        var overview = Overview()
        overview.claims = 12
        func note(_ unit: String, _ claim: String, _ second: Int, _ kind: Milestone.Kind) {
            let claims = [ObjectName(claim, in: "shop")]
            overview.note(Milestone(elapsed: .seconds(second), unit: unit, claims: claims, kind: kind))
        }
        note("Deployment shop/done", "done", 1, .stepBegan("restore"))
        note("Deployment shop/done", "done", 5, .ended(isDone: true))
        note(name, "data", 6, .stepBegan("quiesce"))
        note(name, "data", 6, .outageBegan)
        note(name, "data", 10, .stepBegan("copy"))
        overview.note(
            ObjectName("data", in: "shop"),
            CopyProgress(bytes: 610 << 20, total: 1000 << 20, rate: 105 << 20, timeLeft: .seconds(400))
        )
        note("Deployment shop/web", "web", 18, .stepBegan("quiesce"))
        for number in 0..<more { note("Deployment shop/w\(number)", "w\(number)", 20, .stepBegan("stage")) }
        return overview
    }

    @Test("at 40 columns each unit has its name, step, share and time, and the totals what counts most")
    func narrow() {
        #expect(
            overview().lines(width: 40, height: 24, now: .seconds(30)) == [
                "shop/database    copy      61%  6m left",
                "shop/web         quiesce        for 12s",
                "1 of 12 claims done, 2 units under wa..",
            ]
        )
    }

    @Test("at 200 columns it has a bar, the rate and how long the workloads are down, too")
    func wide() {
        #expect(
            overview().lines(width: 200, height: 24, now: .seconds(30)) == [
                "StatefulSet shop/database copy     [=======================>              ]  61%  105.0 MiB/s  6m left down 24s",
                "Deployment shop/web       quiesce                                                              for 12s",
                "1 of 12 claims done, 2 units under way, 105.0 MiB/s, 30s",
            ]
        )
    }

    @Test(
        "no line is wider than the terminal, whatever the names are and however narrow it is",
        arguments: [1, 2, 10, 20, 39, 40, 41, 60, 80, 81, 100, 200, 500]
    )
    func fits(width: Int) {
        let names = [Self.database, "Kafka shop/" + String(repeating: "x", count: 300), "Wörk 店/データ", ""]
        for name in names {
            for line in overview(name: name).lines(width: width, height: 24, now: .seconds(30_000)) {
                #expect(line.columns < max(2, width), "\(line)")
            }
        }
    }

    @Test("of more units than there is room for as many are shown as fit, and the others counted")
    func crowded() {
        let lines = overview(more: 20).lines(width: 80, height: 8, now: .seconds(30))
        #expect(lines.count == 7)
        #expect(lines.dropLast(2).allSatisfy { $0.contains("shop/") } && lines[5] == "and 17 more units")
        #expect(lines[6].hasPrefix("1 of 12 claims done, 22 units under way"))
        for height in 0...3 {
            #expect(overview(more: 20).lines(width: 80, height: height, now: .zero).count <= max(1, height - 1))
        }
        #expect(Overview().lines(width: 80, height: 24, now: .zero).isEmpty)
    }

    @Test("wide characters count as two columns, and marks above a letter as none")
    func columns() {
        #expect("データ".columns == 6 && "e\u{301}".columns == 1 && "👍".columns == 2 && "ab".columns == 2)
        #expect("データベース".cut(to: 8) == "データ.." && "データベース".cut(to: 12) == "データベース")
        #expect("データ".cut(to: 5) == "デ..")
    }

    @Test("a copy whose size nobody knows yet shows how much there is so far; one that is checked says so")
    func unknown() {
        var overview = overview()
        overview.note(ObjectName("data", in: "shop"), CopyProgress(bytes: 5 << 20, rate: 1 << 20))
        let line = overview.lines(width: 100, height: 24, now: .seconds(30))[0]
        #expect(line.contains(" 5.0 MiB ") && !line.contains("%") && !line.contains("left"))
        overview.note(ObjectName("data", in: "shop"), CopyProgress(bytes: 5 << 20, total: 5 << 20))
        #expect(overview.lines(width: 100, height: 24, now: .seconds(30))[0].contains("] 100%              checking"))
    }

    @Test("of sizes that no volume has the share is still told")
    func huge() {
        var overview = overview()
        overview.note(ObjectName("data", in: "shop"), CopyProgress(bytes: 1 << 60, total: 1 << 61))
        #expect(overview.lines(width: 40, height: 24, now: .seconds(30))[0].contains(" 50%"))
    }

    // MARK: The terminal itself

    @Test("messages scroll by above the lines, and at the end only they are left")
    func scrolls() {
        let screen = Screen(columns: 40)
        let terminal = screen.terminal
        terminal.write("first\n")
        terminal.draw { _ in ["one", "two"] }
        terminal.write("second, \(String(repeating: "x", count: 50))\n")
        #expect(
            screen.lines == [
                "first", "second, " + String(repeating: "x", count: 32), String(repeating: "x", count: 18), "one",
                "two",
            ]
        )
        terminal.draw { _ in ["three"] }
        terminal.write("third\n")
        terminal.erase()
        terminal.write("done\n")
        #expect(
            screen.lines == [
                "first", "second, " + String(repeating: "x", count: 32), String(repeating: "x", count: 18), "third",
                "done",
            ]
        )
    }

    @Test("a whole run shows its units while they are under way, and leaves nothing but its messages")
    func wholeRun() throws {
        var shop = try Shop()
        let screen = Screen(columns: 1000)
        shop.terminal = screen.terminal
        let run = try shop.run()
        #expect(run.code == .done && screen.lines == run.errorLines.map(String.init))
        #expect(screen.seen.contains { $0.hasPrefix("Deployment shop/web copy") })
        #expect(screen.seen.contains { $0.hasPrefix("0 of 1 claim done, 1 unit under way, ") })
    }

    @Test("events that are streamed, to the same terminal perhaps, are not drawn over")
    func streaming() throws {
        var shop = try Shop()
        let screen = Screen(columns: 1000)
        shop.terminal = screen.terminal
        let run = try shop.run("--output=jsonl")
        #expect(run.code == .done && screen.lines == run.errorLines.map(String.init))
        #expect(!screen.seen.contains { $0.contains("under way") })
    }

    @Test("what is the same is not drawn again")
    func same() {
        let screen = Screen(columns: 40)
        for _ in 1...5 { screen.terminal.draw { _ in ["one"] } }
        #expect(screen.writes == 1)
    }

    @Test("a window that becomes narrower, where drawn lines wrap, is drawn without a rest of the old lines")
    func resized() {
        let screen = Screen(columns: 80)
        screen.terminal.write("above\n")
        screen.terminal.draw { size in [String(repeating: "a", count: size.columns - 1), "total"] }
        screen.resize(columns: 30)
        screen.terminal.draw { size in [String(repeating: "b", count: size.columns - 1), "total"] }
        #expect(screen.lines == ["above", String(repeating: "b", count: 29), "total"])
    }

    @Test("a window that becomes narrower and then wider again keeps the messages above the lines")
    func resizedTwice() {
        let screen = Screen(columns: 80)
        screen.terminal.write("above\n")
        for (columns, letter) in [(80, "a"), (30, "b"), (80, "c")] {
            screen.resize(columns: columns)
            screen.terminal.draw { size in [String(repeating: letter, count: size.columns - 1), "total"] }
        }
        #expect(screen.lines == ["above", String(repeating: "c", count: 79), "total"])
    }

    // MARK: Without a terminal

    @Test("a pipe gets a line of a unit's copy at most every ten seconds")
    func pipe() {
        let now = Mutex(Duration.zero)
        let written = Box("")
        let time = TimeSource(now: { now.withLock { $0 } }, sleep: { _ in })
        let display = Display(terminal: nil, log: Log(time: time) { text in written.value.withLock { $0 += text } })
        let claim = ObjectName("data", in: "shop")
        for second in 0...25 {
            now.withLock { $0 = .seconds(second) }
            if second == 3 {
                display.note(
                    Milestone(elapsed: .seconds(3), unit: Self.database, claims: [claim], kind: .stepBegan("copy"))
                )
            }
            if second > 3 {
                display.note(
                    claim,
                    CopyProgress(
                        bytes: Int64(second) << 20,
                        total: 100 << 20,
                        rate: 1 << 20,
                        timeLeft: .seconds(100 - second)
                    )
                )
            }
        }
        #expect(
            written.value.withLock { $0 } == """
                [   13.0s] StatefulSet shop/database: copy: 13% of 100.0 MiB, 1.0 MiB/s, 87 s left
                [   23.0s] StatefulSet shop/database: copy: 23% of 100.0 MiB, 1.0 MiB/s, 77 s left

                """
        )
    }
}

/// A terminal of a kind that wraps what it shows anew when its window changes, as most do; what belongs together it
/// forgets only where it erases whole rows, as tmux does.
private final class Screen: Sendable {
    private struct Row {
        var text: [Character] = []
        /// Whether the next row goes on with the same line.
        var isWrapped = false
    }

    private struct State {
        var columns: Int
        var rows: [Row] = [Row()]
        var cursor = (line: 0, column: 0)
        var writes = 0
        var seen: Set<String> = []

        mutating func nextRow() {
            cursor = (cursor.line + 1, 0)
            if cursor.line == rows.count { rows.append(Row()) }
        }

        /// From the cursor on.
        mutating func eraseRow() {
            rows[cursor.line].text.removeLast(max(0, rows[cursor.line].text.count - cursor.column))
        }
    }

    private let state: Mutex<State>

    init(columns: Int) { state = Mutex(State(columns: columns)) }

    var terminal: LiveTerminal {
        stored.withLock { stored in
            let terminal =
                stored
                ?? LiveTerminal(
                    size: { LiveTerminal.Size(columns: self.state.withLock { $0.columns }, rows: 24) },
                    output: { self.write($0) }
                )
            stored = terminal
            return terminal
        }
    }
    private let stored = Mutex<LiveTerminal?>(nil)

    /// Every line that was there at some time.
    var seen: Set<String> { state.withLock { $0.seen } }

    var writes: Int { state.withLock { $0.writes } }

    /// What is seen, down to the cursor's line.
    var lines: [String] {
        state.withLock { state in
            var lines = state.rows.map { String($0.text) }
            while lines.last == "" { lines.removeLast() }
            return lines
        }
    }

    func resize(columns: Int) {
        state.withLock { state in
            var rows: [Row] = []
            var line: [Character] = []
            var cursor = state.cursor
            for (index, row) in state.rows.enumerated() {
                if index == state.cursor.line {
                    let place = line.count + state.cursor.column
                    cursor = (rows.count + place / columns, place % columns)
                }
                line += row.text
                if row.isWrapped { continue }
                while line.count > columns {
                    rows.append(Row(text: Array(line.prefix(columns)), isWrapped: true))
                    line.removeFirst(columns)
                }
                rows.append(Row(text: line))
                line = []
            }
            (state.rows, state.cursor, state.columns) = (rows, cursor, columns)
        }
    }

    private func write(_ text: String) {
        state.withLock { state in
            state.writes += 1
            defer { for row in state.rows { state.seen.insert(String(row.text)) } }
            var rest = Array(text.unicodeScalars)[...]
            while let scalar = rest.popFirst() {
                switch scalar {
                case "\r": state.cursor.column = 0
                case "\n": state.nextRow()
                case "\u{1B}":
                    let code = rest.dropFirst().prefix { "0"..."9" ~= $0 }
                    let number = Int(String(String.UnicodeScalarView(code))) ?? 1
                    rest = rest.dropFirst(code.count + 1)
                    switch rest.popFirst() {
                    case "A": state.cursor.line = max(0, state.cursor.line - number)
                    case "K": state.eraseRow()
                    case "J":
                        state.rows.removeLast(state.rows.count - state.cursor.line - 1)
                        if state.cursor.column == 0 { state.rows[state.cursor.line].isWrapped = false }
                        state.eraseRow()
                    default: Issue.record("an escape sequence that is not known")
                    }
                default:
                    if state.cursor.column == state.columns {
                        state.rows[state.cursor.line].isWrapped = true
                        state.nextRow()
                    }
                    let (line, column) = state.cursor
                    if column < state.rows[line].text.count {
                        state.rows[line].text[column] = Character(scalar)
                    } else {
                        state.rows[line].text.append(Character(scalar))
                    }
                    state.cursor.column += 1
                }
            }
        }
    }
}
