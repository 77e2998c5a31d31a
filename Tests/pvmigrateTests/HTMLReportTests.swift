import ClusterSimulator
import Foundation
import FoundationXML
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("--report")
struct HTMLReportTests {
    private let folder: TemporaryFolder
    private let file: String

    init() throws {
        folder = try TemporaryFolder()
        file = folder.path + "/report.html"
    }

    /// The page, which must be well-formed, and must not ask for anything else.
    private func page() throws -> String {
        let page = try String(contentsOfFile: file, encoding: .utf8)
        let parser = XMLParser(data: Data(page.utf8))
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        for word in ["<script", "http://", "https://", "src=", "href=", "url(", "@import"] {
            #expect(!page.contains(word), "\(word)")
        }
        return page
    }

    @Test("shows what was migrated, each unit's steps with the outage, the versions and the command")
    func migrated() throws {
        var shop = try Shop()
        let image = "eeacms/rsync@sha256:\(String(repeating: "a", count: 64))"
        shop.cluster.behaviour.images.insert(image)
        let run = try shop.run("--report", file, "--live", "--rsync-flags=--bwlimit=10000,-z", "--rsync-image", image)
        #expect(run.code == .done, "\(run.errors)")
        let page = try page()
        #expect(page.contains("<h1 class=\"good\">Migrated</h1>"))
        // The same words as in the table on stdout.
        let row = try #require(run.output.split(separator: "\n").last)
        let cells = row.split(separator: "   ").map { $0.trimmingCharacters(in: .whitespaces) }
        for cell in cells { #expect(page.contains(">\(cell)</td>"), "\(cell)") }
        let outage = cells[cells.count - 3].prefix { $0 != "(" }.trimmingCharacters(in: .whitespaces)
        #expect(page.contains("<figcaption>Deployment shop/web</figcaption>"))
        #expect(page.contains("<b>outage \(outage)</b>"))
        for step in Pipeline.live.steps {
            #expect(page.firstMatch(of: try Regex("<rect [^>]*><title>\(step.name) [0-9.]+ s</title>")) != nil)
        }
        #expect(page.contains("<p>None.</p>") && !page.contains("Left to do"))
        #expect(page.contains("<dd>\(version)</dd>") && page.contains(image))
        #expect(page.contains("<pre>pvmigrate --source-sc slow --dest-sc fast"))
        #expect(page.contains("--report \(file) --live --rsync-flags=--bwlimit=10000,-z --rsync-image \(image)</pre>"))
    }

    @Test("says what failed and why, what is still stopped, and that the outage goes on")
    func stopped() throws {
        var shop = try Shop()
        shop.cluster.behaviour.rsyncExits = [11]
        let run = try shop.run("--skip-preflight-validation", "--report", file) { request, _ in
            guard request.method == .patch, request.target.contains("/deployments/"),
                !String(decoding: request.body ?? Data(), as: UTF8.self).contains("\"replicas\":0")
            else { return nil }
            let refusal = #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not <any> more"}"#
            return .answer(Response(status: 403, body: Data(refusal.utf8)))
        }
        #expect(run.code == .stopped)
        let page = try page()
        #expect(page.contains("<h1 class=\"bad\">Failed</h1>"))
        #expect(
            page.contains("<td data-label=\"What\">Still stopped</td><td data-label=\"Which\">Deployment shop/web</td>")
        )
        #expect(page.contains("<b>outage not ended</b>") && page.contains(">not ended</td>"))
        #expect(page.contains("copy ") && page.contains(" (failed)"))
        #expect(page.contains("not &lt;any&gt; more") && !page.contains("<p>None.</p>"))
    }

    @Test("is written for a plan and for a refusal, too")
    func nothingBegun() throws {
        var shop = try Shop()
        #expect(try shop.run("--dry-run", "--report", file).code == .done)
        let plan = try page()
        #expect(
            plan.contains("Dry run</h1>") && plan.contains(">shop/data</td>")
                && plan.contains(">Deployment shop/web</td>")
        )
        _ = try shop.cluster.delete(ObjectKey(.storageClasses, nil, "fast"))
        #expect(try shop.run("--report", file).code == .refused)
        #expect(try page().contains(">StorageClass fast: does not exist</td>"))
    }

    @Test("can't be written over the JUnit file, and is tried before anything starts")
    func files() throws {
        var shop = try Shop()
        for other in [file, folder.path + "/./none/../report.html"] {
            let same = try shop.run("--report", file, "--junit", other)
            #expect(same.code == .usage && same.errors.contains("--junit and --report are the same file"))
        }
        let away = try shop.run("--report", folder.path)
        #expect(
            away.code == .usage && away.errors.contains("--report \(folder.path) cannot be written: is a directory")
        )
        #expect(shop.storageClass == "slow")
    }

    @Test("that finds the disk full at the end is said, in the system's words, and does not make the run fail")
    func full() throws {
        var shop = try Shop()
        let run = try shop.run("--dry-run", "--report", "/dev/full")
        #expect(run.code == .done)
        #expect(
            run.errors.contains("error: /dev/full: could not be written: no space left on device\n"),
            "\(run.errors)"
        )
    }

    @Test("goes to where a link leads, also to a file that was not there, which the trial leaves as it was")
    func link() throws {
        var shop = try Shop()
        let link = folder.path + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
        #expect(try shop.run("--report", link, "--selector=app=a=b").code == .usage)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
        #expect(!FileManager.default.fileExists(atPath: file))
        #expect(try shop.run("--report", link, "--dry-run").code == .done)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
        #expect(try page().contains("Dry run</h1>"))
    }

    @Test(
        "shows the command as it was given, but nothing that looks like a secret",
        arguments: [
            (["--pvc", "shop/data"], "pvmigrate --pvc shop/data"),
            (["-l", "app in (a,b)", ""], "pvmigrate -l 'app in (a,b)' ''"),
            (["--pause", "Kafka/it's={\"spec\":{}}"], #"pvmigrate --pause 'Kafka/it'\''s={"spec":{}}'"#),
            (["--rsync-flags=--password-file=/p"], "pvmigrate --rsync-flags=--password-file=/p"),
            (["--rsync-flags=--proxy=http://me:geheim@h/"], "pvmigrate --rsync-flags=--proxy=http://***@h/"),
            (
                ["--pause=A/b={\"spec\":{\"apiToken\":\"geheim\",\"password\": \"geheim\"}}"],
                #"pvmigrate '--pause=A/b={"spec":{"apiToken":"***","password": "***"}}'"#
            ),
            (["--rsync-flags=--token=geheim,-z"], "pvmigrate --rsync-flags=--token=***,-z"),
            (["-x", "eyJhbGciOiJSUzI1.eyJzdWIiOiJ.c2ln"], "pvmigrate -x ***"),
            (["Authorization: Bearer geheim"], "pvmigrate 'Authorization: Bearer ***'"),
        ]
    )
    func command(arguments: [String], shown: String) {
        #expect(ShownCommand.text(arguments) == shown)
    }
}
