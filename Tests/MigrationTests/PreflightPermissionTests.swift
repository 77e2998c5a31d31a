import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

extension PreflightScene {
    /// Runs as a user who may do exactly this.
    mutating func permit(_ permissions: [Permission]) throws {
        user = User("migrator", groups: ["system:authenticated"])
        let rules = permissions.map { permission -> JSON in
            [
                "apiGroups": [.string(permission.resource.group)], "resources": [.string(permission.title)],
                "verbs": .array(permission.verbs.map(JSON.string)),
            ]
        }
        try add(.clusterRoles, ["metadata": ["name": "migrator"], "rules": .array(rules)])
        try add(
            .clusterRoleBindings,
            [
                "metadata": ["name": "migrator"],
                "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "migrator"],
                "subjects": [["apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "migrator"]],
            ]
        )
    }
}

@Suite("Permissions in preflight")
struct PreflightPermissionTests {
    private func lacking(_ lacks: (Permission) -> Set<String>) -> [Permission] {
        Permissions.all.map { permission in
            var permission = permission
            let lacking = lacks(permission)
            permission.verbs.removeAll(where: lacking.contains)
            return permission
        }
    }

    @Test("who may do what the manifest grants passes, without a warning")
    func enough() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.permit(Permissions.needed(for: scene.options))
        let result = try scene.preflight()
        #expect(result.table == [])
        #expect(result.messages.filter { $0.contains("not permitted") } == [])
    }

    @Test("what is not permitted is in the table, and nothing is created that could not be removed")
    func missing() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.permit(
            lacking {
                switch $0.resource {
                case .volumes: ["patch", "delete"]
                case .claims: ["create"]
                case .pods: $0.subresource == nil ? ["create", "delete"] : ["get"]
                default: []
                }
            }
        )
        let result = try scene.preflight()
        #expect(
            result.table == [
                " | persistentvolumeclaims | not permitted: create (in the whole cluster); \"pvmigrate rbac\" prints what "
                    + "has to be granted",
                " | persistentvolumes | not permitted: patch, delete (in the whole cluster); \"pvmigrate rbac\" prints what "
                    + "has to be granted",
                " | pods | not permitted: create, delete (in the whole cluster); \"pvmigrate rbac\" prints what has to be "
                    + "granted",
                " | pods/log | not permitted: get (in the whole cluster); \"pvmigrate rbac\" prints what has to be granted",
            ]
        )
        #expect(result.difference(.events) == [])
        result.expectNoTrace()
    }

    @Test("with --namespace, permissions in that namespace suffice")
    func namespace() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.permit(lacking { $0.resource.namespaced ? Set($0.verbs) : [] }.filter { !$0.verbs.isEmpty })
        for namespace in ["shop", "default"] {
            try scene.add(
                .roleBindings,
                [
                    "metadata": ["name": "migrator"],
                    "roleRef": [
                        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin",
                    ],
                    "subjects": [["apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "migrator"]],
                ],
                in: namespace
            )
        }
        scene.options.selection.namespaces = ["shop"]
        let result = try scene.preflight()
        #expect(result.table == [])
        result.expectNoTrace()
    }

    @Test("what a run can do without is a warning that says what is lost")
    func optional() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.permit(
            lacking { $0.otherwise == nil && $0.purpose != .retype ? [] : Set($0.verbs) }.filter { !$0.verbs.isEmpty }
        )
        let result = try scene.preflight()
        #expect(result.table == [])
        #expect(
            result.messages.filter { $0.contains("not permitted") }.sorted() == [
                "events: not permitted: list, watch (in the whole cluster); failures are reported without the cluster's "
                    + "own reasons, and a pod whose node may not read its claim for a moment is 12 to 15 s late",
                "horizontalpodautoscalers: not permitted: list (in the whole cluster); the autoscalers of workloads are "
                    + "not named",
                "leases: not permitted: get, list, watch, create, patch, delete; nothing keeps a second run from "
                    + "migrating the same class",
                "limitranges: not permitted: list (in the whole cluster); claims that are smaller than their namespace "
                    + "allows by now are refused, not made larger",
                "nodes: not permitted: list (in the whole cluster); whether a node can mount both volumes is seen only "
                    + "when a mover does not start, and whether pods find one with their new volumes only when they are "
                    + "started",
                "resourcequotas: not permitted: list (in the whole cluster); quotas are checked for each claim alone, not "
                    + "for all together",
                "scaledobjects: not permitted: list (in the whole cluster); KEDA is not named where it scales a workload",
                "volumeattachments: not permitted: list, watch (in the whole cluster); a mover may be started before its "
                    + "volume is detached from another node, and then waits for that",
                "volumeattributesclasses: not permitted: list (in the whole cluster); whether volumes could be modified in "
                    + "place is not told",
            ]
        )
        result.expectNoTrace()
    }
}
