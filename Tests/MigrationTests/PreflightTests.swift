import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

@Suite("Preflight")
struct PreflightTests {
    @Test("a cluster on which all is well has no obstacle, and preflight leaves no trace")
    func fine() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.addClaim("shared", modes: ["ReadWriteMany"])
        let result = try scene.preflight()
        #expect(result.table == [])
        #expect(result.messages.filter { $0.contains("a trial of") && $0.contains("passed") }.count == 2)
        result.expectNoTrace()
    }

    // MARK: Storage classes

    @Test("a destination class that is missing is said once, and nothing is tried on it")
    func noDestination() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.options.destinationClass = "quick"
        let result = try scene.preflight()
        #expect(result.table == [" | StorageClass quick | does not exist"])
        #expect(result.difference(.events) == [])
    }

    @Test("a source class that is missing is an obstacle, unless it is not to be validated")
    func noSource() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.cluster.delete(ObjectKey(.storageClasses, nil, "slow"))
        let result = try scene.preflight()
        #expect(
            result.table == [
                " | StorageClass slow | does not exist; to migrate the claims of a class that was deleted, give "
                    + "--skip-source-validation"
            ]
        )
        result.expectNoTrace()
        scene.options.skipSourceValidation = true
        #expect(try scene.preflight().table == [])
    }

    @Test("source and destination must differ")
    func sameClass() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.options.destinationClass = "slow"
        #expect(
            try scene.preflight().table == [" | StorageClass slow | is both source and destination; they must differ"]
        )
    }

    @Test("with --set-defaults a third class that is the default one is named")
    func thirdDefault() throws {
        var scene = try PreflightScene()
        try scene.add(.storageClasses, PreflightScene.storageClass("standard", isDefault: true))
        #expect(try scene.preflight().table == [])
        scene.options.setDefaults = true
        #expect(
            try scene.preflight().table == [
                " | StorageClass standard | is the default class, and neither source nor destination; take that from "
                    + "it, or run without --set-defaults"
            ]
        )
    }

    // MARK: Owners and claims

    @Test("a pod without an owner and a claim without a volume are named")
    func owners() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.add(.pods, PreflightScene.pod("lonely", claim: "data"))
        scene.cluster.behaviour.provisioners["disk.csi.example.com"] = nil
        try scene.addClaim("waiting")
        let result = try scene.preflight()
        #expect(
            result.table == [
                "shop | PersistentVolumeClaim shop/waiting | is Pending: bind or delete it first",
                "shop | Pod shop/lonely | mounts a claim to migrate and has no owner that would create it again; "
                    + "delete it first, or give --recreate-pods to have it deleted and created again",
            ]
        )
        result.expectNoTrace()
    }

    @Test("an unknown access mode is named; a stranger's claim of the staging claim's name is nothing to stop for")
    func names() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.addClaim("data-pvcmigrate", class: "fast")
        try scene.addClaim("odd", annotations: [Marks.accessMode: "ReadWriteAlways"])
        let result = try scene.preflight()
        #expect(
            result.table == [
                "shop | PersistentVolumeClaim shop/odd | the annotation kurl.sh/pvcmigrate-destinationaccessmode is "
                    + "\"ReadWriteAlways\"; it must be one of ReadWriteOnce, ReadWriteMany, ReadOnlyMany, ReadWriteOncePod"
            ]
        )
        result.expectNoTrace()
    }

    @Test("claims whose staging claims would share a name are named, each with the other")
    func collision() throws {
        var scene = try PreflightScene()
        func name(_ middle: String) -> String {
            String(repeating: "a", count: 105) + middle + String(repeating: "z", count: 145)
        }
        for middle in ["1", "2"] { try scene.addClaim(name(middle)) }
        let result = try scene.preflight()
        #expect(
            result.table
                == [("1", "2"), ("2", "1")].map { own, other in
                    "shop | PersistentVolumeClaim shop/\(name(own)) | its staging claim's name, shortened to what Kubernetes "
                        + "allows, is also that of \(name(other)); copy one of them to a claim of a shorter name"
                }
        )
        result.expectNoTrace()
    }

    @Test("a claim whose manifest is too large to be kept is named with its size")
    func largeManifest() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data", annotations: ["note": .string(String(repeating: "\"", count: 100_000))])
        try scene.addClaim("smaller", annotations: ["note": .string(String(repeating: "x", count: 100_000))])
        let result = try scene.preflight()
        #expect(result.rows.map(\.resource) == ["PersistentVolumeClaim shop/data"])
        #expect(result.rows.first?.message.hasPrefix("its manifest has 200") == true)
        result.expectNoTrace()
    }

    // MARK: Admission

    @Test("a quota, a limit range and Pod Security refuse in their own words")
    func admission() throws {
        var scene = try PreflightScene()
        for name in ["quota", "limits", "secure"] {
            try scene.add(.namespaces, ["metadata": ["name": .string(name)]])
            try scene.addClaim("data", in: name)
        }
        try scene.add(
            .resourceQuotas,
            ["metadata": ["name": "q"], "spec": ["hard": ["persistentvolumeclaims": "1"]]],
            in: "quota"
        )
        try scene.add(
            .limitRanges,
            [
                "metadata": ["name": "l"],
                "spec": ["limits": [["type": "PersistentVolumeClaim", "max": ["storage": "512Mi"]]]],
            ],
            in: "limits"
        )
        try scene.cluster.update(ObjectKey(.namespaces, nil, "secure")) {
            $0[path: ["metadata", "labels", "pod-security.kubernetes.io/enforce"]] = "restricted"
        }
        let result = try scene.preflight()
        let quota = result.rows.filter { $0.namespace == "quota" }
        #expect(
            quota.first?.message
                == "the API server refuses its staging claim: persistentvolumeclaims \"data-pvcmigrate\" is forbidden: "
                + "exceeded quota: q, requested: persistentvolumeclaims=1, used: persistentvolumeclaims=1, limited: "
                + "persistentvolumeclaims=1"
        )
        #expect(
            quota.contains {
                $0.resource == "ResourceQuota quota/q"
                    && $0.message
                        == "leaves 0 of persistentvolumeclaims, but the staging claims of PersistentVolumeClaim quota/data "
                        + "need 1 at a time"
            }
        )
        let limits = result.rows.filter { $0.namespace == "limits" }
        #expect(
            limits.first?.message
                == "the API server refuses its staging claim: persistentvolumeclaims \"data-pvcmigrate\" is forbidden: "
                + "maximum storage usage per PersistentVolumeClaim is 512Mi, but request is 1Gi"
        )
        let secure = result.rows.filter { $0.namespace == "secure" }
        #expect(secure.first?.resource == "PersistentVolumeClaim secure/data")
        #expect(secure.first?.message.contains("violates PodSecurity \"restricted:latest\"") == true)
        result.expectNoTrace()
    }

    @Test("a check that cannot be carried out is an obstacle with the server's words")
    func brokenCheck() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.interceptor = { request, _ in
            guard request.target.contains("/resourcequotas") else { return nil }
            let status: JSON = ["kind": "Status", "reason": "InternalError", "message": "etcd is on fire"]
            return .answer(Response(status: 500, body: status.text))
        }
        let result = try scene.preflight()
        #expect(
            result.table == [
                " | check of quotas | could not be carried out: list resourcequotas: etcd is on fire"
            ]
        )
        result.expectNoTrace()
    }

    @Test("several failures are all in the table, by namespace and resource")
    func everything() throws {
        var scene = try PreflightScene()
        try scene.add(.namespaces, ["metadata": ["name": "blog"]])
        try scene.addClaim("data", in: "blog", annotations: [Marks.accessMode: "Some"])
        try scene.addClaim("data", annotations: [Marks.accessMode: "Some"])
        try scene.addClaim("more", annotations: [Marks.accessMode: "Some"])
        try scene.cluster.delete(ObjectKey(.storageClasses, nil, "slow"))
        let result = try scene.preflight()
        #expect(
            result.rows.map { "\($0.namespace) \($0.resource)" } == [
                " StorageClass slow", "blog PersistentVolumeClaim blog/data", "shop PersistentVolumeClaim shop/data",
                "shop PersistentVolumeClaim shop/more",
            ]
        )
    }
}
