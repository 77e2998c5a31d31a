import FoundationEssentials
import Kubernetes
import Migration

extension Outcome {
    /// What `--junit` writes, as CI systems read it: a test case for each claim, by its namespace and name. Where the
    /// run did not end with 0 there is one more, `pvmigrate` `run`, so that no failure is overlooked.
    func junit(_ options: Options, began: Date, took: Duration) -> String {
        var cases = (report?.claims ?? []).map { claim in
            JUnitCase(
                group: claim.name.namespace ?? "",
                name: claim.name.name,
                time: claim.copyTime ?? claim.outage ?? .zero,
                result: claim.isDone ? .passed : claim.result == .skipped ? .skipped : .failure,
                reason: claim.reason ?? claim.result.rawValue
            )
        }
        if report == nil {
            cases = (discovery?.units ?? []).flatMap(\.claims).map {
                JUnitCase(group: $0.name.namespace ?? "", name: $0.name.name, result: .skipped, reason: message)
            }
        }
        if code != .done {
            let rows = obstacles.map { "\($0.namespace) \($0.resource): \($0.message)" }
            cases.append(
                JUnitCase(
                    group: "pvmigrate",
                    name: "run",
                    time: took,
                    result: .error,
                    reason: message,
                    details: rows.map(\.onOneLine).joined(separator: "\n")
                )
            )
        }
        func count(_ result: JUnitCase.Result) -> Int { cases.count { $0.result == result } }
        let name = "pvmigrate \(options.endsInWords.source) to \(options.endsInWords.destination)"
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites>
            <testsuite name="\(name.escapedForMarkup)" tests="\(cases.count)" failures="\(count(.failure))" \
            errors="\(count(.error))" skipped="\(count(.skipped))" time="\(took.inDecimals)" \
            timestamp="\(began.formatted(.iso8601))">
            \(cases.map { $0.xml + "\n" }.joined())</testsuite>
            </testsuites>

            """
    }
}

private struct JUnitCase {
    enum Result: String {
        case passed
        case failure
        case error
        case skipped
    }

    var group: String
    var name: String
    var time = Duration.zero
    var result: Result
    var reason: String
    /// Further lines.
    var details = ""

    var xml: String {
        let start =
            #"<testcase classname="\#(group.escapedForMarkup)" name="\#(name.escapedForMarkup)" time="\#(time.inDecimals)""#
        guard result != .passed else { return start + "/>" }
        return start + ">" + #"<\#(result.rawValue) message="\#(reason.onOneLine.escapedForMarkup)">"#
            + details.escapedForMarkup + "</\(result.rawValue)></testcase>"
    }
}

extension Duration {
    /// In seconds, with milliseconds as decimals.
    fileprivate var inDecimals: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        let decimals = String(milliseconds % 1000)
        return "\(milliseconds / 1000)." + String(repeating: "0", count: 3 - decimals.count) + decimals
    }
}

extension String {
    /// As text or an attribute's value in XML and HTML, without what XML has no way to hold.
    var escapedForMarkup: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\n": result += "\n"
            case "\u{fffe}", "\u{ffff}": result += "?"
            default: result.unicodeScalars.append(scalar.properties.generalCategory == .control ? "?" : scalar)
            }
        }
        return result
    }
}
