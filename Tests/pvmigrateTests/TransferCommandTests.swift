import ArgumentParser
import ClusterSimulator
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("pvmigrate transfer")
struct TransferCommandTests {
    private static let required = ["--namespace", "shop", "--to-namespace", "shop-eu"]

    private func options(_ arguments: [String]) throws -> Options {
        try TransferArguments.parse(try GoSpelling.normalise(Self.required + arguments)).checked().options
    }

    private func complaint(_ arguments: [String]) throws -> String? {
        do {
            _ = try TransferArguments.parse(try GoSpelling.normalise(arguments)).checked()
            return nil
        } catch let error as UsageError {
            return error.message
        }
    }

    @Test("reads namespaces, names, classes and the ending")
    func reads() throws {
        let options = try options([
            "--pvc", "shop/data=data-2", "--pvc", "shop/logs", "--class", "gp2=gp3", "--class=io1=io2", "--ending=move",
            "--create-namespace",
        ])
        let handover = try #require(options.handover)
        #expect(options.selection.namespaces == ["shop"])
        #expect(options.selection.claims == [ObjectName("data", in: "shop"), ObjectName("logs", in: "shop")])
        #expect(handover.namespace == "shop-eu" && handover.ending == .move && handover.createsNamespace)
        #expect(handover.names == [ObjectName("data", in: "shop"): "data-2"])
        #expect(handover.classes == ["gp2": "gp3", "io1": "io2"])
    }

    @Test(
        "refuses what makes no sense",
        arguments: [
            (["--namespace", "shop"], "--to-namespace is missing"),
            (["--to-namespace", "shop-eu"], "--namespace is missing"),
            (required + ["--ending", "replace"], "--ending must be copy or move"),
            (required + ["--class", "gp2"], "OLD=NEW"),
            (required + ["--class", "a=b", "--class", "a=c"], "--class names a twice"),
            (required + ["--pvc", "shop/a=x", "--pvc", "shop/b=x"], "gives the name x twice"),
            (required + ["--pvc", "bank/a"], "--pvc bank/a is outside of --namespace"),
            (required + ["--pvc", "shop/a=X"], "is not a claim's NAMESPACE/NAME"),
            (required + ["--ending", "move", "--dest-size", "120%"], "exclude each other"),
            (["--namespace", "shop", "--to-namespace", "shop"], "each needs a new name"),
            (["--namespace", "shop,bank", "--to-namespace", "eu"], "is not the name of a namespace"),
        ] as [([String], String)]
    )
    func refuses(arguments: [String], words: String) throws {
        let complaint = try complaint(arguments)
        #expect(complaint?.contains(words) == true, "\(complaint ?? "nothing")")
    }

    @Test("is found by two words before it is found by one")
    func names() {
        #expect(Subcommands.find(in: ["stage", "transfer", "-n", "x"])?.arguments == ["-n", "x"])
        #expect(Subcommands.find(in: ["stage", "transfer"])?.type == StageTransferArguments.self)
        #expect(Subcommands.find(in: ["stage", "--namespace"])?.type == StageArguments.self)
        #expect(Subcommands.find(in: ["abort", "transfer"])?.type == AbortTransferArguments.self)
    }

    @Test("has permissions for the other namespace, which delete nothing there but claims")
    func permissions() throws {
        var options = Options(sourceClass: "", destinationClass: "")
        options.selection.namespaces = ["shop"]
        options.handover = Handover(to: "shop-eu", ending: .move)
        let granted = Permissions.needed(for: options).filter { $0.namespace == "shop-eu" }
        #expect(granted.contains { $0.resource == .claims && $0.verbs.contains("create") })
        #expect(!granted.contains { $0.verbs.contains("delete") && $0.resource != .claims })
        let manifest = Permissions.rbac(for: options)
        #expect(manifest.contains("namespace: shop-eu"))
    }

    @Test("moves from the plan to the last line, and status names the command that finishes what died")
    func moves() throws {
        var shop = try Shop()
        try shop.cluster.create(.namespaces, ["metadata": ["name": "shop-eu"]])
        let volume = try #require(shop.volume)
        let command = "pvmigrate transfer --namespace shop --to-namespace shop-eu --ending move"
        let plan = try shop.run(proposed: command + " --dry-run")
        #expect(plan.code == .done && plan.output.contains("the volume itself"), "\(plan.output) \(plan.errors)")
        var dead = try shop.died(of: command.split(separator: " ").dropFirst().map(String.init)) {
            $0.method == .delete && $0.target.contains("persistentvolumeclaims/data")
        }
        let status = try dead.status()
        let proposed = "pvmigrate transfer --namespace shop --to-namespace shop-eu --pvc shop/data --ending move"
        #expect(status.errors.contains("run: \(proposed)"), "\(status.errors)")
        let last = try dead.run(proposed: proposed)
        #expect(last.code == .done, "\(last.output) \(last.errors)")
        let run = try shop.run(proposed: command)
        #expect(run.code == .done, "\(run.output) \(run.errors)")
        #expect(run.errors.contains("done: 1 claim moved"), "\(run.errors)")
        #expect(run.errors.contains("left stopped: Deployment shop/web"), "\(run.errors)")
        for cluster in [dead.cluster, shop.cluster] {
            let claim = cluster.get(ObjectKey(.persistentVolumeClaims, "shop-eu", "data"))
            #expect(claim?[path: ["spec", "volumeName"]]?.string == volume)
        }
    }

    @Test("stages, then copies what is missing, into a namespace that it makes")
    func stages() throws {
        var shop = try Shop()
        let flags = "--namespace shop --to-namespace shop-eu --class slow=fast"
        let refused = try shop.run(proposed: "pvmigrate transfer \(flags)")
        #expect(refused.code == .refused && refused.output.contains("--create-namespace"), "\(refused.output)")
        let staged = try shop.run(proposed: "pvmigrate stage transfer \(flags) --skip-preflight-validation")
        #expect(staged.code == .done && shop.scale == 2, "\(staged.output) \(staged.errors)")
        let run = try shop.run(proposed: "pvmigrate transfer \(flags) --create-namespace")
        #expect(run.code == .done && shop.scale == 2, "\(run.output) \(run.errors)")
        #expect(run.errors.contains("done: 1 claim copied"), "\(run.errors)")
        let claim = shop.cluster.get(ObjectKey(.persistentVolumeClaims, "shop-eu", "data"))
        #expect(claim?[path: ["spec", "storageClassName"]] == "fast")
        let volume = claim?[path: ["spec", "volumeName"]]?.string ?? ""
        #expect(shop.cluster.content(ofVolumeNamed: volume)?["greeting"]?.content == "hello")
        #expect(try shop.status().code == .done)
    }

    @Test("takes back what it has staged")
    func aborts() throws {
        var shop = try Shop()
        let flags = "--namespace shop --to-namespace shop-eu --class slow=fast"
        _ = try shop.run(proposed: "pvmigrate stage transfer \(flags) --skip-preflight-validation")
        let run = try shop.run(proposed: "pvmigrate abort transfer \(flags)")
        #expect(run.code == .done && run.errors.contains("1 claim taken back"), "\(run.errors)")
        #expect(shop.cluster.list(.persistentVolumeClaims).count == 1)
    }
}
