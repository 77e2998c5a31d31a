import Migration
import ClusterSimulator
import Foundation
import Kubernetes
import Synchronization
import Testing

@testable import pvmigrate

@Suite("The command")
struct CommandTests {
    @Test("migrates, tells each thing that happens on stderr, and prints the table on stdout")
    func migrates() throws {
        var shop = try Shop()
        let run = try shop.run()
        #expect(run.code == .done, "\(run.errors)")
        #expect(shop.storageClass == "fast" && shop.scale == 2)
        let table = run.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(
            table.first == ["CLAIM", "SIZE", "FILES", "BYTES", "COPY", "TIME", "OUTAGE", "OLD", "STORAGE", "RESULT"]
        )
        #expect(table.count == 2)
        #expect(table.last?.prefix(5) == ["shop/data", "16Mi", "2", "5", "B"])
        #expect(table.last?.suffix(2) == ["freed", "migrated"])
        #expect(run.errorLines.last?.hasPrefix("done: 1 claim migrated in ") == true)
        for line in run.errorLines.dropLast() {
            #expect(
                line.wholeMatch(of: /\[ *\d+\.\ds\] \S.*: \S.*|\[ *\d+\.\ds\] migrating 1 claim in 1 unit/) != nil,
                "\(line)"
            )
        }
        #expect(run.errors.contains("] Deployment shop/web: stopped: scale 2 written down and set to 0\n"))
        let warnings = run.errorLines.filter { $0.contains("warning:") }
        #expect(warnings.count == 1 && warnings.first?.contains("is named by a tag") == true, "\(warnings)")
        #expect(!run.errors.contains("error:"))
    }

    @Test("prints exactly one JSON object with --output json")
    func json() throws {
        var shop = try Shop()
        let run = try shop.run("--output", "json")
        #expect(run.code == .done)
        let object = try Self.object(run)
        #expect(object["outcome"] == "migrated" && object["exitCode"] == 0)
        let claim = try #require(object["claims"]?.array?.first)
        #expect(claim["namespace"] == "shop" && claim["name"] == "data" && claim["result"] == "migrated")
        #expect(claim["files"] == 2 && claim["bytes"] == 5 && claim["reason"] == .null)
        #expect(claim["oldStorage"] == "freed" && claim["keptVolume"] == .null)
        let unit = try #require(object["units"]?.array?.first)
        #expect(
            unit["workloads"] == [["kind": "Deployment", "namespace": "shop", "name": "web", "replicas": 2]]
        )
        #expect(unit["claims"]?.array?.first?["state"] == "new")
    }

    @Test("shows the plan with --dry-run, and only reads")
    func dryRun() throws {
        var shop = try Shop()
        let run = try shop.run("--dry-run") { request, _ in
            #expect(request.method == .get)
            return nil
        }
        #expect(run.code == .done)
        let volume = try #require(shop.volume)
        #expect(
            run.output == """
                UNIT   CLAIM       SIZE   VOLUME\(String(repeating: " ", count: volume.count - 3))METHOD   STATE       STOPS
                1      shop/data   16Mi   \(volume)   copy     not begun   Deployment shop/web (scale 2)

                """
        )
        #expect(run.errors == "dry run: 1 claim in 1 unit; nothing was changed\n")
    }

    @Test("chooses claims by their labels, which the server evaluates; one that it can't read is wrong usage")
    func selector() throws {
        var shop = try Shop()
        let other = try shop.run("-l", "app in (db,cache)")
        #expect(other.code == .done && shop.storageClass == "slow")
        #expect(
            other.errorLines.last
                == "nothing to do: of 1 claim of the StorageClass slow none is chosen: 1 without the labels of --selector"
        )
        for flags in [["status"], ["cleanup", "--keep-days=0"], ["--source-sc=slow", "--dest-sc=fast"]] {
            let run = try shop.run(proposed: (["pvmigrate"] + flags + ["-l", "app=="]).joined(separator: " "))
            #expect(run.code == .done, "\(run.errors)")
            let wrong = try shop.run(proposed: (["pvmigrate"] + flags + ["-l", "app=a=b"]).joined(separator: " "))
            #expect(wrong.code == .usage && wrong.output.isEmpty)
            #expect(wrong.errorLines.last?.hasPrefix("error: --selector \"app=a=b\": ") == true, "\(wrong.errors)")
        }
        #expect(try shop.run("--selector=app!=db", "--pvc=shop/data", "--output=json").code == .done)
        #expect(shop.storageClass == "fast")
        let again = try shop.run("--pvc=shop/data")
        #expect(again.code == .done && again.errors.contains("is of the StorageClass fast already"), "\(again.errors)")
    }

    @Test("says so when there is nothing to do")
    func nothingToDo() throws {
        var shop = try Shop()
        #expect(try shop.run("--namespace", "elsewhere").code == .done)
        #expect(shop.storageClass == "slow")
        _ = try shop.run()
        let run = try shop.run()
        #expect(run.code == .done && run.output.isEmpty)
        #expect(run.errorLines.last == "nothing to do: there are no claims of the StorageClass slow")
    }

    @Test("passes preflight without a trace")
    func preflight() throws {
        var shop = try Shop()
        let run = try shop.run("--preflight-validation-only")
        #expect(run.code == .done && run.output.isEmpty)
        #expect(run.errorLines.last == "preflight passed: nothing stands in the way of 1 claim")
        #expect(shop.storageClass == "slow" && shop.scale == 2)
        #expect(shop.cluster.list(.pods).count == 2 && shop.cluster.list(.persistentVolumeClaims).count == 1)
    }

    @Test("refuses what preflight finds, with a table", arguments: [[], ["--skip-preflight-validation"]])
    func refuses(flags: [String]) throws {
        var shop = try Shop()
        _ = try shop.cluster.delete(ObjectKey(.storageClasses, nil, "fast"))
        let changes = Mutex(0)
        let run = try shop.run(flags.first ?? "--verbose-copy") { request, _ in
            if request.isChange { changes.withLock { $0 += 1 } }
            return nil
        }
        #expect(run.code == .refused)
        #expect(
            run.output == """
                NAMESPACE   RESOURCE            MESSAGE
                -           StorageClass fast   does not exist

                """
        )
        #expect(run.errorLines.last == "error: preflight failed: 1 obstacle; nothing was changed")
        #expect(changes.withLock { $0 } == 0)
    }

    @Test("ends with 1 when a claim failed and everything runs again")
    func failed() throws {
        var shop = try Shop()
        shop.cluster.behaviour.rsyncExits = [11]
        let run = try shop.run("--skip-preflight-validation")
        #expect(run.code == .failed, "\(run.errors)")
        #expect(shop.scale == 2 && shop.storageClass == "slow")
        #expect(run.output.contains("failed: ") && run.output.split(separator: "\n").count == 2)
        #expect(
            run.errorLines.last
                == "error: 0 of 1 claim migrated, 1 failed, 0 skipped; every workload runs, and it is safe to run again"
        )
    }

    @Test("ends with 3 while something is stopped, names it, and a second run finishes")
    func stopped() throws {
        var shop = try Shop()
        shop.cluster.behaviour.rsyncExits = [11]
        let patches = Mutex(0)
        let run = try shop.run("--skip-preflight-validation", "--output=json") { request, _ in
            guard request.method == .patch, request.target.contains("/deployments/") else { return nil }
            let isFirst = patches.withLock { count in
                count += 1
                return count == 1
            }
            let refusal = #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not any more"}"#
            return isFirst ? nil : .answer(Response(status: 403, body: Data(refusal.utf8)))
        }
        #expect(run.code == .stopped)
        #expect(shop.scale == 0)
        #expect(
            run.errorLines.last?.hasSuffix(
                "still stopped: Deployment shop/web; run the same command again to finish"
            ) == true
        )
        let object = try Self.object(run)
        #expect(object["stopped"] == ["Deployment shop/web"] && object["exitCode"] == 3)

        // A run that does not come so far as to start it again says that it is stopped.
        var other = shop
        _ = try other.cluster.delete(ObjectKey(.storageClasses, nil, "fast"))
        let refused = try other.run()
        #expect(refused.code == .refused)
        #expect(
            refused.errorLines.last?.hasSuffix("still stopped since an earlier run: Deployment shop/web") == true
        )

        let plan = try shop.run("--dry-run")
        #expect(plan.output.contains("begun: staging claim exists   Deployment shop/web (stopped already)"))
        #expect(plan.errors.hasSuffix("still stopped since an earlier run: Deployment shop/web\n"))

        // Neither does one that leaves its claim out.
        let left = try shop.run("--exclude", "shop/data")
        #expect(left.code == .stopped)
        #expect(left.errorLines.last?.hasSuffix("still stopped since an earlier run: Deployment shop/web") == true)
        #expect(left.errors.contains("which is not chosen now, and stays as it is: run again with that, or abort that"))

        shop.cluster.behaviour.rsyncExits = []
        #expect(try shop.run().code == .done)
        #expect(shop.scale == 2 && shop.storageClass == "fast")
    }

    @Test("brings everything to a safe state when it is interrupted, and ends with 1")
    func interrupted() throws {
        var shop = try Shop()
        let interruption = Interruption()
        let run = try shop.run("--skip-preflight-validation", "--output", "json", interruption: interruption) {
            request,
            _ in
            if request.method == .post, request.target.contains("/pods") { interruption.request() }
            return nil
        }
        #expect(run.code == .failed)
        #expect(shop.scale == 2 && shop.storageClass == "slow")
        #expect(try Self.object(run)["outcome"] == "interrupted")
        #expect(run.errorLines.last?.hasPrefix("error: interrupted; 0 of 1 claim migrated") == true)
        #expect(try shop.run().code == .done)
    }

    @Test("gives reading up at once when it is interrupted")
    func interruptedEarly() throws {
        var shop = try Shop()
        let interruption = Interruption()
        let run = try shop.run(interruption: interruption) { request, _ in
            guard request.target.contains("/pods") else { return nil }
            interruption.request()
            return .hang(takesEffect: false)
        }
        #expect(run.code == .failed)
        #expect(run.errors == "error: interrupted; nothing was changed\n")
    }

    @Test("shows rsync's own output with the claim before each line")
    func verbose() throws {
        var shop = try Shop()
        let run = try shop.run("--verbose-copy=true", "--skip-preflight-validation")
        #expect(run.code == .done)
        #expect(run.errors.contains("] PersistentVolumeClaim shop/data: Number of files: 2"), "\(run.errors)")
        #expect(!(try Shop().quiet()).contains("Number of files"))
    }

    @Test("has the same keys in JSON however it ends", arguments: Outcome.Kind.allCases)
    func keys(kind: Outcome.Kind) throws {
        var shop = try Shop()
        let interruption = Interruption()
        let run: Run =
            switch kind {
            case .planned: try shop.run("--output=json", "--dry-run")
            case .nothingToDo: try shop.run("--output=json", "--namespace=none")
            case .preflightPassed: try shop.run("--output=json", "--preflight-validation-only")
            case .preflightFailed: try shop.run("--output=json", "--source-sc=none")
            case .migrated: try shop.run("--output=json")
            case .staged: try shop.stage("--output=json")
            case .rolledBack: try shop.rolledBack()
            case .retyped: try shop.run("--output=json", "--retype")
            case .copied, .moved:
                try shop.run(
                    proposed: "pvmigrate transfer --namespace shop --to-namespace shop-eu --create-namespace "
                        + "--output=json --ending \(kind == .moved ? "move" : "copy")"
                )
            case .uploaded, .downloaded:
                // Nothing is modelled of this computer: that of an empty StatefulSet ends before it is needed.
                try shop.run(
                    proposed: "pvmigrate \(kind == .uploaded ? "upload" : "download") /tmp/none --output=json "
                        + "--statefulset shop/none"
                )
            case .aborted: try shop.abort("--output=json")
            case .failed: try shop.run("--output=json", "--context=none")
            case .interrupted:
                try shop.run("--output=json", interruption: interruption) { _, _ in
                    interruption.request()
                    return nil
                }
            }
        let object = try Self.object(run)
        let isModelled = ![.uploaded, .downloaded].contains(kind)
        #expect(!isModelled || object["outcome"]?.string == kind.rawValue)
        #expect(object["exitCode"]?.integer == Int64(run.code.rawValue))
        #expect(object["message"]?.string.map { run.errors.hasSuffix($0 + "\n") } == true)
    }

    @Test("passes each different warning of the server on once")
    func warnings() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("config", kubeconfig())
        let console = Console()
        let code = await run(
            ["--source-sc", "slow", "--dest-sc", "fast", "--dry-run", "--kubeconfig", file],
            in: console.surroundings(time: .instant) { _ in ScriptedServer(ScriptedServer.lists()) },
            interruption: Interruption()
        )
        let run = console.run(ending: code)
        #expect(run.code == .done)
        #expect(
            run.errorLines.filter { $0.contains("warning: ") } == [
                "[    0.0s] warning: the API server says: this is old"
            ]
        )
    }

    @Test("asks no server for help, version and permissions")
    func offline() async {
        for (arguments, beginning) in [
            (["--help"], "OVERVIEW: Moves the PersistentVolumeClaims"), (["-h"], "OVERVIEW: Moves"),
            (["--source-sc", "a", "-help"], "OVERVIEW: Moves"), (["--version"], "pvmigrate \(version)\n"),
            (["-version"], "pvmigrate \(version)\n"), (["rbac"], "# Whoever can act as this ServiceAccount"),
            (["rbac", "--help"], "OVERVIEW: Prints a manifest"),
            (["status", "-h"], "OVERVIEW: Tells what is under way"),
            (["status", "-version"], "pvmigrate \(version)\n"),
        ] {
            let console = Console()
            let code = await run(
                arguments,
                in: console.surroundings(time: .instant) { _ in throw TransportError(.configuration, "asked") },
                interruption: Interruption()
            )
            let run = console.run(ending: code)
            #expect(run.code == .done && run.errors.isEmpty && run.output.hasPrefix(beginning), "\(arguments): \(run)")
        }
    }

    @Test("shows in each goal's help the pipeline of that goal")
    func pipelines() async {
        for (name, pipeline) in [("stage", Pipeline.staging), ("rollback", .rollback(discardingChanges: false))] {
            let console = Console()
            let surroundings = console.surroundings(time: .instant) { _ in throw TransportError(.configuration, "asked")
            }
            let code = await run([name, "--help"], in: surroundings, interruption: Interruption())
            // The parser breaks long lines.
            let words = console.run(ending: code).output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            for step in pipeline.steps { #expect(words.contains(" \(step.name) \(step.summary) "), "\(words)") }
            for step in Pipeline.live.steps where !pipeline.steps.contains(where: { $0.name == step.name }) {
                #expect(!words.contains(" \(step.name) \(step.summary) "))
            }
        }
    }

    private static func object(_ run: Run) throws -> JSON {
        try run.object(schema: "run")
    }
}

extension Shop {
    /// Migrates and rolls back.
    fileprivate mutating func rolledBack() throws -> Run {
        _ = try run("--keep-source")
        return try rollback("--output=json")
    }

    /// What a run without `--verbose-copy` says.
    fileprivate consuming func quiet() throws -> String {
        try run("--skip-preflight-validation").errors
    }
}
