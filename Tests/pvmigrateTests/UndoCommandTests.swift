import ClusterSimulator
import Foundation
import Kubernetes
import Migration
import Synchronization
import Testing

@testable import pvmigrate

@Suite("pvmigrate rollback")
struct RollbackCommandTests {
    /// A shop that was migrated with `--keep-source`.
    private static func migrated() throws -> Shop {
        var shop = try Shop()
        let run = try shop.run("--keep-source")
        #expect(run.code == .done)
        #expect(
            run.errorLines.last?.hasSuffix(
                "; 1 old volume kept: `pvmigrate rollback` swaps back to them, `pvmigrate cleanup` frees them"
            ) == true,
            "\(run.errors)"
        )
        #expect(shop.storageClass == "fast" && shop.kept.count == 1)
        let row = run.output.split(separator: "\n").last ?? ""
        #expect(row.hasSuffix("   kept: \(shop.kept.first ?? "?")   migrated"), "\(row)")
        return shop
    }

    @Test("swaps back, tells each thing that happens on stderr, and prints the table on stdout")
    func text() throws {
        var shop = try Self.migrated()
        let old = shop.kept.first
        let run = try shop.rollback()
        #expect(run.code == .done, "\(run.errors)")
        #expect(shop.storageClass == "slow" && shop.scale == 2 && shop.volume == old && shop.kept.isEmpty)
        let table = run.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(
            table.first == ["CLAIM", "SIZE", "FILES", "BYTES", "COPY", "TIME", "OUTAGE", "OLD", "STORAGE", "RESULT"]
        )
        #expect(table.count == 2)
        #expect(table.last?.prefix(2) == ["shop/data", "16Mi"] && table.last?.last == "rolled-back", "\(run.output)")
        #expect(run.errors.contains("] rolling back 1 claim in 1 unit\n"))
        #expect(run.errorLines.last?.hasPrefix("done: 1 claim rolled back in ") == true)
    }

    @Test("ends with 1 where there is newer data, and gives it up with --discard-changes")
    func newerData() throws {
        var shop = try Self.migrated()
        let new = shop.volume
        try shop.write("order")
        let refused = try shop.rollback()
        #expect(refused.code == .failed)
        #expect(shop.storageClass == "fast" && shop.volume == new && shop.scale == 2 && shop.kept.count == 1)
        let row = refused.output.split(separator: "\n").last ?? ""
        #expect(row.contains("failed: ") && row.contains("has newer data: "), "\(refused.output)")
        #expect(row.contains("order") && row.contains("--discard-changes"), "\(refused.output)")
        #expect(
            refused.errorLines.last
                == "error: 0 of 1 claim rolled back, 1 failed, 0 skipped; every workload runs, and it is safe to run again"
        )
        let run = try shop.rollback("--discard-changes=true")
        #expect(run.code == .done && shop.storageClass == "slow" && shop.scale == 2)
        #expect(run.errors.contains("newer data is given up: "), "\(run.errors)")
    }

    @Test("keeps the volumes that it leaves with --keep-source")
    func keepsSource() throws {
        var shop = try Self.migrated()
        let new = shop.volume
        let run = try shop.rollback("--keep-source")
        #expect(run.code == .done && shop.storageClass == "slow")
        #expect(shop.kept == [new ?? ""])
    }

    @Test("takes the claims of --pvc only, and says so where nothing is kept for them")
    func selection() throws {
        var shop = try Self.migrated()
        let other = try shop.rollback("--pvc", "shop/other")
        #expect(other.code == .refused && other.output.contains("PersistentVolumeClaim shop/other   does not exist"))
        #expect(shop.storageClass == "fast")
        #expect(try shop.rollback("--pvc", "shop/other", "--pvc", "shop/data").code == .refused)
        #expect(try shop.rollback("--pvc", "shop/data", "--pvc=shop/data").code == .done)
        #expect(shop.storageClass == "slow")
    }

    @Test("shows the plan with --dry-run, and only reads")
    func dryRun() throws {
        var shop = try Self.migrated()
        let run = try shop.rollback("--dry-run") { request, _ in
            #expect(request.method == .get)
            return nil
        }
        #expect(run.code == .done)
        #expect(run.output.contains("shop/data") && run.output.contains("Deployment shop/web (scale 2)"))
        #expect(run.errors == "dry run: 1 claim in 1 unit; nothing was changed\n")
    }

    @Test("ends with 3 while something is stopped, names it, and a second run finishes")
    func stopped() throws {
        var shop = try Self.migrated()
        shop.cluster.behaviour.rsyncExits = [11]
        let run = try shop.rollback("--output=json", fault: Shop.refusing(.patch, "/deployments/", afterFirst: 1))
        #expect(run.code == .stopped && shop.scale == 0, "\(run.errors)")
        let object = try Self.object(run)
        #expect(object["outcome"] == "failed" && object["stopped"] == ["Deployment shop/web"])
        shop.cluster.behaviour.rsyncExits = []
        #expect(try shop.rollback().code == .done)
        #expect(shop.scale == 2 && shop.storageClass == "slow")
    }

    @Test("has the keys of a migration in JSON, and names the classes of the migration")
    func json() throws {
        var shop = try Self.migrated()
        let planned = try Self.object(try shop.rollback("--output=json", "--dry-run"))
        #expect(planned["outcome"] == "planned")
        #expect(
            planned["options"]
                == [
                    "sourceStorageClass": "slow", "destinationStorageClass": "fast", "namespace": .null,
                    "selection": .null, "toNamespace": .null, "directory": .null, "ending": .null,
                ]
        )
        let object = try Self.object(try shop.rollback("--output=json", "--namespace=shop"))
        #expect(object["outcome"] == "rolled-back")
        #expect(
            object["options"]
                == [
                    "sourceStorageClass": "slow", "destinationStorageClass": "fast", "namespace": "shop",
                    "selection": .null, "toNamespace": .null, "directory": .null, "ending": .null,
                ]
        )
        let claim = try #require(object["claims"]?.array?.first)
        #expect(claim["result"] == "rolled-back" && claim["reason"] == .null && claim["name"] == "data")
        #expect(try Self.object(try shop.rollback("--output=json"))["outcome"] == "nothing-to-do")
        let failed = try Self.object(try shop.rollback("--output=json", "--context=none"))
        #expect(failed["outcome"] == "failed" && failed["claims"] == [])
    }

    private static func object(_ run: Run) throws -> JSON { try run.checkedObject(schema: "run") }
}

