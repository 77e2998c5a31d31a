import ClusterSimulator
import Kubernetes

@testable import Migration

/// Objects that somebody has planted who may write in one namespace and nowhere else, from a seed.
struct Plants: Sendable {
    /// The paths of what he has planted: what a run does to these is his own affair, as long as it frees no storage.
    private(set) var paths: Set<String> = []
    private(set) var names: [String] = []
    private var planted: [(key: ObjectKey, path: String)] = []
    private var random: SeededGenerator
    private let namespace: String
    /// The world's claims and workloads, which he knows and means.
    private let victims: [ObjectName]
    private let owners: [(kind: String, apiVersion: String, name: ObjectName, uid: String)]

    /// Plants some objects in a world, and lets the controllers make of them what they do.
    static func sow(in world: inout World, seed: UInt64) -> Plants {
        var plants = Plants(world, seed: seed)
        for _ in 0..<Int.random(in: 3...10, using: &plants.random) { plants.plantOne(in: &world) }
        world.cluster.advance(to: world.cluster.now + .seconds(20))
        plants.retainSome(in: &world)
        // What controllers have taken away again, since its owner does not exist, leaves its name free.
        plants.paths.formIntersection(
            plants.planted.filter { world.cluster.get($0.key) != nil }.map(\.path)
        )
        return plants
    }

    private init(_ world: World, seed: UInt64) {
        random = SeededGenerator(seed: seed)
        // His own namespace is that of a victim, or another one.
        namespace = Bool.random(using: &random) ? "shop" : "evil"
        victims = world.claims.sorted()
        owners = [Resource.deployments, .statefulSets, .replicaSets].flatMap { resource in
            world.cluster.list(resource).map { object in
                (
                    resource.kind, "\(resource.group)/\(resource.version)",
                    ObjectName(
                        object[path: ["metadata", "name"]]?.string ?? "",
                        in: object[path: ["metadata", "namespace"]]?.string
                    ),
                    object[path: ["metadata", "uid"]]?.string ?? ""
                )
            }
        }
    }

    // MARK: Kinds of plants

    private mutating func plantOne(in world: inout World) {
        if namespace == "evil", world.cluster.get(ObjectKey(.namespaces, nil, "evil")) == nil {
            world.make(.namespaces, nil, ["metadata": ["name": "evil"]])
        }
        switch Int.random(in: 0..<7, using: &random) {
        case 0: plantRecord(in: &world)
        case 1, 2, 3: plantClaim(in: &world)
        case 4: plantPod(in: &world)
        case 5: plantWorkload(in: &world)
        default: plantLease(in: &world)
        }
    }

    /// What once made a run create anything.
    private mutating func plantRecord(in world: inout World) {
        let uid = owners.randomElement(using: &random)?.uid ?? "u"
        let contents: [JSON] = [
            [
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "plural": "rolebindings",
                "name": "x", "uid": "u", "claims": [], "scale": 1,
                "manifest": [
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": ["name": "x"],
                    "roleRef": ["kind": "ClusterRole", "name": "cluster-admin"],
                ],
            ],
            [
                "apiVersion": "v1", "kind": "Pod", "plural": "pods", "name": "root", "uid": "v", "claims": [],
                "scale": 1,
                "manifest": [
                    "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "root"],
                    "spec": ["hostPID": true, "containers": [["name": "c", "image": "busybox:latest"]]],
                ],
            ],
            [
                "apiVersion": "v1%2Fnamespaces%2Fshop?x=", "kind": "Namespace", "plural": "../namespaces",
                "name": "shop", "uid": .string(uid), "claims": [.string(victims[0].name)], "scale": 3,
                "patch": [:], "inverse": ["metadata": ["labels": ["owned": "yes"]]],
            ],
        ]
        let text = contents.randomElement(using: &random).map { String(decoding: $0.text, as: UTF8.self) } ?? ""
        let name = "pvmigrate-stopped-\(["u", "v", uid].randomElement(using: &random) ?? "u")"
        plant(
            .configMaps,
            [
                "metadata": ["name": .string(name), "labels": .object([Marks.kind: "stopped"])],
                "data": ["workload": .string(Bool.random(using: &random) ? text : word())],
            ],
            in: &world
        )
    }

