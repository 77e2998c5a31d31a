import ClusterSimulator
import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("pvmigrate status")
struct StatusCommandTests {
    @Test("says that nothing is open before a migration and after it, and counts the claims of the classes")
    func nothing() throws {
        var shop = try Shop()
        #expect(try shop.status().errors == "nothing is open\n")
        let before = try shop.status("-source-sc=slow", "-dest-sc", "fast")
        #expect(before.code == .done)
        #expect(before.output == "CLASS   CLAIMS\nslow    1 still to migrate\nfast    0 bound\n")
        #expect(before.errors == "nothing is open; 1 claim of the class slow still to migrate\n")
        #expect(try shop.run().code == .done)
        let after = try shop.status("--source-sc", "slow", "--dest-sc", "fast")
        #expect(after.code == .done)
        #expect(after.output == "CLASS   CLAIMS\nslow    0 still to migrate\nfast    1 bound\n")
        #expect(after.errors == "nothing is open\n")
    }

    @Test("says where a migration died that had swapped half, and the command that it proposes finishes it")
    func died() throws {
        var shop = try Shop().died { request in
            request.method == .patch && request.text.contains("claimRef")
        }
        try shop.letLocksExpire()
        let source = try #require(shop.volumes.first { $0.value == "slow" }?.key)
        let destination = try #require(shop.volumes.first { $0.value == "fast" }?.key)
        let run = try shop.status()
        #expect(run.code == .stopped)
        let state = "its data is complete on the destination volume; the claim is to be created anew"
        let next = "creates the claim, bound to that volume"
        let lines = run.output.split(separator: "\n")
        #expect(lines.first?.hasPrefix("CLAIM       STATE ") == true)
        #expect(lines[1] == "shop/data   \(state)   \(next)   \(source)   \(destination)")
        #expect(
            run.output.contains(
                """


                WORKLOAD              SCALE   STATE
                Deployment shop/web   2       stopped; a rerun starts it again


                """
            )
        )
        #expect(lines.last?.hasSuffix(" by this machine's clock; its holder seems dead") == true)
        let command = "pvmigrate --source-sc slow --dest-sc fast"
        #expect(run.errors == "1 claim under way, 1 workload stopped; run: \(command)\n")
        #expect(try shop.run(proposed: command).code == .done)
        #expect(try shop.status().code == .done)
        #expect(shop.storageClass == "fast" && shop.scale == 2)
    }

    @Test("says that a rollback died, and the command that it proposes finishes that")
    func rollback() throws {
        var shop = try Shop()
        #expect(try shop.run("--keep-source").code == .done)
        let kept = try shop.status("--source-sc", "slow")
        #expect(kept.errors == "nothing is open; 1 volume of 16.0 MiB kept for a rollback\n")
        let command = "pvmigrate rollback --source-sc slow --dest-sc fast"
        shop = try shop.died(of: ["rollback", "--source-sc", "slow", "--dest-sc", "fast"]) { request in
            request.method == .delete && request.target.hasSuffix("/persistentvolumeclaims/data")
        }
        try shop.letLocksExpire()
        let run = try shop.status("--source-sc", "slow", "--dest-sc", "fast")
        #expect(run.code == .stopped)
        #expect(run.output.contains("\nshop/data   rollback: its data is complete on the destination volume; "))
        #expect(run.errors == "1 claim under way, 1 workload stopped; run: \(command)\n")
        #expect(try shop.run(proposed: command).code == .done)
        #expect(try shop.status().errors == "nothing is open\n")
        #expect(shop.storageClass == "slow" && shop.scale == 2)
    }

    @Test("says who seems to be at work on what is open")
    func alive() throws {
        let shop = try Shop().died { $0.method == .patch && $0.target.contains("/deployments/") }
        let run = try shop.status("--namespace", "shop")
        #expect(run.code == .stopped)
        #expect(run.output.contains("LOCK OF   HELD BY"))
        #expect(
            try
                #/1 claim under way, 1 workload stopped; \S+ process \d+ \w+ seems to be at work on it; if it is not, run: pvmigrate --source-sc slow --dest-sc fast --namespace shop\n/#
                .wholeMatch(in: run.errors) != nil,
            "\(run.errors)"
        )
        let elsewhere = try shop.status("--namespace", "default")
        #expect(elsewhere.code == .done && elsewhere.errors.hasPrefix("nothing is open; "))
        #expect(elsewhere.errors.contains(" seems to be at work on the classes fast and slow"), "\(elsewhere.errors)")
    }

    @Test("shows what is kept for a rollback, and what is left over")
    func kept() throws {
        var shop = try Shop()
        #expect(try shop.run().code == .done)
        let claim = try #require(shop.cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data")))
        for (name, successor) in [("pv-old", claim[path: ["metadata", "uid"]]?.string), ("pv-older", "gone")] {
            try shop.addVolume(
                name,
                claim: "data",
                [
                    Marks.kept: "2026-08-01T10:00:00Z", Marks.successor: successor ?? "", Marks.reclaimPolicy: "Delete",
                    Marks.sourceNamespace: "shop", Marks.sourceClaim: "data",
                ]
            )
        }
        try shop.addVolume("pv-lost", claim: "lost", [Marks.sourceUID: "u", Marks.reclaimPolicy: "Delete"])
        try shop.addVolume("pv-there", claim: "there", [:])
        let run = try shop.status("--source-sc", "slow")
        #expect(run.code == .done)
        #expect(
            run.output == """
                LEFT OVER                  WHY
                PersistentVolume pv-lost   is protected, with the data of the claim shop/lost, which was deleted before it \
                was migrated; its policy was Delete

                KEPT VOLUME   CLAIM       CLASS   SIZE   SINCE                  SUCCESSOR
                pv-old        shop/data   slow    1Gi    2026-08-01T10:00:00Z   exists
                pv-older      shop/data   slow    1Gi    2026-08-01T10:00:00Z   gone

                NOTE
                PersistentVolume pv-there   is Released with the policy Retain, and has no claim; it had shop/there

                CLASS   CLAIMS
                slow    0 still to migrate

                """
        )
        #expect(
            run.errors == "nothing is open; 2 volumes of 2.0 GiB kept for a rollback; 1 object left over, see above\n"
        )
    }

    @Test("has the same keys in JSON whatever there is, and says no more on stdout")
    func json() throws {
        let open = try Shop().died { $0.method == .patch && $0.target.contains("/deployments/") }
        let object = try Self.object(try open.status("--output=json"))
        #expect(object["open"] == true && object["exitCode"] == 3)
        #expect(object["commands"] == ["pvmigrate --source-sc slow --dest-sc fast"])
        let claim = try #require(object["claims"]?.array?.first)
        #expect(claim["stage"] == "begun" && claim["blocked"] == false && claim["destinationStorageClass"] == "fast")
        #expect(
            object["workloads"] == [
                [
                    "kind": "Deployment", "namespace": "shop", "name": "web", "scale": 2, "replicas": 0,
                    "state": "stopped; a rerun starts it again", "blocked": false,
                ]
            ]
        )
        let locks = object["locks"]?.array ?? []
        #expect(locks.map { $0["storageClass"] } == ["fast", "slow"] && locks.allSatisfy { $0["alive"] == true })
        #expect(locks.allSatisfy { $0["sourceStorageClass"] == "slow" && $0["destinationStorageClass"] == "fast" })

        let rest = try Self.object(try Shop().status("--output=json", "--source-sc=slow", "--namespace=shop"))
        #expect(rest["open"] == false && rest["exitCode"] == 0 && rest["keptBytes"] == 0)
        #expect(rest["toMigrate"] == 1 && rest["onDestination"] == .null)
        #expect(
            rest["options"]
                == [
                    "sourceStorageClass": "slow", "destinationStorageClass": .null, "namespace": "shop",
                    "selection": .null,
                ]
        )

        let failed = try Self.object(try Shop().status("--output=json", "--context=none"))
        #expect(failed["open"] == .null && failed["exitCode"] == 1 && failed["keptBytes"] == .null)
    }

    @Test("warns of what may not be listed, and does not say that nothing is open without that")
    func forbidden() throws {
        let run = try Shop().status { request, _ in
            guard request.target.contains("/statefulsets") else { return nil }
            let refusal = #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not you"}"#
            return .answer(Response(status: 403, body: Data(refusal.utf8)))
        }
        #expect(run.code == .done)
        #expect(
            run.errors == """
                [    0.0s] warning: statefulsets: may not be listed, so stopped ones are not told of: not you
                nothing is open, as far as you may look

                """
        )
    }

    @Test("gives up when it is interrupted")
    func interrupted() throws {
        let interruption = Interruption()
        let run = try Shop().status(interruption: interruption) { _, _ in
            interruption.request()
            return .hang(takesEffect: false)
        }
        #expect(run.code == .failed && run.output.isEmpty && run.errors == "error: interrupted\n")
    }

    /// The one object that is on stdout, with the exit code and the last message.
    private static func object(_ run: Run) throws -> JSON {
        let object = try run.object(schema: "status")
        #expect(object["exitCode"]?.integer == Int64(run.code.rawValue))
        #expect(object["message"]?.string.map { run.errors.hasSuffix($0 + "\n") } == true)
        return object
    }
}