@Suite("pvmigrate abort")
struct AbortCommandTests {
    /// A shop whose migration died when its workload was stopped.
    private static func died() throws -> Shop {
        try Shop().died { $0.method == .patch && $0.target.contains("/deployments/") }
    }

    @Test("takes back what was begun, and the status then says that nothing is open")
    func text() throws {
        var shop = try Self.died()
        #expect(shop.scale == 0)
        let run = try shop.abort()
        #expect(run.code == .done, "\(run.errors)")
        #expect(shop.storageClass == "slow" && shop.scale == 2)
        let table = run.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(table.count == 2 && table.last?.first == "shop/data" && table.last?.last == "taken-back")
        #expect(run.errorLines.last == "done: 1 claim taken back")
        #expect(try shop.status().errors == "nothing is open\n")
        let again = try shop.abort()
        #expect(again.code == .done && again.output.isEmpty && again.errorLines.last == "done: nothing to take back")
    }

    @Test("finishes what can't go back any more, and says why")
    func finishes() throws {
        var shop = try Shop().died { $0.method == .delete && $0.target.hasSuffix("/persistentvolumeclaims/data") }
        let run = try shop.abort()
        #expect(run.code == .done, "\(run.errors)")
        #expect(shop.storageClass == "fast" && shop.scale == 2)
        #expect(run.output.contains(" migrated: it was past the point of no return\n"), "\(run.output)")
        #expect(
            run.errorLines.last == "done: 0 claims taken back; 1 past the point of no return and finished",
            "\(run.errors)"
        )
    }

    @Test("ends with 1 where something could not be taken back and everything runs")
    func failed() throws {
        var shop = try Self.died()
        let run = try shop.abort(fault: Shop.refusing(.patch, "/persistentvolumes/"))
        #expect(run.code == .failed && shop.scale == 2, "\(run.errors)")
        #expect(run.output.contains(" failed: could not be taken back; see above\n"), "\(run.output)")
        #expect(run.errorLines.last == "error: 0 claims taken back; 1 failed, see above")
        #expect(try shop.abort().code == .done)
    }

    @Test("tells what it has taken back, where it can't look for more")
    func unseen() throws {
        var shop = try Self.died()
        // The classes are listed by the command, for the way there, and for the way back.
        let run = try shop.abort(fault: Shop.refusing(.get, "/storageclasses", afterFirst: 2))
        #expect(run.code == .failed && shop.scale == 2 && shop.storageClass == "slow")
        #expect(run.output.contains(" taken-back\n"), "\(run.output)")
        let message = "error: 1 claim taken back; what a rollback has left half done could not be looked for: "
        #expect(run.errorLines.last?.hasPrefix(message) == true, "\(run.errors)")
    }

    @Test("ends with 3 while something is stopped, and names it")
    func stopped() throws {
        var shop = try Self.died()
        let run = try shop.abort("--output", "json", fault: Shop.refusing(.patch, "/deployments/"))
        #expect(run.code == .stopped && shop.scale == 0, "\(run.errors)")
        let object = try Self.object(run)
        #expect(object["outcome"] == "failed" && object["stopped"] == ["Deployment shop/web"])
        #expect(
            run.errorLines.last?.hasSuffix("; still stopped: Deployment shop/web; run the same command again") == true,
            "\(run.errors)"
        )
        #expect(try shop.abort().code == .done)
        #expect(shop.scale == 2)
    }

    @Test("has the keys of a migration in JSON")
    func json() throws {
        var shop = try Self.died()
        let object = try Self.object(try shop.abort("--output=json", "--namespace", "shop"))
        #expect(object["outcome"] == "aborted" && object["stopped"] == [])
        let claim = try #require(object["claims"]?.array?.first)
        #expect(claim["result"] == "taken-back" && claim["reason"] == .null)
        let failed = try Self.object(try shop.abort("--output=json", "--context=none"))
        #expect(failed["outcome"] == "failed" && failed["exitCode"] == 1)
    }

    private static func object(_ run: Run) throws -> JSON { try run.checkedObject(schema: "run") }
}

