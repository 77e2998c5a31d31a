import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("Movers that stand")
struct StandingTests {
    private static let deployment = ObjectKey(.deployments, "shop", "web")

    private func world() -> World {
        var world = World()
        world.letMoversStand()
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"])
        world.settle()
        return world
    }

    private static func isStopped(_ cluster: Cluster) -> Bool {
        cluster.get(deployment)?[path: ["spec", "replicas"]] == 0
    }

    /// Counts what happens while the workload is stopped.
    private final class Stop: Sendable {
        private let requests = Mutex<[String]>([])

        func count(_ part: String) -> Int { requests.withLock { $0.count { $0.contains(part) } } }

        var observer: Observer {
            { [self] request, _, cluster in
                guard StandingTests.isStopped(cluster) else { return }
                requests.withLock { $0.append("\(request.method) \(request.target)") }
            }
        }
    }

    @Test("no pod is made while the workload is stopped, and all is copied and checked by the one that stands")
    func stands() {
        let stop = Stop()
        let world = world()
        let invariants = Invariants(of: world)
        let run = world.migrate(observer: { request, response, cluster in
            invariants.observer(request, response, cluster)
            stop.observer(request, response, cluster)
        })
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("a mover stands ready on node node-2") }, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("a pass took") }, "\(run.messages)")
        #expect(stop.count("post") + stop.count("POST") == 1, "only the claim is made anew")
        #expect(run.world.shortcomings(keepsLines: invariants) == [])
    }

    @Test("without an early pass nothing is copied before the stop")
    func lateCopy() {
        var options = Scenario.deployment.options
        options.passesEarly = false
        let run = world().migrate(options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("a mover stands ready") })
        #expect(!run.messages.contains { $0.contains("a pass took") })
    }

    @Test("passes of the next unit and the copy of the one before keep to the limit together")
    func bandwidth() {
        var world = World()
        world.letMoversStand()
        for number in 1...3 {
            world.addClaim("data-\(number)")
            world.addDeployment("web-\(number)", claims: ["data-\(number)"])
        }
        world.settle()
        var options = Scenario.deployment.options
        (options.parallel, options.bandwidthLimit) = (1, 1_000_000)
        let limits = Mutex<Set<String>>([])
        let run = world.migrate(
            options,
            observer: { request, _, _ in
                let words = request.target.split { !($0.isNumber || $0.isLetter) }.map(String.init)
                guard let flag = words.firstIndex(of: "bwlimit") else { return }
                limits.withLock { _ = $0.insert(words[flag + 1]) }
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages)")
        // Half of it, in kibibytes, behind an equals sign.
        #expect(limits.withLock { $0 } == ["3D488"])
    }

    @Test("where files are labelled for SELinux, nothing mounts a volume beside its pods")
    func labels() {
        var world = world()
        world.labelFiles()
        let beside = Mutex(false)
        let run = world.migrate(observer: { _, _, cluster in
            guard !Self.isStopped(cluster) else { return }
            let mounts = cluster.list(.pods, namespace: "shop").filter {
                $0[path: ["metadata", "annotations", Marks.kind]]?.string == Marks.Kind.mover
            }.flatMap { $0[path: ["spec", "volumes"]]?.array ?? [] }
            if mounts.contains(where: { $0[path: ["persistentVolumeClaim", "claimName"]] == "data" }) {
                let isReady = cluster.get(ObjectKey(.persistentVolumeClaims, "shop", Marks.stagingName(of: "data")))
                if isReady != nil { beside.withLock { $0 = true } }
            }
        })
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(!beside.withLock { $0 })
        #expect(!run.messages.contains { $0.contains("a mover stands ready") })
    }

    /// Two namespaces whose units go one after the other.
    private func migrateTwoNamespaces(_ interceptor: Interceptor? = nil) -> World.Run {
        var world = Scenario.twoNamespaces.world(alone: true)
        world.letMoversStand()
        var options = Scenario.twoNamespaces.options
        options.isLive = true
        let run = world.migrate(options, interceptor: interceptor)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        return run
    }

    @Test("what a pod shows of its node decides for its own namespace only, since its tenant can have it show anything")
    func labelsOfOthers() {
        let run = migrateTwoNamespaces()
        for namespace in ["shop", "bank"] {
            let title = "PersistentVolumeClaim \(namespace)/data"
            #expect(
                run.messages.contains { $0.contains("\(title): made ready to be copied on node") },
                "\(run.messages)"
            )
            #expect(run.messages.contains { $0.contains("\(title): a mover stands ready on node") }, "\(run.messages)")
        }
    }

    @Test("movers of a namespace that do not hear keep none of others from standing", arguments: ["shop", "bank"])
    func deaf(namespace: String) {
        let body = Data(#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403}"#.utf8)
        let run = migrateTwoNamespaces { request, _ in
            request.target.contains("/namespaces/\(namespace)/") && request.target.contains("/exec?")
                ? .answer(Response(status: 403, body: body)) : nil
        }
        let standing = run.messages.filter { $0.contains("a mover stands ready") }
        #expect(standing.count == 1 && standing.first?.contains(" \(namespace)/data") == false, "\(run.messages)")
        let warning = "warning namespace \(namespace): its movers can't be told"
        #expect(run.messages.count { $0.contains(warning) } == 1, "\(run.messages)")
    }

    @Test("the label of a process is told from what is none")
    func labelsInWords() {
        let version = "rsync  version 3.5.0  protocol version 32\nWeb site: https://rsync.samba.org/\n"
        for none in ["", "unconfined", "cri-containerd.apparmor.d (enforce)", "docker-default (enforce)\n\0"] {
            #expect(Labels.proveNone(version + none + "\nlabel shown\n"), "\(none)")
        }
        let label = "system_u:system_r:container_t:s0:c1,c2"
        for output in [
            label + "\nlabel shown\n", label + "\0\nlabel shown\n", "system_u:system_r:spc_t:s0\nlabel shown\n", "",
        ] {
            #expect(!Labels.proveNone(version + output), "\(output)")
        }
        #expect(!Labels.proveNone(""))
    }

    @Test("a mover that somebody deletes while it copies is replaced", arguments: [true, false])
    func deleted(isStopped: Bool) {
        let isOver = Mutex(false)
        let meddler: Meddler = { request, cluster in
            guard let request, request.target.contains("/exec"), request.target.contains("perform"),
                Self.isStopped(cluster) == isStopped
            else { return }
            let first = isOver.withLock { isOver in
                defer { isOver = true }
                return !isOver
            }
            guard first else { return }
            for pod in cluster.list(.pods, namespace: "shop")
            where pod[path: ["metadata", "annotations", Marks.kind]]?.string == Marks.Kind.mover {
                let name = pod[path: ["metadata", "name"]]?.string ?? ""
                _ = cluster.handle(
                    Request(.delete, "/api/v1/namespaces/shop/pods/\(name)?gracePeriodSeconds=0"),
                    as: .admin
                )
            }
        }
        let run = world().migrate(meddler: meddler)
        #expect(isOver.withLock { $0 })
        #expect(run.report?.succeeded == true, "\(run.messages)")
    }
}
