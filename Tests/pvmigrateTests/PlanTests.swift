import ArgumentParser
import ClusterSimulator
import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("pvmigrate plan and apply")
struct PlanTests {
    private static let migrate = "--source-sc slow --dest-sc fast"
    private static let transfer = "transfer --namespace shop --to-namespace shop-eu --class slow=fast --include secrets"

    /// Writes what was planned into a file.
    private func plan(_ command: String, of shop: Shop, in folder: TemporaryFolder) throws -> String {
        var shop = shop
        let before = shop.cluster.resourceVersion
        let run = try shop.run(proposed: "pvmigrate plan \(command)")
        #expect(run.code == .done, "\(run.output) \(run.errors)")
        #expect(shop.cluster.resourceVersion == before)
        return try folder.write("plan.yaml", run.output)
    }

    @Test("a plan names objects by their UIDs, says where each value came from, and is what apply does")
    func migrates() throws {
        var shop = try Shop()
        let folder = try TemporaryFolder()
        let file = try plan(Self.migrate, of: shop, in: folder)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        for words in [
            "apiVersion: \"pvmigrate/v1\"", "storageClass: \"fast\"  # --dest-sc", "replicas: 2  # its scale",
            "volume: \"\(shop.volume ?? "")\"",
        ] {
            #expect(text.contains(words), "\(words) in \(text)")
        }
        #expect(!text.contains("kubeconfig"))
        let run = try shop.run(proposed: "pvmigrate apply \(file)")
        #expect(run.code == .done && run.errors.contains("done: 1 claim migrated"), "\(run.output) \(run.errors)")
        #expect(shop.storageClass == "fast" && shop.scale == 2)
        let again = try shop.run(proposed: "pvmigrate apply \(file)")
        #expect(again.code == .done && again.errors.contains("nothing to do"), "\(again.output) \(again.errors)")
    }

    @Test("the plan as JSON is what the schema says, and a plan, too")
    func json() throws {
        var shop = try Shop()
        let folder = try TemporaryFolder()
        let text = try plan(Self.migrate, of: shop, in: folder)
        let run = try shop.run(proposed: "pvmigrate plan \(Self.migrate) --output json")
        #expect(try Schema(named: "plan").faults(of: JSON(parsing: Data(run.output.utf8))).isEmpty)
        let file = try folder.write("plan.json", run.output)
        #expect(try PlanDocument(readFrom: file) == PlanDocument(readFrom: text))
    }

    @Test(
        "what has changed since is named, and then nothing is changed",
        arguments: [
            ("the scale", "Deployment web", "its scale is 5, and 2 is planned"),
            ("the class", "StorageClass fast", "is another one than planned"),
            ("a further claim", "PersistentVolumeClaim logs", "is not in the plan"),
            ("the claim", "PersistentVolumeClaim data", "its UID is"),
            ("no claim", "PersistentVolumeClaim data", "is not to be found any more"),
        ]
    )
    func changed(what: String, resource: String, words: String) throws {
        var shop = try Shop()
        let folder = try TemporaryFolder()
        let file = try plan(Self.migrate, of: shop, in: folder)
        let claims = Resource.persistentVolumeClaims
        let spec: JSON = [
            "accessModes": ["ReadWriteMany"], "storageClassName": "slow",
            "resources": ["requests": ["storage": "16Mi"]],
        ]
        switch what {
        case "the scale":
            try shop.cluster.update(ObjectKey(.deployments, "shop", "web")) { $0[path: ["spec", "replicas"]] = 5 }
        case "the class":
            try shop.cluster.delete(ObjectKey(.storageClasses, nil, "fast"))
            try shop.cluster.create(
                .storageClasses,
                ["metadata": ["name": "fast"], "provisioner": "network.csi.example.com", "reclaimPolicy": "Delete"]
            )
        case "a further claim":
            try shop.cluster.create(claims, namespace: "shop", ["metadata": ["name": "logs"], "spec": spec])
        default:
            try shop.cluster.update(ObjectKey(.deployments, "shop", "web")) { $0[path: ["spec", "replicas"]] = 0 }
            for _ in 1...30 { shop.cluster.advance(to: shop.cluster.now + .seconds(1)) }
            try shop.cluster.delete(ObjectKey(claims, "shop", "data"))
            for _ in 1...30 { shop.cluster.advance(to: shop.cluster.now + .seconds(1)) }
            if what == "the claim" {
                try shop.cluster.create(claims, namespace: "shop", ["metadata": ["name": "data"], "spec": spec])
            }
        }
        for _ in 1...30 { shop.cluster.advance(to: shop.cluster.now + .seconds(1)) }
        let before = shop.cluster.resourceVersion
        let run = try shop.run(proposed: "pvmigrate apply \(file)")
        #expect(run.code == .refused, "\(run.output) \(run.errors)")
        #expect(run.output.contains(resource) && run.output.contains(words), "\(run.output)")
        #expect(run.errors.contains("the cluster is not as planned"), "\(run.errors)")
        #expect(shop.cluster.resourceVersion == before)
    }

