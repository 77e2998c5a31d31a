import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// A StatefulSet with a claim for each of its pods, and a tree on this computer for them.
struct TreeScene: Sendable {
    static let directory = "/home/tree"
    var world: World
    var options: Options
    /// What the tree holds, by the directories.
    var tree: [String: Content] = [:]
    var volumes: [String: String] = [:]

    static let claims = (0..<2).map { ObjectName("data-db-\($0)", in: "shop") }

    init(_ direction: LocalTree.Direction, seed: UInt64 = 1, target: TreeTarget = .merged) {
        world = World(seed: seed)
        world.letMoversStand()
        world.cluster.behaviour.scripts[TreeCopy.flush] = "rm /dest/\(TreeFlags.partialName)"
        world.addBystanders()
        world.addStatefulSet("db", templates: ["data"], replicas: 2)
        world.settle()
        options = Options(sourceClass: "", destinationClass: "")
        var parts: [ObjectName: String] = [:]
        for (index, claim) in Self.claims.enumerated() {
            let directory = "\(Self.directory)/\(index)/data"
            parts[claim] = directory
            volumes[directory] = world.volume(of: claim)
            if direction == .upload {
                tree[directory] = [
                    "index": File("\(index)"), "dir": .directory(), "dir/a": File("a"), "dir/b": File("b"),
                ]
            }
        }
        var tree = LocalTree(direction, directory: Self.directory, parts: parts)
        tree.target = target
        options.tree = tree
        options.selection.claims = Set(Self.claims)
        options.selection.namespaces = ["shop"]
    }

    func computer(_ tree: [String: Content]? = nil) -> ModelTree { ModelTree(tree ?? self.tree, volumes: volumes) }

    /// Runs it once, as one process.
    func run(
        _ world: World? = nil,
        _ computer: ModelTree? = nil,
        as identity: String = "first",
        seed: UInt64 = 1,
        options: Options? = nil,
        interceptor: Interceptor? = nil,
        observer: Observer? = nil,
        work: @escaping @Sendable (Migrator, Interruption) async throws -> Report = {
            await $0.migrate(try await $0.discover(), interruption: $1)
        }
    ) -> World.Run {
        (world ?? self.world).migrate(
            options ?? self.options,
            as: identity,
            seed: seed,
            interceptor: interceptor,
            observer: observer,
            local: computer ?? self.computer(),
            work: work
        )
    }
}

extension World {
    /// What the claim's volume holds, without what its pods write.
    func content(of claim: ObjectName) -> Content {
        var content = volume(of: claim).flatMap { cluster.content(ofVolumeNamed: $0) } ?? [:]
        content["log"] = nil
        return content
    }

    func isHalfFilled(_ claim: ObjectName) -> Bool {
        object(.persistentVolumeClaims, claim)?[path: ["metadata", "annotations", Marks.filling]] != nil
    }

    func scale(of set: String) -> Int64? {
        object(.statefulSets, ObjectName(set, in: "shop"))?[path: ["spec", "replicas"]]?.integer
    }

    /// What is wrong with a cluster after a copy to or from this computer.
    func shortcomings(of scene: TreeScene, _ computer: ModelTree) -> [String] {
        var found: [String] = []
        if scale(of: "db") != 2 { found.append("the StatefulSet has the scale \(scale(of: "db") ?? -1)") }
        for (claim, directory) in scene.options.tree?.parts ?? [:] {
            let (there, here) = (content(of: claim), computer[directory])
            let (from, to) = scene.options.tree?.direction == .upload ? (here, there) : (there, here)
            for (path, file) in from where to[path] != file { found.append("\(claim): \(path) is \(to[path] as Any)") }
            if there[TreeFlags.partialName] != nil { found.append("\(claim) has what is not whole") }
        }
        let all: [Resource] = [.persistentVolumeClaims, .persistentVolumes, .statefulSets, .pods]
        for object in all.flatMap({ cluster.list($0) }) {
            for key in (object[path: ["metadata", "annotations"]]?.object ?? [:]).keys where key.hasPrefix(Marks.claim)
            {
                found.append("\(object[path: ["metadata", "name"]]?.string ?? "?") still bears \(key)")
            }
        }
        return found
    }

    /// What may be at no moment: a workload that runs on a claim that is only half filled.
    var runsHalfFilled: Bool { TreeScene.claims.contains(where: isHalfFilled) && scale(of: "db") != 0 }
}

