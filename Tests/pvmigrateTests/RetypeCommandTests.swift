import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Testing

@testable import pvmigrate

@Suite("pvmigrate --retype")
struct RetypeCommandTests {
    private static func result(_ text: String) throws -> JSON { try JSON(parsing: Data(text.utf8)) }

    @Test("shows the method, and what did not have to travel")
    func output() throws {
        var shop = try Shop()
        let plan = try shop.run("--retype", "--dry-run")
        #expect(plan.output.contains("METHOD") && plan.output.contains("retype, no copy"), "\(plan.output)")
        let run = try shop.run("--retype")
        #expect(run.code == .done, "\(run.errors)")
        #expect(run.output.contains("0, not 16.0 MiB") && run.output.contains("retyped"), "\(run.output)")
        #expect(run.errors.contains("done: 1 claim retyped"), "\(run.errors)")
        #expect(run.errors.contains("16.0 MiB did not have to travel"), "\(run.errors)")
    }

    @Test("says so in JSON too, of the plan and of each claim")
    func json() throws {
        var shop = try Shop()
        let plan = try Self.result(try shop.run("--retype", "--dry-run", "--output=json").output)
        #expect(plan["units"]?.array?.first?["claims"]?.array?.first?["method"] == "retype")
        let copy = try Self.result(try shop.run("--dry-run", "--output=json").output)
        #expect(copy["units"]?.array?.first?["claims"]?.array?.first?["method"] == "copy")
        let run = try Self.result(try shop.run("--retype", "--output=json").output)
        #expect(run["outcome"] == "retyped")
        let claim = run["claims"]?.array?.first
        #expect(claim?["result"] == "retyped" && claim?["bytes"] == .null)
        #expect(claim?["bytesNotMoved"] == .integer(16 << 20))
    }

    @Test("refuses another driver and an unaccepted difference, and takes what is accepted by name")
    func accept() throws {
        var shop = try Shop()
        try shop.replaceClass(["provisioner": "network.csi.example.com", "parameters": ["type": "gp3"]])
        let refused = try shop.run("--retype")
        #expect(refused.code == .refused)
        #expect(refused.output.contains("--accept type"), "\(refused.output)")
        let skipped = try shop.run("--retype", "--skip-preflight-validation")
        #expect(skipped.code == .failed && skipped.output.contains("skipped"), "\(skipped.output)")
        #expect(try shop.run("--retype", "--accept", "type").code == .done)

        var other = try Shop()
        try other.replaceClass(["provisioner": "disk.csi.example.com"])
        let foreign = try other.run("--retype", "--accept", "provisioner")
        #expect(foreign.code == .refused)
        #expect(foreign.output.contains("no other driver can take it over"), "\(foreign.output)")
    }

    @Test("goes with no flag of a copy", arguments: ["--live", "--keep-source", "--dest-size=120%"])
    func flags(other: String) {
        #expect(throws: UsageError.self) {
            _ = try Invocation.read(["--source-sc", "slow", "--dest-sc", "fast", "--retype", other])
        }
        #expect(throws: UsageError.self) {
            _ = try Invocation.read(["--source-sc", "slow", "--dest-sc", "fast", "--accept", "type"])
        }
    }

    @Test("is named by a migration's preflight where it would do")
    func advice() throws {
        var shop = try Shop()
        let run = try shop.run("--preflight-validation-only")
        #expect(run.errors.contains("the volumes can be of it as they are, without a copy: --retype"), "\(run.errors)")
    }
}

extension Shop {
    /// Makes the destination class anew.
    fileprivate mutating func replaceClass(_ manifest: JSON) throws {
        var manifest = manifest
        manifest["metadata"] = ["name": "fast"]
        try cluster.delete(ObjectKey(.storageClasses, nil, "fast"))
        try cluster.create(.storageClasses, manifest)
    }
}
