import ClusterSimulator
import Foundation
import Synchronization
import Testing

@testable import Kubernetes
@testable import Migration

@Suite("Where a policy refuses root", .timeLimit(.minutes(5)))
struct RestrictedTests {
    private static let setting = RealScene.Setting(
        podSecurity: "restricted",
        podContext: ["runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000],
        containerContext: DataOwner.containerContext
    )

    /// Files of the pods' user, and one of another, where that is asked for.
    private static func fill(_ folder: String, stranger: uid_t? = nil, mode: mode_t = 0o644) throws {
        try FileManager.default.createDirectory(atPath: folder + "/d", withIntermediateDirectories: false)
        for (name, group) in [("d/mine", gid_t(1000)), ("shared", 2000)] {
            try Data(name.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
            chown("\(folder)/\(name)", 1000, group)
        }
        chown(folder + "/d", 1000, 1000)
        for (path, year) in [(folder + "/d", 86_400), (folder, 2 * 86_400)] {
            var times = [timeval(tv_sec: year, tv_usec: 0), timeval(tv_sec: year, tv_usec: 0)]
            utimes(path, &times)
        }
        guard let stranger else { return }
        try Data("x".utf8).write(to: URL(filePath: folder + "/stranger"))
        chown(folder + "/stranger", stranger, 2000)
        chmod(folder + "/stranger", mode)
    }

    private static func status(_ path: String) -> stat {
        var status = stat()
        lstat(path, &status)
        return status
    }

    @Test(
        "the mover runs as the pods' user, and all of that user's files keep their owners",
        .enabled(if: geteuid() == 0)
    )
    func migration() async throws {
        try await RealScene.with(Self.setting) { scene in
            try Self.fill(try #require(try await scene.path()))
            let found = try await scene.preflight()
            #expect(found == [])
            let report = try await scene.migrate(scene.options())
            #expect(report.succeeded, "\(report.claims) \(scene.messages)")
            let folder = try #require(try await scene.path())
            let (mine, shared) = (Self.status(folder + "/d/mine"), Self.status(folder + "/shared"))
            #expect(mine.st_uid == 1000 && mine.st_gid == 1000)
            #expect(shared.st_uid == 1000 && shared.st_gid == 2000)
            #expect(Self.status(folder + "/d").st_mtim.tv_sec == 86_400)
            #expect(Self.status(folder).st_uid == 0)
            // The time of the volume's own directory could not be set; the check has overruled that.
            #expect(scene.messages.contains { $0.hasPrefix("copied: ") })
            #expect(scene.messages.contains { $0.hasSuffix("as user 1000, group 1000, fsGroup 2000") })
        }
    }

    @Test("its passes with --live are taken for what they are, too", .enabled(if: geteuid() == 0))
    func live() async throws {
        try await RealScene.with(Self.setting) { scene in
            try Self.fill(try #require(try await scene.path()))
            var options = scene.options()
            options.isLive = true
            let report = try await scene.migrate(options)
            #expect(report.succeeded, "\(report.claims) \(scene.messages)")
            #expect(scene.messages.contains { $0.hasPrefix("pass 1 took") })
            let folder = try #require(try await scene.path())
            #expect(Self.status(folder + "/d/mine").st_uid == 1000)
        }
    }

    @Test("a run that goes on when the pods are gone still knows their user", .enabled(if: geteuid() == 0))
    func resumed() async throws {
        try await RealScene.with(Self.setting) { scene in
            try Self.fill(try #require(try await scene.path()))
            async let first = scene.migrate(scene.options())
            // The test's time limit bounds it.
            while !scene.messages.contains(where: { $0.hasPrefix("copying on node") }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            scene.state.isDead.withLock { $0 = true }
            #expect(try await !first.succeeded)
            scene.state.isDead.withLock { $0 = false }
            let report = try await scene.migrate(scene.options())
            #expect(report.succeeded, "\(report.claims)")
        }
    }

    @Test(
        "a file of somebody else fails the copy before anything is swapped, with what to do",
        .enabled(if: geteuid() == 0),
        arguments: [
            (0o644, "without root the mover can't keep the owner or group of 1 entry, such as stranger"),
            (0o600, "rsync ended with exit code 23"),
        ] as [(mode_t, String)]
    )
    func strangers(mode: mode_t, words: String) async throws {
        try await RealScene.with(Self.setting) { scene in
            let folder = try #require(try await scene.path())
            try Self.fill(folder, stranger: 3000, mode: mode)
            // Where the group may not read it either.
            if mode == 0o600 { chown(folder + "/stranger", 3000, 3000) }
            var options = scene.options()
            // Only the check sees it: so it is made all the same.
            options.verification = .none
            let report = try await scene.migrate(options)
            let reason = report.claims.first?.reason ?? ""
            #expect(!report.succeeded && reason.contains(words), "\(reason)")
            #expect(
                reason.contains("kubectl label namespace shop --overwrite pod-security.kubernetes.io/enforce=baseline")
            )
            #expect(report.stopped.isEmpty)
            #expect(try await scene.path() == folder)
        }
    }

    @Test("OpenShift's refusal of root is one too, and its range of users is named where the pods' user is not in it")
    func openShift() {
        let refusal =
            "pods \"migrate-data\" is forbidden: unable to validate against any security context constraint: provider "
            + "\"restricted-v2\": Forbidden: runAsUser: Invalid value: 0: must be in the ranges: [1000650000, 1000659999]"
        #expect(MoverExit.refusesRoot(refusal))
        let advice = MoverExit.advice(refusal: refusal, namespace: "shop") ?? ""
        #expect(advice.contains("openshift.io/sa.scc.uid-range"))
        #expect(
            advice.contains(
                "oc adm policy add-scc-to-user anyuid -z default -n shop, which holds for every pod of that ServiceAccount; "
                    + "afterwards: oc adm policy remove-scc-from-user anyuid -z default -n shop"
            )
        )
        for advice in [advice, MoverExit.advice(refusal: "violates PodSecurity", namespace: "shop") ?? ""] {
            #expect(
                advice.contains(
                    "kubectl label namespace shop --overwrite pod-security.kubernetes.io/enforce=baseline, "
                )
                    && advice.contains(
                        "afterwards give the label the value that it has now, or where it is not set: "
                            + "kubectl label namespace shop pod-security.kubernetes.io/enforce-"
                    )
            )
        }
        #expect(!MoverExit.refusesRoot("exceeded quota: q"))
    }

    @Test("where a policy lets no capability be added, root has what the runtime gives, less what it does not need")
    func anyUser() async throws {
        let container = MoverPod.container("copy", image: "x", ["rsync"], [:], isRoot: true)
        let path = ["securityContext", "capabilities"]
        #expect(container[path: path + ["drop"]] == ["ALL"])
        let manifest: JSON = ["spec": ["containers": [container], "initContainers": [container]]]
        let tried = Mutex<[JSON]>([])
        let admitted = try await Capabilities.admitted(manifest) { manifest in
            tried.withLock { $0.append(manifest) }
            guard manifest[path: ["spec", "containers"]]?.array?.first?[path: path + ["add"]] == nil else {
                throw APIError(
                    reason: .forbidden,
                    request: "create Pod",
                    message: "unable to validate against any security context constraint: [provider \"anyuid\": "
                        + ".containers[0].capabilities.add: Invalid value: \"CHOWN\": capability may not be added]",
                    code: 403
                )
            }
            return manifest
        }
        #expect(tried.withLock { $0.count } == 2)
        for list in ["containers", "initContainers"] {
            let dropped = admitted[path: ["spec", list]]?.array?.first?[path: path + ["drop"]]?.array ?? []
            #expect(dropped.contains("NET_RAW") && dropped.contains("SETUID"))
            #expect(!dropped.contains("CHOWN") && !dropped.contains("ALL"))
        }
    }

    @Test("where pods don't tell of one user, preflight says so for each claim")
    func unknown() throws {
        var scene = try PreflightScene()
        for name in ["a", "b"] { try scene.addClaim(name) }
        try scene.cluster.update(ObjectKey(.namespaces, nil, "shop")) {
            $0[path: ["metadata", "labels", "pod-security.kubernetes.io/enforce"]] = "restricted"
        }
        let result = try scene.preflight()
        for name in ["a", "b"] {
            let row = result.rows.first { $0.resource == "PersistentVolumeClaim shop/\(name)" }
            #expect(row?.message.contains("violates PodSecurity") == true)
            #expect(row?.message.contains("its pods don't tell of one user other than root") == true)
            #expect(row?.message.contains("kubectl label namespace shop --overwrite") == true)
        }
        result.expectNoTrace()
    }

    @Test("preflight says as whom each mover will run, and why")
    func known() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        var pod = PreflightScene.pod("x", claim: "data")
        pod[path: ["spec", "securityContext"]] = ["runAsUser": 70, "fsGroup": 70]
        let template: JSON = ["metadata": pod["metadata"] ?? [:], "spec": pod["spec"] ?? [:]]
        try scene.add(
            .deployments,
            [
                "metadata": ["name": "x"],
                "spec": ["selector": ["matchLabels": ["app": "x"]], "replicas": 1, "template": template],
            ]
        )
        try scene.cluster.update(ObjectKey(.namespaces, nil, "shop")) {
            $0[path: ["metadata", "labels", "pod-security.kubernetes.io/enforce"]] = "restricted"
        }
        let result = try scene.preflight()
        #expect(result.table == [])
        #expect(
            result.messages.contains {
                $0.contains(
                    "its mover will run as user 70, fsGroup 70, as its pods do, since the namespace refuses root"
                )
            }
        )
        result.expectNoTrace()
    }
}

@Suite("Who owns a claim's data")
struct DataOwnerTests {
    private func pod(_ context: String, _ containers: String, _ more: String = "") throws -> Pod {
        try JSONDecoder().decode(
            Pod.self,
            from: Data(
                """
                {"metadata": {"name": "p", "namespace": "shop", "uid": "1", "resourceVersion": "1"},
                 "spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
                          "securityContext": \(context), "containers": [\(containers)] \(more)}}
                """.utf8
            )
        )
    }