@Suite("Copies between claims and this computer")
struct TreeTests {
    @Test("all of the tree is in the claims of its own pods afterwards, and nothing of ours is left")
    func uploads() {
        let scene = TreeScene(.upload)
        let computer = scene.computer()
        let wrong = Mutex(0)
        let observer: Observer = { _, _, cluster in
            if scene.world.with(cluster).runsHalfFilled { wrong.withLock { $0 += 1 } }
        }
        let run = scene.run(nil, computer, observer: observer)
        let story = "\(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))"
        #expect(run.report?.succeeded == true, "\(story)")
        #expect(run.report?.claims.map(\.result) == [.uploaded, .uploaded])
        #expect(run.world.shortcomings(of: scene, computer) == [], "\(story)")
        #expect(wrong.withLock { $0 } == 0)
        #expect(run.world.content(of: TreeScene.claims[1])["index"]?.content == "1")
    }

    @Test("all that claims hold is in the directories afterwards, and the claims are as they were")
    func downloads() {
        let scene = TreeScene(.download)
        let computer = scene.computer()
        let before = TreeScene.claims.map(scene.world.content)
        let run = scene.run(nil, computer)
        let story = "\(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))"
        #expect(run.report?.succeeded == true, "\(story)")
        #expect(run.world.shortcomings(of: scene, computer) == [], "\(story)")
        #expect(TreeScene.claims.map(run.world.content) == before)
        #expect(computer[TreeScene.directory + "/0/data"]["dir/private"] != nil)
    }

    @Test("a claim that holds other things is refused by name, and its workload starts again")
    func refuses() {
        let scene = TreeScene(.upload, target: .own)
        let run = scene.run()
        #expect(run.report?.succeeded == false)
        #expect(run.messages.contains { $0.contains("is not empty") && $0.contains("--merge") }, "\(run.messages)")
        #expect(run.world.scale(of: "db") == 2 && !run.world.isHalfFilled(TreeScene.claims[0]))
        for claim in TreeScene.claims { #expect(run.world.content(of: claim) == scene.world.content(of: claim)) }
    }

    @Test("preflight refuses it before anything is stopped or changed")
    func preflight() {
        let scene = TreeScene(.upload, target: .own)
        let found = Mutex<[Obstacle]>([])
        let scales = Mutex<Set<Int64?>>([])
        let run = scene.run(
            observer: { _, _, cluster in scales.withLock { _ = $0.insert(scene.world.with(cluster).scale(of: "db")) } },
            work: { migrator, interruption in
                let obstacles = await migrator.preflight(try await migrator.discover(), interruption: interruption)
                found.withLock { $0 = obstacles }
                return Report()
            }
        )
        let messages = found.withLock { $0 }.map(\.message)
        #expect(
            messages.count == 2 && messages.allSatisfy { $0.contains("is not empty") },
            "\(messages) \(run.messages)"
        )
        #expect(scales.withLock { $0 } == [2])
        #expect(run.world.cluster.list(.pods).allSatisfy { $0[path: ["metadata", "annotations", Marks.kind]] == nil })
    }

    @Test("a copy that fails leaves the claims marked and the workload stopped, until it is done or given up")
    func fails() {
        let scene = TreeScene(.upload)
        let computer = scene.computer()
        computer.fail(with: 23)
        let first = scene.run(nil, computer)
        #expect(first.report?.succeeded == false && first.report?.stopped == ["StatefulSet shop/db"])
        #expect(TreeScene.claims.contains(where: first.world.isHalfFilled))
        #expect(first.world.scale(of: "db") == 0, "\(first.messages)")

        // Whoever else comes does not start it.
        let migration = first.world.migrate()
        #expect(migration.world.scale(of: "db") == 0 && migration.report?.succeeded == false, "\(migration.messages)")
        #expect(first.world.abort().world.scale(of: "db") == 0)
        let abort = scene.run(first.world, work: { migrator, _ in try await migrator.abort() })
        #expect(abort.world.scale(of: "db") == 0 && abort.report?.succeeded == false, "\(abort.messages)")

        let again = scene.run(first.world, computer, as: "second")
        #expect(again.report?.succeeded == true, "\(again.messages)")
        #expect(again.world.shortcomings(of: scene, computer) == [])

        var options = scene.options
        options.tree?.startsHalfFilled = true
        let given = scene.run(first.world, options: options, work: { migrator, _ in try await migrator.abort() })
        #expect(given.report?.succeeded == true && given.world.scale(of: "db") == 2, "\(given.messages)")
        #expect(!TreeScene.claims.contains(where: given.world.isHalfFilled))
    }

