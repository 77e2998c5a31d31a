import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("pvmigrate stage and --live")
struct LiveCommandTests {
    @Test("stage copies, leaves everything running where it is, and says what comes next")
    func stage() throws {
        var shop = try Shop()
        let volume = shop.volume
        let run = try shop.stage()
        #expect(run.code == .done, "\(run.errors)")
        #expect(run.errors.contains("pass 1 took"))
        #expect(run.errors.hasSuffix("`pvmigrate --live` copies what changes from now on, and swaps the claims\n"))
        #expect(run.output.contains("staged"))
        #expect(shop.volume == volume && shop.scale == 2 && shop.storageClass == "slow")
        let next = try shop.run("--live")
        #expect(next.code == .done, "\(next.errors)")
        #expect(next.output.contains(" predicted)") && shop.storageClass == "fast" && shop.scale == 2)
    }

    @Test("what an interrupted stage has copied stays for the next one, and abort removes it")
    func undo() throws {
        var shop = try Shop()
        _ = try shop.stage()
        let status = try shop.status()
        #expect(status.code == .stopped && status.output.contains("shop/data"), "\(status.output)")
        let back = try shop.abort()
        #expect(back.code == .done, "\(back.errors)")
        #expect(try shop.status().code == .done)
    }

    @Test(
        "a duration is a number of seconds, or has a unit",
        arguments: [("10", 10), ("90s", 90), ("2m", 120), ("1h", 3600)]
    )
    func duration(text: String, seconds: Int) throws {
        let options = try Invocation.read(["--source-sc", "a", "--dest-sc", "b", "--max-outage", text]).options
        #expect(options.maxOutage == .seconds(seconds) && !options.isLive)
        #expect(try Invocation.read(["-source-sc", "a", "-dest-sc", "b", "--live=true"]).options.isLive)
    }

    @Test("passes copy from what --copy-from says; what can't be had is named before anything is touched")
    func copyFrom() throws {
        var shop = try Shop()
        let refused = try shop.stage("--copy-from", "snapshot")
        #expect(refused.code == .refused && refused.output.contains("the cluster has no snapshot controller"))
        let run = try shop.run("--live", "-copy-from=clone")
        #expect(run.code == .done && run.errors.contains("pass 1 took"), "\(run.errors)")
    }

    @Test("rbac grants snapshots where they are to be copied from", arguments: ["snapshot", "auto"])
    func rbac(source: String) async {
        let console = Console()
        let code = await run(
            ["rbac", "-copy-from=\(source)"],
            in: console.surroundings(time: .instant) { _ in throw TransportError(.configuration, "asked") },
            interruption: Interruption()
        )
        let run = console.run(ending: code)
        #expect(run.code == .done && run.output.contains("volumesnapshots") == (source == "snapshot"))
    }

    @Test("what is no duration is wrong usage", arguments: ["", "0", "-1", "s", "1d", "1.5s", "10 s", "9999999999"])
    func nonsense(text: String) throws {
        #expect(throws: UsageError.self) {
            try Invocation.read(["--source-sc", "a", "--dest-sc", "b", "--max-outage=\(text)"])
        }
    }
}