extension Shop {
    /// Makes the locks ones that were not renewed for years.
    fileprivate mutating func letLocksExpire() throws {
        for name in ["pvmigrate-fast", "pvmigrate-slow"] {
            try cluster.update(ObjectKey(.leases, "default", name)) {
                $0[path: ["spec", "renewTime"]] = "2020-01-01T00:00:00.000000Z"
            }
        }
    }

    /// The names of all volumes, and their classes.
    fileprivate var volumes: [String: String] {
        let pairs = cluster.list(.persistentVolumes).map { volume in
            (
                volume[path: ["metadata", "name"]]?.string ?? "",
                volume[path: ["spec", "storageClassName"]]?.string ?? ""
            )
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    /// A volume of the class `slow` whose claim is gone.
    fileprivate mutating func addVolume(_ name: String, claim: String, _ marks: [String: String]) throws {
        try cluster.create(
            .persistentVolumes,
            [
                "metadata": ["name": .string(name), "annotations": .object(marks.mapValues(JSON.string))],
                "spec": [
                    "storageClassName": "slow", "persistentVolumeReclaimPolicy": "Retain",
                    "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"],
                    "hostPath": ["path": "/data"],
                    "claimRef": [
                        "kind": "PersistentVolumeClaim", "namespace": "shop", "name": .string(claim), "uid": "before",
                    ],
                ],
            ]
        )
        for _ in 1...5 { cluster.advance(to: cluster.now + .seconds(1)) }
    }
}

extension Request {
    fileprivate var text: String { String(decoding: body ?? Data(), as: UTF8.self) }
}