@Suite("pvmigrate cleanup")
struct CleanupCommandTests {
    /// A shop with a volume that is kept since a moment which is yet to come: each run's clock begins anew.
    private static func kept() throws -> Shop {
        var shop = try Shop()
        #expect(try shop.run("--keep-source").code == .done)
        return shop
    }

    @Test("shows what would be freed, keeps what is young, and frees the rest")
    func text() throws {
        var shop = try Self.kept()
        let volume = try #require(shop.kept.first)
        let shown = try shop.cleanup("--keep-days", "0", "--dry-run") { request, _ in
            #expect(request.method == .get)
            return nil
        }
        #expect(shown.code == .done && shop.kept == [volume])
        let lines = shown.output.split(separator: "\n")
        let header = ["VOLUME", "CLAIM", "CLASS", "SIZE", "KEPT", "SINCE", "RESULT"]
        #expect(lines.first?.split(separator: " ").map(String.init) == header)
        let row = lines.last?.split(separator: " ").map(String.init) ?? []
        #expect(row.count == 6 && row.prefix(4) == [volume, "shop/data", "slow", "16Mi"] && row.last == "freed")
        #expect(shown.errors == "dry run: 1 volume of 16.0 MiB would be freed\n")

        let young = try shop.cleanup("-keep-days=1")
        #expect(young.code == .done && shop.kept == [volume])
        #expect(young.output.contains("   kept: not old enough\n"), "\(young.output)")
        #expect(young.errors == "done: 0 volumes of 0 B freed, 1 kept\n")

        let elsewhere = try shop.cleanup("--keep-days=0", "--namespace=default")
        #expect(elsewhere.code == .done && elsewhere.output.isEmpty && shop.kept == [volume])
        #expect(elsewhere.errors == "done: 0 volumes of 0 B freed\n")

        let run = try shop.cleanup("--keep-days=0", "--namespace=shop")
        #expect(run.code == .done && shop.kept.isEmpty, "\(run.errors)")
        #expect(!shop.volumes.contains(volume))
        #expect(run.output == shown.output)
        #expect(run.errors == "done: 1 volume of 16.0 MiB freed\n")
    }

