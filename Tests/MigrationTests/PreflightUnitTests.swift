import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

/// The state of a claim that was bound a while ago, on a volume of its own.
private func claim(
    _ name: String,
    size: String = "1Gi",
    modes: [String] = ["ReadWriteOnce"],
    volumeMode: String = "Filesystem",
    annotations: [String: String] = [:],
    namespace: String = "shop"
) throws -> ClaimState {
    func object(_ kind: String, uid: String, spec: JSON) -> JSON {
        [
            "kind": .string(kind),
            "metadata": [
                "name": .string(name), "namespace": .string(namespace), "uid": .string(uid), "resourceVersion": "1",
                "annotations": .object(annotations.mapValues(JSON.string)),
            ],
            "spec": spec, "status": ["phase": "Bound"],
        ]
    }
    var state = ClaimState(Transfer(of: ObjectName(name, in: namespace), uid: "", storageClass: "fast"))
    let spec: JSON = [
        "accessModes": .array(modes.map(JSON.string)), "volumeMode": .string(volumeMode), "volumeName": .string(name),
        "resources": ["requests": ["storage": .string(size)]],
    ]
    state.claim = try JSONDecoder().decode(
        PersistentVolumeClaim.self,
        from: object("PersistentVolumeClaim", uid: name, spec: spec).text
    )
    state.source = try JSONDecoder().decode(
        PersistentVolume.self,
        from: object(
            "PersistentVolume",
            uid: "v-\(name)",
            spec: [
                "capacity": ["storage": .string(size)],
                "claimRef": ["name": .string(name), "namespace": .string(namespace), "uid": .string(name)],
            ]
        ).text
    )
    return state
}

private func discovery(_ units: [ClaimState]...) -> Discovery {
    var discovery = Discovery()
    discovery.units = units.map { Unit(claims: $0, workloads: [], obstacles: []) }
    return discovery
}

@Suite("Names of staging claims")
struct PreflightNameTests {
    @Test("two long names that differ only in their middle collide, and each names the other")
    func collision() throws {
        let start = String(repeating: "a", count: 105)
        let end = String(repeating: "z", count: 145)
        let names = [start + "1" + end, start + "2" + end]
        let rows = NameCheck.collisions(of: try names.map { try claim($0) } + [try claim("data")])
        #expect(Set(rows.map(\.resource)) == Set(names.map { "PersistentVolumeClaim shop/\($0)" }))
        for (row, other) in zip(rows.sorted { $0.resource < $1.resource }, names.reversed()) {
            #expect(row.message.contains(other))
        }
    }

    @Test("the same long name in two namespaces doesn't collide")
    func twoNamespaces() throws {
        let name = String(repeating: "a", count: 253)
        let states = [try claim(name, namespace: "shop"), try claim(name, namespace: "blog")]
        #expect(NameCheck.collisions(of: states).isEmpty)
    }
}

@Suite("What one claim needs")
struct PreflightClaimTests {
    @Test("an access mode that does not exist is refused with those that do")
    func unknownMode() throws {
        let state = try claim("data", annotations: [Marks.accessMode: "ReadWriteAlways"])
        #expect(
            NameCheck.refusals(of: state).map(\.description) == [
                "the annotation kurl.sh/pvcmigrate-destinationaccessmode is \"ReadWriteAlways\"; it must be one of "
                    + "ReadWriteOnce, ReadWriteMany, ReadOnlyMany, ReadWriteOncePod"
            ]
        )
    }

}

@Suite("Trials of the destination class")
struct PreflightTrialTests {
    private let options = Options(sourceClass: "slow", destinationClass: "fast")

    @Test("claims of one namespace with the same access modes share a trial as small as the smallest")
    func shared() throws {
        let found = discovery(
            [try claim("a", size: "10Gi"), try claim("b", size: "2Gi")],
            [try claim("c", size: "5Gi")]
        )
        let trials = try Trial.all(for: found.claimsToStage, options: options)
        #expect(trials.count == 1)
        #expect(trials.first?.claims == ["a", "b", "c"])
        #expect(trials.first?.claim[path: ["spec", "resources", "requests", "storage"]] == "2Gi")
        #expect(trials.first?.claim[path: ["spec", "storageClassName"]] == "fast")
        #expect(trials.first?.claim[path: ["metadata", "annotations"]] == ["kurl.sh/pvcmigrate-kind": "preflight"])
    }