    @Test("a stream that was cut is gone on with")
    func cut() {
        let scene = TreeScene(.upload)
        let computer = scene.computer()
        computer.fail(with: 12, 0, 255)
        let run = scene.run(nil, computer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.shortcomings(of: scene, computer) == [])
        #expect(
            run.messages.count { $0.contains("the copy is repeated from where it stopped") } == 2,
            "\(run.messages)"
        )
    }

    @Test("that a stream has ended is not believed", arguments: [ModelTree.lies, ModelTree.failsThere])
    func lies(code: Int) {
        let scene = TreeScene(.upload)
        let computer = scene.computer()
        computer.fail(with: code)
        let run = scene.run(nil, computer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.shortcomings(of: scene, computer) == [])
        #expect(
            run.messages.count { $0.contains("the copy is repeated from where it stopped") } == 1,
            "\(run.messages)"
        )
    }

    @Test("another selection does not start a workload of which a claim is only half filled")
    func selection() {
        let scene = TreeScene(.upload)
        let computer = scene.computer()
        computer.fail(with: 23, 23)
        let first = scene.run(nil, computer)
        var options = scene.options
        options.tree?.parts = (scene.options.tree?.parts ?? [:]).filter { $0.key == TreeScene.claims[1] }
        options.selection.claims = [TreeScene.claims[1]]
        let other = scene.run(first.world, computer, options: options)
        #expect(
            other.world.scale(of: "db") == 0 && other.report?.stopped == ["StatefulSet shop/db"],
            "\(other.messages)"
        )
        #expect(other.world.isHalfFilled(TreeScene.claims[0]) && !other.world.isHalfFilled(TreeScene.claims[1]))
    }

    @Test("without pods/exec it is refused in words, and nothing is stopped")
    func forbidden() {
        var scene = TreeScene(.upload)
        scene.world.cluster.behaviour.denied = ["get pods/exec", "create pods/exec"]
        let found = Mutex<[Obstacle]>([])
        _ = scene.run(
            work: { migrator, interruption in
                let obstacles = await migrator.preflight(try await migrator.discover(), interruption: interruption)
                found.withLock { $0 = obstacles }
                return Report()
            }
        )
        #expect(
            found.withLock { $0 }.contains { $0.message.contains("pods/exec") || $0.resource.contains("pods/exec") }
        )
    }

    @Test("an image without a shell is refused in words")
    func shell() {
        var scene = TreeScene(.upload)
        scene.world.cluster.behaviour.missingPrograms = ["sh"]
        let run = scene.run()
        #expect(run.messages.contains { $0.contains("has no shell") }, "\(run.messages)")
        #expect(run.world.scale(of: "db") == 2 && !run.world.isHalfFilled(TreeScene.claims[0]))
    }

    @Test("a mark that a tenant has written only holds back his own workload")
    func planted() {
        var world = Scenario.deployment.world()
        world.change(ObjectKey(.persistentVolumeClaims, "shop", "data")) {
            $0[path: ["metadata", "annotations", Marks.filling]] = "planted"
        }
        let run = world.migrate()
        #expect(run.report?.claims.first?.result == .skipped, "\(run.messages)")
        #expect(
            run.messages.isEmpty
                || run.world.object(.deployments, ObjectName("web", in: "shop"))?[path: ["spec", "replicas"]] == 1
        )
    }

    @Test("it asks for nothing that is not granted", arguments: LocalTree.Direction.allCases)
    func permissions(direction: LocalTree.Direction) {
        let scene = TreeScene(direction)
        let granted = Permissions.needed(for: scene.options).flatMap { permission in
            permission.verbs.map { "\($0) \(permission.title)" }
        }
        let asked = Mutex<Set<String>>([])
        let run = scene.run(observer: { request, _, _ in
            guard let access = PermissionsTests.access(request) else { return }
            asked.withLock { _ = $0.insert(access) }
        })
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(asked.withLock { $0 }.subtracting(granted) == [])
        for verb in ["create persistentvolumeclaims", "delete persistentvolumes", "delete persistentvolumeclaims"] {
            #expect(!granted.contains(verb))
        }
        #expect(granted.contains("create pods/exec") && granted.contains("get pods/exec"))
        #expect(granted.contains("patch persistentvolumeclaims") == (direction == .upload))
    }
}