    @Test("removes no more than the object where the storage is its owner's, and says where that is")
    func retained() throws {
        var shop = try Shop()
        try shop.retain()
        #expect(try shop.run("--keep-source").code == .done)
        let volume = try #require(shop.kept.first)
        var other = try Shop()
        try other.retain()
        #expect(try other.run().output.contains("   its owner's   migrated\n"))
        let run = try shop.cleanup("--keep-days=0", "--output=json")
        #expect(run.code == .done && !shop.volumes.contains(volume))
        let entry = try Self.object(run)["volumes"]?.array?.first
        #expect(entry?["result"] == "removed" && entry?["reason"]?.string?.isEmpty == false)
        #expect(
            run.errors == "done: 0 volumes of 0 B freed, 1 removed, their storage stays with its owner\n",
            "\(run.errors)"
        )
    }

    @Test("has the same keys in JSON whatever becomes of a volume")
    func json() throws {
        var shop = try Self.kept()
        let volume = try #require(shop.kept.first)
        func entry(_ run: Run) throws -> JSON {
            let entry = try #require(try Self.object(run)["volumes"]?.array?.first)
            #expect(entry["volume"]?.string == volume && entry["namespace"] == "shop" && entry["name"] == "data")
            #expect(entry["storageClass"] == "slow" && entry["size"] == "16Mi")
            #expect(entry["since"]?.string?.hasSuffix("Z") == true)
            return entry
        }
        let young = try entry(try shop.cleanup("--keep-days=1", "--output=json"))
        #expect(young["result"] == "kept" && young["reason"] == "not old enough")
        let refused = try shop.cleanup("--keep-days=0", "--output=json", fault: Shop.refusing(.patch, "/"))
        #expect(refused.code == .failed)
        let failed = try entry(refused)
        #expect(failed["result"] == "failed" && failed["reason"]?.string?.contains("not any more") == true)
        let freed = try entry(try shop.cleanup("--keep-days=0", "--output=json"))
        #expect(freed["result"] == "freed" && freed["reason"] == .null)
        let nothing = try Self.object(try shop.cleanup("--keep-days=0", "--output=json"))
        #expect(nothing["volumes"] == [])
    }

    @Test("ends with 1 where a volume could not be freed, or the cluster not be asked")
    func failed() throws {
        var shop = try Self.kept()
        let run = try shop.cleanup("--keep-days=0", fault: Shop.refusing(.patch, "/persistentvolumes/"))
        #expect(run.code == .failed && shop.kept.count == 1)
        #expect(run.output.contains("   failed: "), "\(run.output)")
        #expect(run.errorLines.last == "error: 0 volumes of 0 B freed, 1 failed", "\(run.errors)")
        let refused = try shop.cleanup("--keep-days=0", fault: Shop.refusing(.get, "/"))
        #expect(refused.code == .failed && refused.output.isEmpty)
        #expect(refused.errors.hasPrefix("error: ") && refused.errorLines.count == 1, "\(refused.errors)")
        let interruption = Interruption()
        let interrupted = try shop.cleanup("--keep-days=0", interruption: interruption) { _, _ in
            interruption.request()
            return .hang(takesEffect: false)
        }
        #expect(interrupted.code == .failed)
        #expect(interrupted.errors == "error: interrupted; run again to see what is left\n")
    }

    private static func object(_ run: Run) throws -> JSON {
        try run.checkedObject(schema: "cleanup")
    }
}

extension Run {
    /// The one object that is on stdout, with the exit code and the last message.
    fileprivate func checkedObject(schema: String) throws -> JSON {
        let object = try object(schema: schema)
        #expect(object["exitCode"]?.integer == Int64(code.rawValue))
        #expect(object["message"]?.string.map { errors.hasSuffix($0 + "\n") } == true)
        return object
    }
}

extension Shop {
    /// The names of the volumes that are kept for a rollback.
    var kept: [String] {
        cluster.list(.persistentVolumes)
            .filter { $0[path: ["metadata", "annotations", Marks.kept]] != nil }
            .compactMap { $0[path: ["metadata", "name"]]?.string }
    }

    fileprivate var volumes: [String] {
        cluster.list(.persistentVolumes).compactMap { $0[path: ["metadata", "name"]]?.string }
    }

    /// Puts a file onto the volume that the claim is bound to.
    mutating func write(_ name: String) throws {
        let volume = try #require(self.volume)
        cluster.write(["greeting": File("hello"), name: File("new")], toVolumeNamed: volume, node: "node-1")
    }

    /// Sets the reclaim policy of the claim's volume to Retain, whose driver then drops its finalizer.
    fileprivate mutating func retain() throws {
        try cluster.update(ObjectKey(.persistentVolumes, nil, try #require(volume))) {
            $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Retain"
            $0[path: ["metadata", "finalizers"]] = ["kubernetes.io/pv-protection"]
        }
    }

    /// Refuses requests.
    ///
    /// - Parameter count: how many are let through first.
    fileprivate static func refusing(
        _ method: Request.Method,
        _ target: String,
        afterFirst count: Int = 0
    ) -> Interceptor {
        let seen = Mutex(0)
        return { request, _ in
            guard request.method == method, request.target.contains(target) else { return nil }
            let isFirst = seen.withLock { seen in
                seen += 1
                return seen <= count
            }
            let refusal = #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not any more"}"#
            return isFirst ? nil : .answer(Response(status: 403, body: Data(refusal.utf8)))
        }
    }
}