    private func owner(_ pods: Pod...) -> String? { DataOwner(of: ObjectName("data", in: "shop"), in: pods)?.inWords }
    private let mount = #""volumeMounts": [{"name": "v"}]"#

    @Test("is the one user that all containers agree on which mount it")
    func agreement() throws {
        let other = #"{"securityContext": {"runAsUser": 0}}"#
        let one = try pod(#"{"runAsUser": 5, "fsGroup": 6}"#, "{\(mount)}, \(other)")
        let own = try pod(#"{"runAsUser": 0, "fsGroup": 6}"#, #"{\#(mount), "securityContext": {"runAsUser": 5}}"#)
        #expect(owner(one) == "user 5, fsGroup 6")
        #expect(owner(one, own) == "user 5, fsGroup 6")
        #expect(owner() == nil)
        #expect(owner(one, try pod(#"{"runAsUser": 7, "fsGroup": 6}"#, "{\(mount)}")) == nil)
        #expect(owner(one, try pod(#"{"runAsUser": 5}"#, "{\(mount)}")) == nil)
        #expect(owner(try pod("{}", "{\(mount)}")) == nil, "the image may say root")
        #expect(owner(try pod(#"{"runAsUser": 0}"#, "{\(mount)}")) == nil)
        let root = #", "initContainers": [{\#(mount), "securityContext": {"runAsUser": 0}}]"#
        #expect(owner(try pod(#"{"runAsUser": 5}"#, "{\(mount)}", root)) == nil)
    }

    @Test("is read from the mark again as it was written, and from nothing else")
    func mark() throws {
        let pods = [
            try pod(#"{"runAsUser": 5, "runAsGroup": 6, "fsGroup": 7, "supplementalGroups": [9, 8]}"#, "{\(mount)}")
        ]
        let owner = try #require(DataOwner(of: ObjectName("data", in: "shop"), in: pods))
        #expect(DataOwner(mark: owner.mark) == owner)
        #expect(owner.podContext["supplementalGroups"] == [8, 9])
        for text in ["", "[]", "{}", #"{"runAsUser": 0}"#, #"{"runAsUser": "5"}"#, #"{"runAsUser": -1}"#] {
            #expect(DataOwner(mark: text) == nil)
        }
        let more = DataOwner(mark: #"{"runAsUser": 5, "privileged": true}"#)
        #expect(more?.podContext["privileged"] == nil)
    }

    @Test("without root, the time and mode of the volume's own directory don't count, and nothing else is let pass")
    func tolerance() {
        let flags = RsyncFlags().withoutRoot
        #expect(flags.checking.contains("--super"))
        let end = "\nsending incremental file list\nNumber of files: 3\n"
        #expect(flags.differences(in: ".d..t...... ./" + end) == [])
        #expect(flags.differences(in: ".d..tp..... ./" + end) == [])
        for line in [".d..t.o.... ./", ".d..t....a. ./", ".d..t...... d/", ".f..t...... ./", "cd+++++++++ ./"] {
            #expect(flags.differences(in: line + end) == [line])
            #expect(RsyncFlags().differences(in: line + end) == [line])
        }
        #expect(RsyncFlags().differences(in: ".d..t...... ./" + end)?.count == 1)
        #expect(flags.whyFinal([".d..t.o.... ./"])?.contains("such as ./") == true)
        #expect(flags.whyFinal([">f+++++++++ x", "*deleting   og"]) == nil)
        #expect(flags.whyFinal([">f.st..g... x"]) != nil)
        #expect(RsyncFlags().whyFinal([".f....og... x"]) == nil)

        let times = "rsync: [generator] failed to set times on \"/dest/.\": Operation not permitted (1)\n"
        let end23 = "rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338)"
        #expect(flags.isHarmless(23, output: times + end23))
        #expect(!RsyncFlags().isHarmless(23, output: times + end23))
        #expect(!flags.isHarmless(11, output: times + end23))
        #expect(!flags.isHarmless(23, output: end23))
        let other = "rsync: [sender] send_files failed to open \"/source/x\": Permission denied (13)\n"
        #expect(!flags.isHarmless(23, output: times + other + end23))
        #expect(!flags.isHarmless(23, output: times.replacingOccurrences(of: "/dest/.", with: "/dest/x") + end23))
    }
}