    @Test("each namespace, each set of access modes and each volume mode has a trial of its own")
    func distinct() throws {
        let found = discovery([
            try claim("a"), try claim("b", modes: ["ReadWriteMany", "ReadWriteOnce"]),
            try claim("c", modes: ["ReadWriteOnce", "ReadWriteMany"]), try claim("d", namespace: "blog"),
            try claim("e", annotations: [Marks.accessMode: "ReadWriteOncePod"]), try claim("f", volumeMode: "Block"),
        ])
        let trials = try Trial.all(for: found.claimsToStage, options: options)
        #expect(trials.map(\.claims) == [["d"], ["b", "c"], ["a"], ["f"], ["e"]])
        #expect(Set(trials.map(\.claimName)).count == 5)
        #expect(trials[3].claim[path: ["spec", "volumeMode"]] == "Block")
    }

    @Test("a read-only need is tried as it will be staged: so that it can be written to")
    func readOnly() throws {
        let trials = try Trial.all(
            for: discovery([try claim("a", modes: ["ReadOnlyMany"])]).claimsToStage,
            options: options
        )
        #expect(trials.first?.claim[path: ["spec", "accessModes"]] == ["ReadWriteOnce"])
    }

    @Test("what another check refuses is not tried")
    func refused() throws {
        let found = discovery([
            try claim("b", annotations: [Marks.accessMode: "no"])
        ])
        #expect(try Trial.all(for: found.claimsToStage, options: options).isEmpty)
    }
}

@Suite("Reasons in events")
struct PreflightReasonTests {
    private func words(_ events: (type: String, reason: String, message: String)...) throws -> String? {
        TrialFailure.words(
            try events.map { event in
                let text: JSON = [
                    "metadata": ["name": "e", "uid": "e", "resourceVersion": "1"], "involvedObject": [:],
                    "type": .string(event.type), "reason": .string(event.reason), "message": .string(event.message),
                ]
                return try JSONDecoder().decode(Event.self, from: text.text)
            }
        )
    }

    @Test("of several warnings the one that tells most is given")
    func warnings() throws {
        #expect(
            try words(
                ("Normal", "Pulling", "Pulling the image, which is a long message that complains of nothing at all"),
                ("Warning", "Failed", "Failed to pull image \"x\": not found"),
                ("Warning", "Failed", "Error: ErrImagePull")
            ) == "Failed: Failed to pull image \"x\": not found"
        )
    }

    @Test("without a warning it is what the provisioner is waited for with, and else nothing")
    func waits() throws {
        let waiting = ("Normal", "ExternalProvisioning", "Waiting for a volume to be created")
        #expect(try words(waiting) == "ExternalProvisioning: Waiting for a volume to be created")
        #expect(try words(("Normal", "WaitForFirstConsumer", "waiting for first consumer")) == nil)
    }
}

@Suite("Quotas")
struct PreflightQuotaTests {
    private func rows(
        hard: JSON,
        used: JSON,
        copying: Bool = false,
        _ units: [ClaimState]...
    ) throws -> [String] {
        let text: JSON = [
            "metadata": ["name": "q", "namespace": "shop", "uid": "q", "resourceVersion": "1"],
            "status": ["hard": hard, "used": used],
        ]
        var found = Discovery()
        found.units = units.map { Unit(claims: $0, workloads: [], obstacles: []) }
        let rows = QuotaPlan(
            found.units,
            in: [try JSONDecoder().decode(ResourceQuota.self, from: text.text)],
            destinationClass: "fast",
            isCopied: { _ in copying }
        ).shortages
        for row in rows {
            #expect(row.namespace == "shop")
            #expect(row.resource == "ResourceQuota shop/q")
        }
        return rows.map(\.message)
    }