    @Test("an apply that died is finished by another one")
    func resumes() throws {
        let shop = try Shop()
        let folder = try TemporaryFolder()
        let file = try plan(Self.migrate, of: shop, in: folder)
        for isLast: @Sendable (Request) -> Bool in [
            { $0.method == .patch && $0.target.contains("deployments/web") },
            { $0.method == .post && $0.target.contains("namespaces/shop/pods") && $0.isChange },
            { $0.method == .delete && $0.target.contains("persistentvolumeclaims/data") },
            { $0.method == .delete && $0.target.contains("persistentvolumeclaims/data-pvcmigrate") },
        ] {
            var dead = try shop.died(after: isLast)
            let run = try dead.run(proposed: "pvmigrate apply \(file)")
            #expect(run.code == .done, "\(run.output) \(run.errors)")
            #expect(dead.storageClass == "fast" && dead.scale == 2)
        }
    }

    @Test("an apply that died is finished by another one where sizes change, too")
    func resumesWithOtherSizes() throws {
        let shop = try Shop()
        let folder = try TemporaryFolder()
        let file = try plan(Self.migrate + " --dest-size 150%", of: shop, in: folder)
        for request in ["persistentvolumeclaims/data", "persistentvolumeclaims/data-pvcmigrate"] {
            var dead = try shop.died(of: ["--source-sc", "slow", "--dest-sc", "fast", "--dest-size", "150%"]) {
                $0.method == .delete && $0.target.contains(request)
            }
            let run = try dead.run(proposed: "pvmigrate apply \(file)")
            #expect(run.code == .done && dead.scale == 2, "\(run.output) \(run.errors)")
        }
    }

    @Test("a plan names no path that would be another one elsewhere")
    func paths() throws {
        var shop = try Shop()
        for command in ["upload data --pvc shop/data", "--source-sc slow --dest-sc fast --mover-template=mover.yaml"] {
            let run = try shop.run(proposed: "pvmigrate plan \(command)")
            #expect(run.code == .usage && run.output.isEmpty, "\(run.errors)")
        }
    }

