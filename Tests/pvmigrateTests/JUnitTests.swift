import ClusterSimulator
import Foundation
import FoundationXML
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

/// A test case as a CI system reads it.
private struct Case: Equatable {
    var group: String
    var name: String
    var result = "passed"
    var message = ""
    var details = ""
}

/// Reads a JUnit file, and nothing that is not well-formed.
private final class JUnitReader: NSObject, XMLParserDelegate {
    var suite: [String: String] = [:]
    var cases: [Case] = []

    init(_ text: String) throws {
        super.init()
        let parser = XMLParser(data: Data(text.utf8))
        parser.delegate = self
        try #require(parser.parse(), "\(String(describing: parser.parserError)): \(text)")
    }

    func parser(
        _ parser: XMLParser,
        didStartElement name: String,
        namespaceURI: String?,
        qualifiedName: String?,
        attributes: [String: String]
    ) {
        switch name {
        case "testsuites": break
        case "testsuite": suite = attributes
        case "testcase": cases.append(Case(group: attributes["classname"] ?? "", name: attributes["name"] ?? ""))
        default:
            cases[cases.count - 1].result = name
            cases[cases.count - 1].message = attributes["message"] ?? ""
        }
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) {
        if !cases.isEmpty { cases[cases.count - 1].details += text.trimmingCharacters(in: .newlines) }
    }
}

@Suite("--junit")
struct JUnitTests {
    private let folder: TemporaryFolder
    private let file: String

    init() throws {
        folder = try TemporaryFolder()
        file = folder.path + "/junit.xml"
    }

    private func read() throws -> JUnitReader { try JUnitReader(String(contentsOfFile: file, encoding: .utf8)) }

    @Test("has a passed test case for each claim that was migrated")
    func passed() throws {
        var shop = try Shop()
        #expect(try shop.run("--junit", file).code == .done)
        let result = try read()
        #expect(result.cases == [Case(group: "shop", name: "data")])
        #expect(result.suite["name"] == "pvmigrate slow to fast" && result.suite["tests"] == "1")
        #expect(result.suite["failures"] == "0" && result.suite["errors"] == "0" && result.suite["skipped"] == "0")
    }

    @Test("gives the reason of a failed claim, and that the run failed")
    func failed() throws {
        var shop = try Shop()
        shop.cluster.behaviour.rsyncExits = [11]
        let run = try shop.run("--skip-preflight-validation", "-junit=\(file)")
        #expect(run.code == .failed)
        let result = try read()
        #expect(result.cases.map(\.result) == ["failure", "error"])
        #expect(result.cases.first?.message.contains("rsync") == true, "\(result.cases)")
        #expect(run.errorLines.last == "error: \(result.cases.last?.message ?? "")")
        #expect(result.suite["failures"] == "1" && result.suite["errors"] == "1")
    }

    @Test("is written when the run is interrupted, refused, or only shown, with the claims skipped and the reason why")
    func skipped() throws {
        var shop = try Shop()
        let interruption = Interruption()
        _ = try shop.run("--skip-preflight-validation", "--junit", file, interruption: interruption) { request, _ in
            if request.method == .post, request.target.contains("/pods") { interruption.request() }
            return nil
        }
        #expect(
            try read().cases.first
                == Case(group: "shop", name: "data", result: "skipped", message: "the run was interrupted")
        )
        #expect(try read().cases.count == 2)

        let plan = try shop.run("--dry-run", "--junit", file)
        let shown = try read().cases
        #expect(shown.map(\.result) == ["skipped"] && plan.errors.hasSuffix("\(shown.first?.message ?? "?")\n"))

        _ = try shop.cluster.delete(ObjectKey(.storageClasses, nil, "fast"))
        #expect(try shop.run("--junit", file).code == .refused)
        let refused = try read().cases
        #expect(refused.map(\.result) == ["skipped", "error"])
        #expect(refused.last?.details.contains("StorageClass fast: does not exist") == true, "\(refused)")
    }

    @Test("keeps every character that XML can hold, and is well-formed whatever the reason is")
    func escaping() throws {
        let reason = "a <b> & \"c\" 'd' ]]> \u{1b}[0m \u{0}\u{fffe} é 💾"
        var report = Report()
        report.claims = [
            Report.Claim(
                name: ObjectName("data", in: "shop"),
                size: "1Gi",
                copyTime: .milliseconds(1042),
                result: .failed,
                reason: reason
            )
        ]
        let outcome = Outcome(kind: .failed, code: .failed, message: reason, report: report)
        let text = outcome.junit(Options(sourceClass: "a", destinationClass: "b"), began: .now, took: .seconds(3))
        #expect(text.contains(#"time="1.042""#))
        let result = try JUnitReader(text)
        #expect(result.cases.map(\.message) == Array(repeating: "a <b> & \"c\" 'd' ]]> ?[0m ?? é 💾", count: 2))
    }

    @Test("that can't be written is said before anything starts")
    func unwritable() throws {
        var shop = try Shop()
        let path = folder.path + "/none/junit.xml"
        for command in [["--source-sc=slow", "--dest-sc=fast"], ["abort", "--source-sc=slow", "--dest-sc=fast"]] {
            let line = (["pvmigrate"] + command + ["--junit=\(path)"]).joined(separator: " ")
            let run = try shop.run(proposed: line)
            #expect(run.code == .usage && run.output.isEmpty)
            #expect(
                run.errors
                    == "error: --junit \(path) cannot be written: no such file or directory; see pvmigrate --help\n"
            )
        }
        #expect(shop.storageClass == "slow")
        // The trial leaves nothing behind.
        #expect(try shop.run("--junit", file, "--selector=app=a=b").code == .usage)
        #expect(!FileManager.default.fileExists(atPath: file))
    }
}
