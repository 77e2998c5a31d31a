import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

@Suite("What operators own by custom resources")
struct OperatorTests {
    /// A custom resource with a scale, and a pod of it that mounts the claim `data`.
    private struct Custom: Sendable, CustomTestStringConvertible {
        var resource: Resource
        var path = ".spec.replicas"
        var spec: JSON = ["replicas": 1]
        /// True where the claim belongs to it, too.
        var ownsClaim = false
        /// What the obstacle says.
        var says: [String]

        var testDescription: String { "\(resource.kind) of \(resource.group)" }

        func world() -> World {
            var world = Scenario.pod.world(alone: true)
            world.define(
                resource,
                subresources: ["scale": ["specReplicasPath": .string(path), "statusReplicasPath": ".status.replicas"]]
            )
            let object = world.make(resource, "shop", ["metadata": ["name": "main"], "spec": spec])
            let owner: JSON = [
                "apiVersion": .string("\(resource.group)/\(resource.version)"), "kind": .string(resource.kind),
                "name": "main", "uid": object[path: ["metadata", "uid"]] ?? .null, "controller": true,
            ]
            world.change(ObjectKey(.pods, "shop", "web")) { $0[path: ["metadata", "ownerReferences"]] = [owner] }
            if ownsClaim {
                world.change(ObjectKey(.persistentVolumeClaims, "shop", "data")) {
                    $0[path: ["metadata", "ownerReferences"]] = [owner]
                }
            }
            world.addClaim("other")
            world.settle()
            return world
        }
    }

    private static let customs = [
        Custom(
            resource: Resource(
                group: "monitoring.coreos.com",
                "prometheuses",
                kind: "Prometheus",
                subresources: ["scale"]
            ),
            path: ".spec.shards",
            spec: [:],
            says: ["whose scale counts shards and no pods", #"--pause 'Prometheus/main={"spec":{"paused":true}}'"#]
        ),
        Custom(
            resource: Resource(
                group: "apps.kruise.io",
                version: "v1alpha1",
                "clonesets",
                kind: "CloneSet",
                subresources: ["scale"]
            ),
            ownsClaim: true,
            says: ["to which the claim data belongs, so that it may be deleted", "--pause 'CloneSet/main=PATCH'"]
        ),
        Custom(
            resource: Resource(
                group: "apps.kruise.io",
                version: "v1beta1",
                "statefulsets",
                kind: "StatefulSet",
                subresources: ["scale"]
            ),
            spec: ["replicas": 1, "persistentVolumeClaimRetentionPolicy": ["whenScaled": "Delete"]],
            says: ["which deletes its claims when it is scaled down (whenScaled); set that to Retain first"]
        ),
        Custom(
            resource: Resource(group: "rec.example", "monitors", kind: "Monitor", subresources: ["scale"]),
            path: ".spec.shards",
            spec: [:],
            says: [#"the spec replicas field ".spec.shards" does not exist"#, "--pause 'Monitor/main=PATCH'"]
        ),
    ]

    @Test(
        "is refused by name where its scale is not to be touched, soon, and holds up no other unit",
        arguments: customs
    )
    private func refused(custom: Custom) throws {
        let world = custom.world()
        let began = world.cluster.now
        let run = world.migrate()
        let data = run.report?.claims.first { $0.name.name == "data" }
        #expect(data?.result == .skipped, "\(run.messages) \(run.failure ?? "")")
        for words in custom.says { #expect(data?.reason?.contains(words) == true, "\(data?.reason ?? "")") }
        #expect(run.report?.claims.first { $0.name.name == "other" }?.result == .migrated)
        #expect(run.world.cluster.now - began < .seconds(40))
        #expect(run.world.object(.pods, ObjectName("web", in: "shop")) != nil)
    }

    @Test("that can't be read for the moment stops no other unit")
    func unavailable() throws {
        let custom = Self.customs[3]
        let run = custom.world().migrate(interceptor: { request, _ in
            request.target.contains("/monitors/")
                ? .answer(Response(status: 503, body: Data(#"{"kind":"Status","message":"the webhook is away"}"#.utf8)))
                : nil
        })
        #expect(run.report?.claims.map { "\($0.name.name) \($0.result)" } == ["data skipped", "other migrated"])
        #expect(run.report?.claims.first?.reason?.contains("the webhook is away") == true)
    }

    @Test("pods with a long grace period are waited for, and --stop-timeout gives them more time or less")
    func gracePeriod() throws {
        func world() -> World {
            var world = Scenario.deployment.world(alone: true)
            world.change(ObjectKey(.deployments, "shop", "web")) {
                $0[path: ["spec", "template", "spec", "terminationGracePeriodSeconds"]] = 900
            }
            world.settle()
            return world
        }
        let unit = try #require(try world().discovery().units.first)
        #expect(unit.gracePeriod == .seconds(900))
        var options = Scenario.deployment.options
        options.stopTimeout = .seconds(1)
        var hanging = world()
        hanging.change(
            ObjectKey(.pods, "shop", hanging.cluster.list(.pods)[0][path: ["metadata", "name"]]?.string ?? "")
        ) {
            $0[path: ["metadata", "finalizers"]] = ["example.com/keep"]
        }
        let run = hanging.migrate(options)
        #expect(run.report?.claims.map(\.result) == [.failed])
        #expect(
            run.messages.contains { $0.contains("waited 1 s") && $0.contains("--stop-timeout") },
            "\(run.messages)"
        )
    }
}