    @Test("a transfer's plan tells of a Secret and not what is in it, and a Secret that has changed stops it")
    func secrets() throws {
        var shop = try Shop()
        try shop.cluster.create(.namespaces, ["metadata": ["name": "shop-eu"]])
        let secret = ObjectKey(.secrets, "shop", "pw")
        try shop.cluster.create(
            .secrets,
            namespace: "shop",
            ["metadata": ["name": "pw"], "type": "Opaque", "data": ["password": "aHVudGVyMg=="]]
        )
        let folder = try TemporaryFolder()
        let file = try plan(Self.transfer, of: shop, in: folder)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        #expect(text.contains("name: \"pw\"") && !text.contains("aHVudGVyMg") && !text.contains("hunter2"))
        #expect(text.contains("storageClass: \"fast\"  # --class"), "\(text)")
        var other = shop
        try other.cluster.update(secret) { $0[path: ["data", "password"]] = "bmV3" }
        let refused = try other.run(proposed: "pvmigrate apply \(file)")
        #expect(refused.code == .refused && refused.output.contains("its resourceVersion is"), "\(refused.output)")
        #expect(!refused.output.contains("bmV3"))
        for _ in 1...2 {
            let run = try shop.run(proposed: "pvmigrate apply \(file)")
            #expect(run.code == .done, "\(run.output) \(run.errors)")
        }
        let copied = shop.cluster.get(ObjectKey(.secrets, "shop-eu", "pw"))
        #expect(copied?[path: ["data", "password"]] == "aHVudGVyMg==")
    }

    @Test(
        "a file that is no plan is refused in one line",
        arguments: [
            ("", "it must hold one manifest"), ("kind: Plan\n", "apiVersion and kind must be pvmigrate/v1 and Plan"),
            ("apiVersion: pvmigrate/v1\nkind: Plan\n", "it lacks spec"),
            ("apiVersion: pvmigrate/v1\nkind: Plan\nspec: 3\n", "spec is of another type"),
            ("a: [", "the plan cannot be used"), (cut("claims: []", "claims: [{name: x}]"), "claims[0]"),
            (cut("objects: []", "objects: []\n    more: 1"), "it has the key spec.cluster.more"),
            (cut("[\"--source-sc=a\", \"--dest-sc=b\"]", "[\"abort\", \"--source-sc=a\", \"--dest-sc=b\"]"), "`abort`"),
            (cut("[\"--source-sc=a\", \"--dest-sc=b\"]", "[\"--source-sc=a\"]"), "--dest-sc is missing"),
            (cut("[\"--source-sc=a\", \"--dest-sc=b\"]", "[\"--sauce=a\"]"), "its command can't be run"),
            (cut("[\"--source-sc=a\", \"--dest-sc=b\"]", "[\"apply\", \"x.yaml\"]"), "can't be"),
        ]
    )
    func broken(text: String, words: String) async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("plan.yaml", text)
        let console = Console()
        let surroundings = console.surroundings(time: .instant) { _ in ScriptedServer { _ in throw CancellationError() }
        }
        let code = await pvmigrate.run(["apply", file], in: surroundings, interruption: Interruption())
        let run = console.run(ending: code)
        #expect(run.code == .usage && run.errorLines.count == 1 && run.errors.contains(words), "\(run.errors)")
    }

    static let ofNothing = """
        apiVersion: pvmigrate/v1
        kind: Plan
        spec:
          command: ["--source-sc=a", "--dest-sc=b"]
          cluster:
            classes: []
            claims: []
            workloads: []
            objects: []
        """

    /// Returns a plan of nothing, with a part exchanged.
    private static func cut(_ part: String, _ other: String) -> String {
        ofNothing.replacingOccurrences(of: part, with: other)
    }

    @Test("a plan keeps no flag that says how a cluster is reached, or what is written where")
    func portable() throws {
        let words = [
            "transfer", "--kubeconfig", "x", "--namespace", "shop", "--context=c", "--qps", "5", "--output=json",
            "--report=r",
            "--overwrite", "--junit", "j",
        ]
        #expect(PlannedCommand.portable(words) == ["transfer", "--namespace", "shop", "--overwrite"])
        for (type, names) in [
            (ConnectionArguments.self, ConnectionArguments.names), (FileArguments.self, FileArguments.names),
        ] as [(any ParsableArguments.Type, Set<String>)] {
            let flags = try Mirror(reflecting: type.parse([])).children.compactMap(\.label)
            #expect(flags.count == names.count, "\(flags)")
        }
    }
}