    /// A claim that calls itself one of ours.
    private mutating func plantClaim(in world: inout World) {
        let victim = victims.randomElement(using: &random) ?? ObjectName("data", in: "shop")
        let uid = world.sources[victim]?.uid ?? ""
        let names = [
            Marks.stagingName(of: victim.name), Marks.stagingName(of: victim.name, number: 2),
            "\(victim.name)-pvcmigrate-copy", "pf-pvc-00000000-0", "plant-\(word(letters: true))",
        ]
        var annotations: [String: JSON] = [Marks.kind: .string(kind())]
        if Bool.random(using: &random) { annotations[Marks.claim] = .string(victim.name) }
        if Bool.random(using: &random) { annotations[Marks.sourceUID] = .string(uid) }
        for mark in [
            Marks.stagingUID, Marks.kept, Marks.manifest, Marks.scale, Marks.wake, Marks.nonce, Marks.retypedFrom,
            Marks.retypedTo, Marks.filling,
        ]
        where Int.random(in: 0..<4, using: &random) == 0 {
            annotations[mark] = .string(word())
        }
        var metadata: JSON = [
            "name": .string(names.randomElement(using: &random) ?? "plant"), "annotations": .object(annotations),
        ]
        if Int.random(in: 0..<4, using: &random) == 0 { metadata["finalizers"] = ["example.com/never"] }
        if Int.random(in: 0..<4, using: &random) == 0 { metadata["ownerReferences"] = [owner(controller: false)] }
        let size = ["1Mi", "16Mi", "64Mi"].randomElement(using: &random) ?? "16Mi"
        plant(
            .persistentVolumeClaims,
            [
                "metadata": metadata,
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": .string(size)]],
                    "storageClassName": .string(
                        [World.source, World.destination].randomElement(using: &random) ?? World.destination
                    ),
                ],
            ],
            in: &world
        )
    }

    /// A pod that says whose it is, mounts what he has planted, and perhaps never goes.
    private mutating func plantPod(in world: inout World) {
        var metadata: JSON = ["name": .string("plant-\(word(letters: true))")]
        if Bool.random(using: &random) { metadata["ownerReferences"] = [owner(controller: true)] }
        if Bool.random(using: &random) { metadata["finalizers"] = ["example.com/never"] }
        if Bool.random(using: &random) {
            metadata["annotations"] = .object([Marks.kind: .string(kind()), Marks.claim: .string(victims[0].name)])
        }
        plant(
            .pods,
            [
                "metadata": metadata,
                "spec": ["containers": [["name": "c", "image": "busybox:latest", "command": ["sleep", "infinity"]]]],
            ],
            in: &world
        )
    }

    /// A workload with marks that make no sense, of claims that are nobody's.
    private mutating func plantWorkload(in world: inout World) {
        let name = "plant-\(word(letters: true))"
        let isSet = Bool.random(using: &random)
        // What can be read is set again: he may do that himself, and a set of thousands of claims takes the simulator long.
        let scales = isSet ? ["-1", "99999999999", word()] : ["3", "-1", word()]
        let marks: [String: JSON] = [
            Marks.scale: .string(scales.randomElement(using: &random) ?? "3"), Marks.whenScaled: "Delete",
        ]
        var spec: JSON = [
            "replicas": 0, "selector": ["matchLabels": ["app": .string(name)]],
            "template": [
                "metadata": ["labels": ["app": .string(name)]],
                "spec": ["containers": [["name": "c", "image": "busybox:latest", "command": ["sleep", "infinity"]]]],
            ],
        ]
        if isSet {
            spec["serviceName"] = .string(name)
            spec["volumeClaimTemplates"] = .array(
                (0..<200).map { number in
                    [
                        "metadata": ["name": .string("t\(number)")],
                        "spec": [
                            "accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Mi"]],
                            "storageClassName": .string(World.destination),
                        ],
                    ]
                }
            )
        }
        plant(
            isSet ? .statefulSets : .deployments,
            ["metadata": ["name": .string(name), "annotations": .object(marks)], "spec": spec],
            in: &world
        )
    }

    private mutating func plantLease(in world: inout World) {
        plant(
            .leases,
            [
                "metadata": ["name": .string("pvmigrate-\(World.source)")],
                "spec": ["holderIdentity": .string(word()), "leaseDurationSeconds": 100_000],
            ],
            in: &world
        )
    }

    /// An administrator retains some of his volumes, so that he can't free them.
    private mutating func retainSome(in world: inout World) {
        for volume in world.cluster.list(.persistentVolumes) {
            let reference = volume[path: ["spec", "claimRef"]]
            let claim = "/api/v1/namespaces/\(reference?["namespace"]?.string ?? "")/persistentvolumeclaims/"
            guard paths.contains(claim + (reference?["name"]?.string ?? "")), Bool.random(using: &random),
                let name = volume[path: ["metadata", "name"]]?.string
            else { continue }
            world.change(ObjectKey(.persistentVolumes, nil, name)) {
                $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Retain"
            }
        }
    }

    // MARK: Parts of them

    private mutating func plant(_ resource: Resource, _ object: JSON, in world: inout World) {
        let name = object[path: ["metadata", "name"]]?.string ?? ""
        guard world.cluster.get(ObjectKey(resource, namespace, name)) == nil else { return }
        world.make(resource, namespace, object)
        let group = resource.group.isEmpty ? "/api" : "/apis/" + resource.group
        let path = "\(group)/\(resource.version)/namespaces/\(namespace)/\(resource.plural)/\(name)"
        paths.insert(path)
        planted.append((ObjectKey(resource, namespace, name), path))
        names.append("\(resource.kind) \(namespace)/\(name)")
    }

    private mutating func kind() -> String {
        ["dest", "copy", "preflight", "migrate", "serve", "stopped", word()].randomElement(using: &random) ?? "dest"
    }

    /// Any workload of the cluster, perhaps with another name or kind.
    private mutating func owner(controller: Bool) -> JSON {
        let owner = owners.randomElement(using: &random)
        let name = Bool.random(using: &random) ? owner?.name.name ?? "web" : "plant"
        return [
            "apiVersion": .string(owner?.apiVersion ?? "apps/v1"), "kind": .string(owner?.kind ?? "Deployment"),
            "name": .string(name), "uid": .string(owner?.uid ?? "u"), "controller": .bool(controller),
        ]
    }

    /// What texts may be: escapes, markup, shell metacharacters, a lot.
    private mutating func word(letters: Bool = false) -> String {
        if letters { return String((0..<6).map { _ in "abcdefgh".randomElement(using: &random) ?? "a" }) }
        let words = [
            "\u{1B}]0;owned\u{7}\u{1B}[31m", "<script>alert(1)</script>", "$(rm -rf /)`id`;|&", "../../etc/passwd",
            "%2F..%2F", "\u{202E}gpj", String(repeating: "x", count: 100_000), "", "null",
            "{\"metadata\":{\"uid\":\"x\"}}",
        ]
        return words.randomElement(using: &random) ?? ""
    }
}
