import FoundationEssentials
import Kubernetes
import Migration

/// What `--report` writes: one page that needs nothing else, neither network nor scripts.
struct HTMLReport {
    var outcome: Outcome
    var options: Options
    var arguments: [String]
    var began: Date
    var took: Duration
    var milestones: [Milestone]
    /// Warnings and errors.
    var messages: [Message]

    var text: String {
        let classes = "\(options.endsInWords.source) → \(options.endsInWords.destination)".escapedForMarkup
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
            <meta name="color-scheme" content="light dark"/>
            <title>pvmigrate: \(classes)</title>
            <style>
            \(Self.style)</style>
            </head>
            <body>
            <header>
            <p class="classes">\(classes)</p>
            <h1 class="\(outcome.code == .done ? "good" : "bad")">\(heading)</h1>
            <p>\(outcome.message.escapedForMarkup)</p>
            </header>
            \(tiles)\(leftovers)\(claims)\(timeline)\(warnings)\(about)</body>
            </html>

            """
    }

    private var heading: String {
        switch outcome.kind {
        case .planned: "Dry run"
        case .nothingToDo: "Nothing to do"
        case .preflightPassed: "Preflight passed"
        case .preflightFailed: "Preflight failed"
        case .migrated: "Migrated"
        case .staged: "Staged"
        case .rolledBack: "Rolled back"
        case .retyped: "Retyped"
        case .copied: "Copied"
        case .moved: "Moved"
        case .uploaded: "Uploaded"
        case .downloaded: "Downloaded"
        case .aborted: "Taken back"
        case .failed: "Failed"
        case .interrupted: "Interrupted"
        }
    }

    // MARK: Numbers

    private var tiles: String {
        guard let all = outcome.report?.claims, !all.isEmpty else { return "" }
        let copied = all.filter { $0.bytes != nil && $0.copyTime != nil }
        let bytes = copied.compactMap(\.bytes).sum()
        let files = copied.compactMap(\.files).sum()
        let rate = Self.rate(bytes, in: copied.reduce(Duration.zero) { $0 + ($1.copyTime ?? .zero) })
        let entries = [
            ("Claims", "\(all.count(where: \.isDone)) of \(all.count)"), ("Data", bytes.inBytes), ("Files", "\(files)"),
            ("Rate of a copy", rate), ("Longest outage", all.compactMap(\.outage).max()?.inWords ?? "none"),
            ("Whole run", took.inWords),
        ]
        let items = entries.map { "<div><dt>\($0.0)</dt><dd>\($0.1)</dd></div>\n" }.joined()
        return "<dl class=\"tiles\">\n\(items)</dl>\n"
    }

    private static func rate(_ bytes: Int64?, in time: Duration?) -> String {
        guard let bytes, let time, time > .milliseconds(1) else { return missing }
        // A device's size is what its mover says; no rate needs more than what a number holds.
        return (Int64(exactly: (Double(bytes) / (time / .seconds(1))).rounded(.down)) ?? .max).inBytes + "/s"
    }

    // MARK: Lists

    /// Not shown where there is little room.
    private static let missing = "–"

    private var claims: String {
        guard let claims = outcome.report?.claims, !claims.isEmpty else { return plan }
        let down = Timeline(milestones).claimsThatAreDown
        return Self.table(
            "Claims",
            ["Claim", "Size", "Files", "Bytes", "Copy time", "Rate", "Outage", "Old storage", "Result"],
            claims.map { claim in
                [
                    "\(claim.name)", claim.size.isEmpty ? "?" : claim.size, claim.files.map { "\($0)" } ?? Self.missing,
                    claim.bytes?.inBytes ?? Self.missing, claim.copyTime?.inWords ?? Self.missing,
                    Self.rate(claim.bytes, in: claim.copyTime),
                    down.contains(claim.name) ? "not ended" : claim.outageInWords, claim.oldStorageInWords,
                    claim.result.rawValue + (claim.reason.map { ": \($0)" } ?? ""),
                ]
            },
            classes: claims.map { $0.isDone ? "good" : $0.result == .failed ? "bad" : "" }
        )
    }

    /// Where nothing was begun.
    private var plan: String {
        let units = outcome.discovery?.units ?? []
        guard !units.isEmpty else { return "" }
        return Self.table(
            "Claims, none of them begun",
            ["Claim", "Size", "Stops"],
            units.flatMap { unit in
                let workloads = unit.workloads.map(\.title).joined(separator: ", ")
                return unit.claims.map {
                    ["\($0.name)", $0.size?.text ?? "?", workloads.isEmpty ? "nothing" : workloads]
                }
            }
        )
    }

    private var leftovers: String {
        let stopped = (outcome.report?.stopped ?? []).map { ["Still stopped", $0] }
        let failures = (outcome.report?.failures ?? []).map { ["Failed", $0] }
        let obstacles = outcome.obstacles.map { obstacle in
            [
                "In the way",
                (obstacle.namespace.isEmpty ? "" : obstacle.namespace + " ") + obstacle.resource + ": "
                    + obstacle.message,
            ]
        }
        let rows = stopped + failures + obstacles
        return rows.isEmpty ? "" : Self.table("Left to do", ["What", "Which"], rows, classes: rows.map { _ in "bad" })
    }

    private var warnings: String {
        guard !messages.isEmpty else { return "<section><h2>Warnings</h2>\n<p>None.</p></section>\n" }
        let items = messages.map { message in
            let subject = message.subject.isEmpty ? "" : "<b>\(message.subject.escapedForMarkup)</b>: "
            return "<li class=\"\(message.level == .error ? "bad" : "")\"><time>\(message.elapsed.inWords)</time> "
                + subject + message.text.withoutControls.escapedForMarkup + "</li>\n"
        }
        return "<section><h2>Warnings and errors</h2>\n<ul class=\"messages\">\n\(items.joined())</ul></section>\n"
    }

    private var about: String {
        let rows = [
            ["Began", began.formatted(.iso8601)], ["Took", took.inWords], ["Exit code", "\(outcome.code.rawValue)"],
            ["pvmigrate", version], ["Image of the movers", options.rsyncImage],
        ]
        let items = rows.map { "<div><dt>\($0[0])</dt><dd>\($0[1].escapedForMarkup)</dd></div>\n" }.joined()
        return "<section><h2>This run</h2>\n<dl class=\"about\">\n\(items)</dl>\n"
            + "<pre>\(ShownCommand.text(arguments).escapedForMarkup)</pre></section>\n"
    }

    /// On a phone each row is a card, with the column's name before each value.
    private static func table(_ title: String, _ header: [String], _ rows: [[String]], classes: [String] = []) -> String
    {
        let head = header.map { "<th>\($0)</th>" }.joined()
        let body = rows.enumerated().map { index, cells in
            let columns = zip(header, cells).map { name, cell in
                "<td\(cell == missing ? " class=\"none\"" : "") data-label=\"\(name)\">"
                    + "\(cell.onOneLine.escapedForMarkup)</td>"
            }
            let name = index < classes.count && !classes[index].isEmpty ? " class=\"\(classes[index])\"" : ""
            return "<tr\(name)>\(columns.joined())</tr>\n"
        }
        return """
            <section><h2>\(title)</h2>
            <table><thead><tr>\(head)</tr></thead>
            <tbody>
            \(body.joined())</tbody></table></section>

            """
    }

    // MARK: Timeline

    /// The widths that the drawing is made in; browsers stretch it to the page's.
    private static let width = 1000.0

    private var timeline: String {
        let rows = Timeline(milestones).rows
        guard !rows.isEmpty else { return "" }
        let moments = milestones.map(\.elapsed)
        let begin = moments.min() ?? .zero
        let isOpen = rows.contains { ($0.steps + $0.outages).contains { $0.end == nil } }
        let end = max(isOpen ? took : moments.max() ?? took, begin + .milliseconds(1))
        let scale = Scale(begin: begin, end: end)
        let names = Self.names.filter { name in rows.contains { $0.steps.contains { $0.name == name } } }
        let legend =
            names.map { "<li><i class=\"\(Self.style(of: $0))\"></i>\($0)</li>" }.joined()
            + "<li><i class=\"outage\"></i>outage</li>"
        let ticks = (0...4).map { "<span>\(((end - begin) * $0 / 4).inWords)</span>" }.joined()
        return """
            <section><h2>Timeline</h2>
            <ul class="legend">\(legend)</ul>
            \(rows.map { Self.row($0, scale) }.joined())<div class="axis">\(ticks)</div></section>

            """
    }

    private struct Scale {
        var begin: Duration
        var end: Duration

        func place(_ moment: Duration) -> Double { HTMLReport.width * ((moment - begin) / (end - begin)) }
    }

    private static let names = Pipeline.live.steps.map(\.name) + ["go back"]

    private static func style(of step: String) -> String {
        names.firstIndex(of: step).map { "s\($0)" } ?? "s0"
    }

    private static func row(_ row: Timeline.Row, _ scale: Scale) -> String {
        func bar(_ span: Timeline.Span, _ style: String, y: Int, height: Int) -> String {
            let begin = scale.place(span.begin)
            let end = scale.place(span.end ?? scale.end)
            // A step of no length is seen, too.
            let extent =
                "x=\"\(decimal(begin))\" y=\"\(y)\" width=\"\(decimal(max(end - begin, 2)))\" height=\"\(height)\""
            return "<rect class=\"\(style)\" \(extent)><title>\(inWords(span))</title></rect>"
        }
        let steps = row.steps.map { bar($0, style(of: $0.name) + ($0.failed ? " failed" : ""), y: 0, height: 20) }
        let outages = row.outages.map { bar($0, "outage", y: 24, height: 6) }
        let words = row.steps.filter { $0.failed || $0.length.map { $0 >= .milliseconds(100) } ?? true }.map(inWords)
        let down = row.outages.map { "<b>\(inWords($0))</b>" }
        return """
            <figure><figcaption>\(row.unit.escapedForMarkup)</figcaption>
            <svg viewBox="0 0 1000 30" preserveAspectRatio="none" role="img" \
            aria-label="\((row.steps + row.outages).map(inWords).joined(separator: ", "))">\
            \(steps.joined())\(outages.joined())</svg>
            <p>\((words + down).joined(separator: " · "))</p></figure>

            """
    }

    private static func inWords(_ span: Timeline.Span) -> String {
        span.name + " " + (span.length?.inWords ?? "not ended") + (span.failed ? " (failed)" : "")
    }

    /// One decimal is enough, and no locale is asked.
    private static func decimal(_ number: Double) -> String {
        let tenths = Int((number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    // MARK: Looks

    private static let style = """
        :root { color-scheme: light dark; --back: #fff; --card: #f4f5f7; --text: #1b1f24; --dim: #59636e;
          --line: #d5d9df; --good: #17713a; --bad: #b3261e; --outage: #d1242f;
          --s0: #8b95a1; --s1: #4c86d8; --s2: #d99a20; --s3: #20998c; --s4: #8a63c9; --s5: #c9568c; --s6: #7f9a2f;
          --s7: #3d6b99; --s8: #a0522d; --s9: #5d6b2a; }
        @media (prefers-color-scheme: dark) { :root { --back: #14171b; --card: #1f242b; --text: #e8eaed; --dim: #a0a9b4;
          --line: #363d47; --good: #5fd38a; --bad: #ff8a80; --outage: #ff5c61;
          --s0: #737d89; --s1: #5f9bf0; --s2: #e3ab3c; --s3: #2fb3a4; --s4: #a583e0; --s5: #e077a8; --s6: #9cba45;
          --s7: #6c9bcb; --s8: #c97b52; --s9: #a9b86a; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 3rem; background: var(--back); color: var(--text);
          font: .94rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
        h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; } h2 { margin: 2rem 0 .6rem; font-size: 1.15rem; }
        header p { margin: .4rem 0 0; } .classes { color: var(--dim); font-weight: 600; }
        h1.good, tr.good td:last-child { color: var(--good); }
        h1.bad, tr.bad td:last-child, .bad b { color: var(--bad); }
        .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem;
          margin: 1.2rem 0 0; }
        .tiles div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
        dt { color: var(--dim); font-size: .85rem; } dd { margin: 0; }
        .tiles dd { font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
        .about div { display: flex; gap: 1rem; } .about dt { flex: 0 0 10rem; font-size: 1em; }
        table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
        th, td { padding: .4rem .8rem .4rem 0; text-align: left; vertical-align: top;
          border-bottom: 1px solid var(--line); }
        th { color: var(--dim); font-size: .85rem; font-weight: 600; white-space: nowrap; }
        td:first-child { font-weight: 600; overflow-wrap: break-word; }
        .legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 0 0 .8rem; padding: 0; list-style: none;
          font-size: .85rem; }
        .legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; border-radius: 2px; }
        .legend i.outage { height: .35rem; vertical-align: middle; }
        figure { margin: 0 0 .9rem; break-inside: avoid; } figcaption { font-weight: 600; font-size: .9rem; }
        figure p { margin: .1rem 0 0; color: var(--dim); font-size: .8rem; } figure b { color: var(--outage); }
        svg { display: block; width: 100%; height: 1.9rem; background: var(--card); border-radius: 3px; }
        rect { stroke: var(--card); stroke-width: 1; vector-effect: non-scaling-stroke; } rect.outage { stroke: none; }
        rect.failed { stroke: var(--bad); stroke-width: 3; }
        .s0 { fill: var(--s0); background: var(--s0); } .s1 { fill: var(--s1); background: var(--s1); }
        .s2 { fill: var(--s2); background: var(--s2); } .s3 { fill: var(--s3); background: var(--s3); }
        .s4 { fill: var(--s4); background: var(--s4); } .s5 { fill: var(--s5); background: var(--s5); }
        .s6 { fill: var(--s6); background: var(--s6); } .s7 { fill: var(--s7); background: var(--s7); }
        .s8 { fill: var(--s8); background: var(--s8); } .s9 { fill: var(--s9); background: var(--s9); }
        .outage { fill: var(--outage); background: var(--outage); }
        .axis { display: flex; justify-content: space-between; color: var(--dim); font-size: .8rem;
          border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
        .messages { margin: 0; padding: 0; list-style: none; } .messages li { padding: .35rem 0;
          border-bottom: 1px solid var(--line); white-space: pre-wrap; }
        time { color: var(--dim); margin-right: .4rem; }
        pre { margin: .8rem 0 0; padding: .7rem .9rem; background: var(--card); border-radius: .5rem;
          white-space: pre-wrap; font: .85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
        @media (max-width: 640px) { thead { display: none; } tr { display: block; padding: .6rem 0;
          border-bottom: 1px solid var(--line); } td { display: flex; gap: 1rem; padding: .1rem 0; border: 0; }
          td.none { display: none; }
          td::before { content: attr(data-label); flex: 0 0 6rem; color: var(--dim); font-weight: 400; } }
        @media print { :root { font-size: 11px; } body { max-width: none; padding: 0; } h2 { break-after: avoid; }
          tr, li { break-inside: avoid; }
          * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }

        """
}

extension Timeline.Span {
    fileprivate var length: Duration? { end.map { $0 - begin } }
}
