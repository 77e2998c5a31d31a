import Foundation
import Kubernetes
import Testing

@testable import ClusterSimulator

@Suite("Kubelet")
struct KubeletTests {
    private func container(_ world: World, _ pod: String) -> JSON? {
        world.get(.pods, pod)?.list("status", "containerStatuses").first
    }

    @Test("a pod is created, runs, is ready, ends, and its phase is final a moment later")
    func life() throws {
        var world = try World()
        try world.pod("copy", ["sh", "-c", "sleep 2; echo done"])
        world.pass(.seconds(10))
        let steps = world.changes(.pods, "copy").map { change in
            let state =
                change.object.json.list("status", "containerStatuses").first?["state"]?.object?.keys.first ?? "-"
            let ready = change.object.json.isReady ? "ready" : "unready"
            let node = change.object.json.at("spec", "nodeName") == nil ? "nowhere" : "placed"
            return "\(node) \(change.object.json.text("status", "phase")) \(state) \(ready)"
        }
        #expect(
            steps.filter { $0 != "placed Pending - unready" } == [
                "nowhere Pending - unready", "placed Pending waiting unready", "placed Running running ready",
                "placed Running terminated unready", "placed Succeeded terminated unready",
            ]
        )
        let node = try #require(world.get(.pods, "copy")).text("spec", "nodeName")
        #expect(
            world.events("copy") == [
                "Scheduled: Successfully assigned rec/copy to \(node)",
                "Pulled: Container image \"busybox:latest\" already present on machine",
                "Created: Created container: main", "Started: Started container main",
            ]
        )
        #expect(world.log("copy") == "done\n")
        #expect(container(world, "copy")?.text("state", "terminated", "reason") == "Completed")
    }

    @Test("a container that ignores SIGTERM is killed when its grace is over, and its pod fails")
    func killed() throws {
        var world = try World()
        try world.pod("killed", ["sleep", "3600"])
        world.pass(.seconds(5))
        try world.delete(.pods, "killed")
        world.pass(.milliseconds(1500))
        #expect(world.phase(.pods, "killed") == "Running")
        world.pass(.seconds(5))
        #expect(world.get(.pods, "killed") == nil)
        let last = try #require(world.changes(.pods, "killed").last?.object.json)
        #expect(last.list("status", "containerStatuses").first?.number("state", "terminated", "exitCode") == 137)
        #expect(last.text("status", "phase") == "Failed")
    }

    @Test("a pod that is removed by force still writes for a while")
    func force() throws {
        var world = try World()
        try world.claim("data")
        try world.pod("writer", ["writer", "/v0/log", "0.2"], ["data"])
        world.pass(.seconds(5))
        func lines() -> Int {
            world.cluster.content(ofVolumeNamed: world.volume("data"))?["log"]?.content.split(separator: "\n").count
                ?? 0
        }
        try world.cluster.delete(World.key(.pods, "writer"), gracePeriodSeconds: 0)
        #expect(world.get(.pods, "writer") == nil)
        let atDeletion = lines()
        world.pass(.seconds(5))
        let atEnd = lines()
        #expect(atEnd > atDeletion)
        world.pass(.seconds(5))
        #expect(lines() == atEnd)
    }

    @Test("a pod that outlives its deadline fails with the kubelet's words")
    func deadline() throws {
        var world = try World()
        try world.pod("deadline", ["sleep", "60"]) { $0.put(3, "spec", "activeDeadlineSeconds") }
        world.pass(.seconds(10))
        let status = world.get(.pods, "deadline")?["status"]
        #expect(status?.text("phase") == "Failed")
        #expect(status?.text("reason") == "DeadlineExceeded")
        #expect(status?.text("message") == "Pod was active on the node longer than the specified deadline")
        #expect(container(world, "deadline")?.number("state", "terminated", "exitCode") == 137)
    }

    @Test("an image that cannot be pulled keeps the pod Pending and says so")
    func noImage() throws {
        var world = try World()
        try world.pod("noimage", ["true"]) { pod in
            var container = pod.list("spec", "containers")[0]
            container["image"] = "registry.invalid/none:1"
            pod.put([container], "spec", "containers")
        }
        world.pass(.seconds(13))
        #expect(world.phase(.pods, "noimage") == "Pending")
        world.pass(.seconds(15))
        let waits = world.changes(.pods, "noimage").compactMap {
            $0.object.json.list("status", "containerStatuses").first?.text("state", "waiting", "reason")
        }
        #expect(waits == ["ContainerCreating", "ErrImagePull", "ImagePullBackOff"])
        let reasons = world.events("noimage").map { $0.prefix { $0 != ":" } }
        #expect(reasons == ["Scheduled", "Pulling", "Failed", "Failed", "BackOff", "Failed"])
        world.cluster.behaviour.images.insert("registry.invalid/none:1")
        world.pass(.seconds(60))
        #expect(world.phase(.pods, "noimage") == "Succeeded")
    }

    @Test("a program that is not in the image is a start error")
    func noCommand() throws {
        var world = try World()
        try world.pod("nocommand", ["rsync-not-there"])
        world.pass(.seconds(5))
        #expect(world.phase(.pods, "nocommand") == "Failed")
        #expect(container(world, "nocommand")?.text("state", "terminated", "reason") == "StartError")
        #expect(container(world, "nocommand")?.number("state", "terminated", "exitCode") == 128)
    }

    @Test("init containers run one after the other before the others")
    func initContainers() throws {
        var world = try World()
        try world.claim("data")
        try world.pod("two", ["sh", "-c", "cat /v0/a /v0/b"], ["data"]) { pod in
            func container(_ name: String, _ script: String) -> JSON {
                [
                    "name": .string(name), "image": "busybox:latest", "command": ["sh", "-c", .string(script)],
                    "volumeMounts": [["name": "v0", "mountPath": "/v0"]],
                ]
            }
            pod.put(
                [container("one", "sleep 3; touch /v0/a"), container("two", "test -e /v0/a && touch /v0/b")],
                "spec",
                "initContainers"
            )
        }
        world.pass(.milliseconds(2500))
        #expect(world.get(.pods, "two")?.condition("Initialized")?.text("reason") == "ContainersNotInitialized")
        world.pass(.seconds(10))
        #expect(world.phase(.pods, "two") == "Succeeded")
    }

    @Test("an init container that fails is the end of a pod that is not restarted")
    func failedInitContainer() throws {
        var world = try World()
        try world.pod("failing", ["true"]) { pod in
            let container: JSON = ["name": "one", "image": "busybox:latest", "command": ["false"]]
            pod.put([container], "spec", "initContainers")
        }
        world.pass(.seconds(10))
        #expect(world.phase(.pods, "failing") == "Failed")
    }

    @Test("a container that ends is started again with growing pauses where the pod says Always")
    func restarts() throws {
        var world = try World()
        try world.pod("crash", ["false"]) { $0.put("Always", "spec", "restartPolicy") }
        world.pass(.seconds(8))
        #expect(container(world, "crash")?.number("restartCount") == 1)
        #expect(container(world, "crash")?.text("state", "waiting", "reason") == "CrashLoopBackOff")
        #expect(world.phase(.pods, "crash") == "Running")
        world.pass(.seconds(60))
        #expect(container(world, "crash")?.number("restartCount") == 3)
    }

    @Test("a pod is ready when its readiness probe succeeds")
    func readiness() throws {
        var world = try World()
        try world.claim("data")
        try world.pod("slow", ["sh", "-c", "sleep 20; touch /v0/up; sleep 3600"], ["data"]) { pod in
            var container = pod.list("spec", "containers")[0]
            container["readinessProbe"] = ["exec": ["command": ["test", "-e", "/v0/up"]], "periodSeconds": 2]
            pod.put([container], "spec", "containers")
        }
        world.pass(.seconds(10))
        #expect(world.phase(.pods, "slow") == "Running")
        #expect(world.get(.pods, "slow")?.isReady == false)
        world.pass(.seconds(15))
        #expect(world.get(.pods, "slow")?.isReady == true)
    }

    @Test("a pod that was put on a node by hand waits for its claim and says why")
    func waitsForClaim() throws {
        var world = try World()
        try world.claim("late", class: "nosuch")
        try world.pod("placed", ["true"], ["late"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(5))
        #expect(world.phase(.pods, "placed") == "Pending")
        #expect(world.events("placed").contains { $0.hasPrefix("FailedMount") && $0.hasSuffix("PVC is not bound") })
        try world.addClass("nosuch")
        try world.change(.persistentVolumeClaims, "late") { $0.put("1", "metadata", "annotations", "example/wake") }
        world.pass(.seconds(10))
        #expect(world.phase(.pods, "placed") == "Succeeded")
    }

    @Test("pods of a lost node are evicted when their tolerations run out, and run elsewhere")
    func lostNode() throws {
        var world = try World()
        try world.workload(.deployments, "app", replicas: 1)
        world.pass(.seconds(5))
        let pod = try #require(world.pods().first)
        let node = pod.text("spec", "nodeName")
        world.cluster.loseNode(node)
        world.pass(.seconds(60))
        #expect(world.pods().map(\.uid) == [pod.uid])
        world.pass(.seconds(300))
        #expect(world.pods().filter { !$0.isBeingDeleted }.map { $0.text("spec", "nodeName") } != [node])
        #expect(world.cluster.object(uid: pod.uid)?.json.isBeingDeleted == true)
        world.cluster.recoverNode(node)
        world.pass(.seconds(10))
        #expect(world.cluster.object(uid: pod.uid) == nil)
        #expect(world.get(.deployments, "app")?.number("status", "readyReplicas") == 1)
    }

    // MARK: rsync in the model

    private static let files: Content = [
        "a": File("one", mode: 0o600, owner: 1000, modified: .seconds(1), attributes: ["user.k": "v"], hardLink: 1),
        "b": File("one", mode: 0o600, owner: 1000, modified: .seconds(1), attributes: ["user.k": "v"], hardLink: 1),
        "d": .directory(mode: 0o700), "d/e": File("two", modified: .seconds(2)), "l": .link(to: "a"),
    ]

    private func twoVolumes() throws -> World {
        var world = try World()
        try world.claim("data")
        try world.claim("staging", class: "dst-sc")
        world.pass(.seconds(1))
        world.cluster.write(Self.files, toVolumeNamed: world.volume("data"))
        return world
    }

    private func copy(_ world: inout World, _ name: String, _ options: [String]) throws {
        try world.pod(name, ["rsync"] + options + ["/v0/", "/v1/"], ["data", "staging"]) {
            $0.put("node-1", "spec", "nodeName")
        }
        world.pass(.seconds(10))
    }

    @Test("rsync copies everything a file has, removes what is too much, and finds nothing left to do")
    func rsync() throws {
        var world = try twoVolumes()
        world.cluster.write(["old": File("x")], toVolumeNamed: world.volume("staging"))
        try copy(&world, "copy", ["-aHAXS", "--numeric-ids", "--delete", "--stats"])
        #expect(world.phase(.pods, "copy") == "Succeeded", "\(world.log("copy"))")
        #expect(world.cluster.content(ofVolumeNamed: world.volume("staging")) == Self.files)
        #expect(world.log("copy").contains("Number of files: 6 (reg: 3, dir: 2, link: 1)\n"))
        #expect(world.log("copy").contains("Number of deleted files: 1\n"))
        try copy(&world, "check", ["-aHAXSni", "--delete"])
        #expect(world.log("check") == "")
    }

    @Test("rsync leaves alone what a filter protects")
    func filters() throws {
        var world = try twoVolumes()
        let own: Content = ["lost+found": .directory(mode: 0o700), "lost+found/x": File("y")]
        world.cluster.write(own.merging(["old": File("x")]) { $1 }, toVolumeNamed: world.volume("staging"))
        try copy(&world, "copy", ["-aHAX", "--delete", "--filter=P /lost+found", "--filter=-x user.k"])
        let content = try #require(world.cluster.content(ofVolumeNamed: world.volume("staging")))
        #expect(content["lost+found/x"]?.content == "y")
        #expect(content["old"] == nil)
        #expect(content["a"]?.attributes == [:])
    }

    @Test("a dry run names what differs and changes nothing")
    func dryRun() throws {
        var world = try twoVolumes()
        try copy(&world, "check", ["-aHAXSni", "--delete"])
        #expect(
            world.log("check")
                == ">f+++++++++ a\nhf+++++++++ b => a\ncd+++++++++ d/\n>f+++++++++ d/e\ncL+++++++++ l -> a\n"
        )
        #expect(world.cluster.content(ofVolumeNamed: world.volume("staging")) == nil)
    }

    @Test("rsync without the options for it loses links and attributes, as the real one does")
    func plainRsync() throws {
        var world = try twoVolumes()
        try copy(&world, "copy", ["-a"])
        let copied = world.cluster.content(ofVolumeNamed: world.volume("staging"))?["a"]
        #expect(copied?.hardLink == nil)
        #expect(copied?.attributes == [:])
    }

    @Test("a write during the copy is not lost unnoticed: a second run finds it")
    func concurrentWriter() throws {
        var world = try twoVolumes()
        try world.pod("writer", ["writer", "/v0/log", "0.1"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(3))
        try copy(&world, "copy", ["-aHAXS", "--delete"])
        try copy(&world, "check", ["-aHAXSni", "--delete"])
        #expect(world.log("check").hasPrefix(">f.st...... log"))
    }

    @Test("rsync ends with the code that was asked for, and says what it means", arguments: [11, 23, 24])
    func injectedExit(code: Int) throws {
        var world = try twoVolumes()
        world.cluster.behaviour.rsyncExits = [code]
        try copy(&world, "copy", ["-a"])
        #expect(world.phase(.pods, "copy") == "Failed")
        #expect(container(world, "copy")?.number("state", "terminated", "exitCode") == code)
        #expect(world.log("copy").contains("(code \(code))"))
        #expect(world.cluster.content(ofVolumeNamed: world.volume("staging"))?.count ?? 0 < Self.files.count)
        try copy(&world, "again", ["-aHAX"])
        #expect(world.phase(.pods, "again") == "Succeeded")
    }

    @Test("rsync names a directory that is not there, an unknown option, and a destination that is read-only")
    func rsyncErrors() throws {
        var world = try twoVolumes()
        try world.pod("bad", ["rsync", "-a", "/missing/", "/v0/"], ["data"])
        try world.pod("option", ["rsync", "-a", "--bogus", "/v0/", "/v0/"], ["data"])
        try world.pod("ro", ["rsync", "-a", "/v0/", "/v1/"], ["data", "staging"]) { pod in
            var container = pod.list("spec", "containers")[0]
            var mounts = container.list("volumeMounts")
            mounts[1]["readOnly"] = true
            container["volumeMounts"] = .array(mounts)
            pod.put([container], "spec", "containers")
            pod.put("node-1", "spec", "nodeName")
        }
        world.pass(.seconds(10))
        #expect(
            world.log("bad")
                == "rsync: [sender] change_dir \"/missing\" failed: No such file or directory (2)\n"
                + "rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) "
                + "[sender=3.5.0]\n"
        )
        #expect(container(world, "option")?.number("state", "terminated", "exitCode") == 1)
        #expect(world.log("ro").contains("Read-only file system (30)"))
        #expect(container(world, "ro")?.number("state", "terminated", "exitCode") == 23)
    }

    @Test("a volume of one node is empty on another one")
    func locality() throws {
        var world = try twoVolumes()
        try world.pod("there", ["ls", "/v0"], ["data"]) { $0.put("node-2", "spec", "nodeName") }
        try world.pod("here", ["ls", "/v0"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(5))
        #expect(world.log("there") == "")
        #expect(world.log("here") == "a\nb\nd\nd/e\nl\n")
    }

    // MARK: Real processes

    @Test("pods run as real processes behind the API, with real files in their volumes", .timeLimit(.minutes(5)))
    func realProcesses() async throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "kubelet-\(UUID().uuidString)")
        let runtime = try ProcessRuntime(root: root)
        var world = try World()
        world.cluster.behaviour.modelsContainers = false
        try world.claim("data")
        world.pass(.seconds(1))
        try world.pod("real", ["sh", "-c", "echo hello > /v0/f; echo written; exit 3"], ["data"])
        let simulator = ClusterSimulator(world.cluster, time: .continuous, runtime: runtime)
        let running = Task { try await simulator.run() }
        var pod: JSON?
        // The API is asked for the pod until it is over; the suite's time limit bounds it.
        while pod?.isOver != true {
            try await Task.sleep(for: .milliseconds(50))
            pod = await simulator.snapshot.get(World.key(.pods, "real"))
        }
        running.cancel()
        await runtime.shutDown()
        world.cluster = await simulator.snapshot
        let status = try #require(pod?.list("status", "containerStatuses").first)
        #expect(status.number("state", "terminated", "exitCode") == 3)
        #expect(world.log("real") == "written\n")
        let storage = try #require(world.cluster.storage(ofVolumeNamed: world.volume("data")))
        let file = runtime.directory(of: storage, node: pod?.text("spec", "nodeName") ?? "").appending(path: "f")
        let text = try String(contentsOf: file, encoding: .utf8)
        #expect(text == "hello\n")
        try FileManager.default.removeItem(at: root)
    }
}
