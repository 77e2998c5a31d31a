import Kubernetes
import Testing

/// What brings claims, and the objects that hold state, to another namespace.
struct TransferTests {
    private static let secrets = APIResource(kind: "Secret", plural: "secrets")
    private static let configMaps = APIResource(kind: "ConfigMap", plural: "configmaps")

    /// The flags of a transfer from the scene's first namespace to its other one.
    private static func flags(_ scene: Scene) -> [String] {
        ["--namespace", scene.namespace, "--to-namespace", scene.otherNamespace]
    }

    private static func object(_ resource: APIResource, _ name: String, _ scene: Scene) async throws -> JSON {
        try await scene.client.get(resource, ObjectName(name, in: scene.otherNamespace))
    }

    @Test("the state of an application arrives first, staged twice, and whoever deploys it there finds every file")
    func copy() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("uploaded")
            try await scene.create(Self.secrets, "login", ["stringData": ["password": "not-to-be-shown"]])
            try await scene.create(Self.configMaps, "settings", ["data": ["mode": "fast"]])
            let uploader = try await scene.deploy("uploader", claims: ["/data": "uploaded"])
            let before = try await scene.contents(of: uploader)
            let volume = try await scene.volume(of: "uploaded")
            let flags = Self.flags(scene)
            for _ in 1...2 { scene.expect(try await scene.run(["stage", "transfer"] + flags), exit: 0) }

            let run = try await scene.run(
                ["transfer", "--create-namespace"] + flags + ["--include", "secrets,configmaps"]
            )
            scene.expect(run, exit: 0)
            #expect(!(run.output + run.errors).contains("not-to-be-shown"))
            try await scene.expectRestarted(uploader, on: before)
            #expect(try await scene.volume(of: "uploaded").metadata.uid == volume.metadata.uid)
            let there = try await Self.object(Self.secrets, "login", scene)
            let here = try await scene.client.get(Self.secrets, ObjectName("login", in: scene.namespace))
            #expect(there["data"] == here["data"] && there["data"] != nil)
            #expect(try await Self.object(Self.configMaps, "settings", scene)["data"] == ["mode": "fast"])

            // As an application in Git is applied: its manifest of the claim names no volume.
            let manifest: JSON = [
                "spec": ["resources": ["requests": ["storage": "1Gi"]]], "metadata": ["labels": ["by": "git"]],
            ]
            let name = ObjectName("uploaded", in: scene.otherNamespace)
            try await scene.client.patch(.claims, name, .merge(manifest))
            let deployed = try await scene.deploy("uploader", in: scene.otherNamespace, claims: ["/data": "uploaded"])
            try await scene.expectRestarted(deployed, on: before)

            let again = try await scene.run(["transfer"] + flags + ["--include", "secrets,configmaps"])
            scene.expect(again, exit: 0)
            #expect(again.errors.contains("nothing to do"), "\(again.errors)")
        }
    }

    @Test("a StatefulSet's volumes themselves change hands, and the set goes on there")
    func move() async throws {
        try await Scene.with(namespaces: 2) { scene in
            let set = try await scene.deploySet("database", replicas: 2, template: "data")
            let before = try await scene.contents(of: set)
            var volumes: [String: PersistentVolume] = [:]
            for claim in before.keys { volumes[claim] = try await scene.volume(of: claim) }
            let run = try await scene.run(["transfer"] + Self.flags(scene) + ["--ending", "move"])
            scene.expect(run, exit: 0)
            #expect(run.errors.contains("StatefulSet \(scene.namespace)/database"), "\(run.errors)")
            #expect(try await scene.pods(of: set).isEmpty)
            for (claim, volume) in volumes {
                let name = ObjectName(claim, in: scene.namespace)
                #expect(try await scene.client.find(PersistentVolumeClaim.self, name) == nil)
                let now = try await scene.volume(of: claim, in: scene.otherNamespace)
                #expect(now.metadata.uid == volume.metadata.uid && now.reclaimPolicy == .delete)
            }
            let there = try await scene.deploySet(
                "database",
                in: scene.otherNamespace,
                replicas: 2,
                template: "data"
            )
            try await scene.expectRestarted(there, on: before)
        }
    }

    @Test("an operator's Secret and the claims of its StatefulSet, of another class, are adopted there")
    func adopted() async throws {
        try await Scene.with(namespaces: 2) { scene in
            let set = try await scene.deploySet("search", replicas: 3, template: "data")
            let before = try await scene.contents(of: set)
            try await scene.create(Self.secrets, "search-user", ["stringData": ["elastic": "not-to-be-shown"]])
            let mapping = "\(scene.sourceClass)=\(scene.destinationClass)"
            let flags = Self.flags(scene) + ["--class", mapping, "--include", "Secret/search-user", "--leave-stopped"]
            let plan = try await scene.run(["transfer", "--dry-run"] + flags)
            scene.expect(plan, exit: 0)
            #expect(plan.output.contains("Secret \(scene.otherNamespace)/search-user"), "\(plan.output)")
            let run = try await scene.run(["transfer"] + flags)
            scene.expect(run, exit: 0)
            #expect(!(plan.output + run.output + run.errors).contains("not-to-be-shown"))
            #expect(try await scene.pods(of: set).isEmpty)
            for claim in before.keys {
                try await scene.expectBound(claim, in: scene.otherNamespace, to: scene.destinationClass)
                try await scene.expectBound(claim, to: scene.sourceClass)
            }
            let here = try await scene.client.get(Self.secrets, ObjectName("search-user", in: scene.namespace))
            #expect(try await Self.object(Self.secrets, "search-user", scene)["data"] == here["data"])
            let there = try await scene.deploySet(
                "search",
                in: scene.otherNamespace,
                replicas: 3,
                template: "data",
                class: scene.destinationClass
            )
            try await scene.expectRestarted(there, on: before)
        }
    }
}
