import Foundation
import Kubernetes
import Testing

/// Volumes that only one node can mount.
struct NodeTests {
    private static let static0 = Scene.Class(
        bindingMode: "WaitForFirstConsumer",
        provisioner: "kubernetes.io/no-provisioner"
    )

    @Test("a claim moves to a volume of another node, over the network")
    func otherNode() async throws {
        try await Scene.with(source: Self.static0, destination: Self.static0) { scene in
            guard let other = scene.cluster.otherHostnames.first else { try Test.cancel("there is one node only") }
            if scene.cluster.sandbox != nil,
                geteuid() != 0 || !FileManager.default.isExecutableFile(atPath: "/usr/sbin/sshd")
            {
                try Test.cancel("a sandbox needs root and openssh-server (scripts/setup) for this")
            }
            try await scene.createVolume(scene.sourceClass, on: scene.cluster.hostname)
            try await scene.createVolume(scene.destinationClass, on: other)
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"], isPinned: false)
            let before = try await scene.contents(of: deployment)
            let run = try await scene.migrate()
            scene.expect(run, exit: 0)
            #expect(run.errors.contains("copied over the network"))
            #expect(try await scene.volume(of: "data").name.name == scene.destinationClass)
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
        }
    }
}

extension Scene {
    /// Creates a volume by hand, of the name of its class: a directory of one node.
    fileprivate func createVolume(_ className: String, on hostname: String) async throws {
        let place: JSON = ["key": "kubernetes.io/hostname", "operator": "In", "values": [.string(hostname)]]
        try await create(
            .volumes,
            className,
            [
                "spec": [
                    "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain", "storageClassName": .string(className),
                    "hostPath": ["path": .string("/tmp/hostpath_pv/\(className)"), "type": "DirectoryOrCreate"],
                    "nodeAffinity": ["required": ["nodeSelectorTerms": [["matchExpressions": [place]]]]],
                ]
            ]
        )
    }
}