    @Test("claims that are staged together must fit together")
    func together() throws {
        let messages = try rows(
            hard: ["persistentvolumeclaims": "4", "requests.storage": "5Gi"],
            used: ["persistentvolumeclaims": "3", "requests.storage": "3Gi"],
            [try claim("a"), try claim("b", size: "2Gi")]
        )
        #expect(
            messages == [
                "leaves 1 of persistentvolumeclaims, but the staging claims of PersistentVolumeClaim shop/a need 2 at a "
                    + "time",
                "leaves 2.0 GiB of requests.storage, but the staging claims of PersistentVolumeClaim shop/a need 3.0 GiB "
                    + "at a time",
            ]
        )
    }

    @Test("claims of different units are staged one unit after the other")
    func apart() throws {
        let messages = try rows(
            hard: ["persistentvolumeclaims": "4", "requests.storage": "5Gi"],
            used: ["persistentvolumeclaims": "3", "requests.storage": "3Gi"],
            [try claim("a")],
            [try claim("b", size: "2Gi")]
        )
        #expect(messages.isEmpty)
    }

    @Test("copies that passes read take room besides, but none of the destination class")
    func copies() throws {
        let messages = try rows(
            hard: [
                "persistentvolumeclaims": "3", "requests.storage": "4Gi",
                "fast.storageclass.storage.k8s.io/persistentvolumeclaims": 1,
            ],
            used: ["persistentvolumeclaims": "2", "requests.storage": "2Gi"],
            copying: true,
            [try claim("a")]
        )
        #expect(
            messages == [
                "leaves 1 of persistentvolumeclaims, but the staging claims and the copies of PersistentVolumeClaim shop/a "
                    + "need 2 at a time"
            ]
        )
    }

    @Test("what is limited for the destination class counts for all units")
    func ofClass() throws {
        let messages = try rows(
            hard: [
                "fast.storageclass.storage.k8s.io/requests.storage": "2Gi",
                "slow.storageclass.storage.k8s.io/requests.storage": "3Gi",
                "fast.storageclass.storage.k8s.io/persistentvolumeclaims": 1,
            ],
            used: ["fast.storageclass.storage.k8s.io/requests.storage": "0"],
            [try claim("a")],
            [try claim("b", size: "2Gi")]
        )
        #expect(
            messages == [
                "leaves 0 of fast.storageclass.storage.k8s.io/persistentvolumeclaims, but the staging claims of "
                    + "PersistentVolumeClaim shop/b need 1 at a time",
                "leaves 1.0 GiB of fast.storageclass.storage.k8s.io/requests.storage, but the staging claims of "
                    + "PersistentVolumeClaim shop/b need 2.0 GiB at a time",
            ]
        )
    }

    @Test("what fits goes first, and makes room for others; what never fits is last, and says what it lacks")
    func order() throws {
        let text: JSON = [
            "metadata": ["name": "q", "namespace": "shop", "uid": "q", "resourceVersion": "1"],
            "status": ["hard": ["requests.storage": "20Gi"], "used": ["requests.storage": "17Gi"]],
        ]
        // 3 GiB are left. That of c is to become smaller by 2 GiB, so that there is room for b then.
        var shrinking = try claim("c", size: "3Gi")
        shrinking.transfer.sizeWanted = Quantity("1Gi")
        let units = [try claim("a", size: "6Gi"), try claim("b", size: "5Gi"), shrinking, try claim("d", size: "2Gi")]
        let plan = QuotaPlan(
            units.map { Unit(claims: [$0], workloads: [], obstacles: []) },
            in: [try JSONDecoder().decode(ResourceQuota.self, from: text.text)],
            destinationClass: "fast"
        )
        #expect(plan.units.flatMap(\.claims).map(\.name.name) == ["c", "b", "d", "a"])
        #expect(plan.later == [try claim("b").id])
        #expect(
            plan.shortages.map(\.message) == [
                "leaves 5.0 GiB of requests.storage, but the staging claims of PersistentVolumeClaim shop/a need 6.0 GiB "
                    + "at a time"
            ]
        )
    }

    @Test("sizes that no number can add up are no crash")
    func enormous() throws {
        let messages = try rows(
            hard: ["requests.storage": "1Gi"],
            used: [:],
            [try claim("a", size: "7Ei"), try claim("b", size: "7Ei")]
        )
        #expect(messages.count == 1)
    }

    @Test("a quota of other things, and of another namespace, is none of ours")
    func others() throws {
        #expect(try rows(hard: ["requests.cpu": "100m", "pods": "0"], used: [:], [try claim("a")]).isEmpty)
        #expect(
            try rows(hard: ["persistentvolumeclaims": "0"], used: [:], [try claim("a", namespace: "blog")]).isEmpty
        )
    }
}
