import FoundationEssentials
import Kubernetes
import Testing

@testable import ClusterSimulator

/// What no recording shows of the admission plug-in OwnerReferencesPermissionEnforcement.
struct OwnerEnforcementTests {
    private static let claim = "/api/v1/namespaces/rec/persistentvolumeclaims/data"

    /// Gives a claim an owner, as somebody who may change claims and do nothing else.
    private func own(_ kind: String, blocks: Bool, _ prepare: (inout Cluster) throws -> Void) throws -> String {
        var world = try World()
        world.cluster.behaviour.enforcesOwnerReferences = true
        try world.claim("data")
        try Scenarios.allow("claims", ["patch"], "", "persistentvolumeclaims", &world.cluster)
        try prepare(&world.cluster)
        let owner: JSON = [
            "apiVersion": "apps/v1", "kind": .string(kind), "name": "x", "uid": "1",
            "blockOwnerDeletion": .bool(blocks),
        ]
        var request = Request(.patch, Self.claim)
        request.headers = [("Content-Type", "application/merge-patch+json")]
        request.body = (["metadata": ["ownerReferences": [owner]]] as JSON).compactText
        let response = world.cluster.handle(request, as: User("system:serviceaccount:rec:default", groups: []))
        return response.status == 200 ? "" : try JSON(parsing: response.body).text("message")
    }

    @Test("whoever changes the owners of an object must be allowed to delete it")
    func deletion() throws {
        let refusal = try own("StatefulSet", blocks: false) { _ in }
        #expect(refusal.hasSuffix("is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>"))
        let allowed = try own("StatefulSet", blocks: false) {
            try Scenarios.allow("deletion", ["delete"], "", "persistentvolumeclaims", &$0)
        }
        #expect(allowed.isEmpty)
    }

    @Test("whoever lets an object block its owner's deletion must be allowed to update the owner's finalizers")
    func finalizers() throws {
        let refusal = try own("StatefulSet", blocks: true) {
            try Scenarios.allow("deletion", ["delete"], "", "persistentvolumeclaims", &$0)
        }
        #expect(refusal.contains("an ownerReference refers to a resource you can't set finalizers on"))
        let unknown = try own("Unknown", blocks: true) {
            try Scenarios.allow("everything", ["*"], "*", "*", &$0)
        }
        #expect(unknown.contains("cannot find RESTMapping for APIVersion apps/v1 Kind Unknown"))
    }
}
