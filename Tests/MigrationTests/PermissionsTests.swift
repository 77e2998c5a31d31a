import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("What a run is permitted to do")
struct PermissionsTests {
    @Test("only --retype needs to create volumes, and cannot do without knowing what is attached")
    func retype() {
        var options = Options(sourceClass: "a", destinationClass: "b")
        func needs() -> [Permission] { Permissions.needed(for: options).filter { $0.purpose == .retype } }
        #expect(needs().isEmpty)
        options.goal = .retype
        #expect(needs().map(\.resource) == [.volumes, .volumeAttachments])
        #expect(needs().allSatisfy { $0.otherwise == nil })
        options.goal = .migrate
        #expect(Permissions.rbac(for: options, retypes: true).count > Permissions.rbac(for: options).count)
    }

    @Test("the manifest for one namespace grants namespaced things in it only")
    func oneNamespace() {
        var options = Options(sourceClass: "slow", destinationClass: "fast")
        options.selection.namespaces = ["shop"]
        #expect(
            Permissions.rbac(for: options) == """
                # Whoever can act as this ServiceAccount can do more than the rules seem to say:
                # - create pods in the namespace shop: read each Secret and act as each ServiceAccount there
                # - patch and delete persistentvolumes: free the storage of any claim of the cluster, or take it over
                # So take it back when the migration is done: the same command, with "| kubectl delete -f -" in place of
                # "| kubectl apply -f -".
                apiVersion: v1
                kind: ServiceAccount
                metadata:
                  name: pvmigrate
                  namespace: default
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: ClusterRole
                metadata:
                  name: pvmigrate
                rules:
                - apiGroups: ["storage.k8s.io"]
                  resources: ["storageclasses"]
                  verbs: ["list"]
                - apiGroups: [""]
                  resources: ["persistentvolumes"]
                  verbs: ["get", "list", "watch", "patch", "delete"]
                - apiGroups: [""]
                  resources: ["nodes"]
                  verbs: ["list"]
                - apiGroups: ["storage.k8s.io"]
                  resources: ["volumeattachments"]
                  verbs: ["list", "watch"]
                - apiGroups: ["storage.k8s.io"]
                  resources: ["volumeattributesclasses"]
                  verbs: ["list"]
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: ClusterRoleBinding
                metadata:
                  name: pvmigrate
                roleRef:
                  apiGroup: rbac.authorization.k8s.io
                  kind: ClusterRole
                  name: pvmigrate
                subjects:
                - kind: ServiceAccount
                  name: pvmigrate
                  namespace: default
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: Role
                metadata:
                  name: pvmigrate
                  namespace: default
                rules:
                - apiGroups: ["coordination.k8s.io"]
                  resources: ["leases"]
                  verbs: ["get", "list", "watch", "create", "patch", "delete"]
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: RoleBinding
                metadata:
                  name: pvmigrate
                  namespace: default
                roleRef:
                  apiGroup: rbac.authorization.k8s.io
                  kind: Role
                  name: pvmigrate
                subjects:
                - kind: ServiceAccount
                  name: pvmigrate
                  namespace: default
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: Role
                metadata:
                  name: pvmigrate
                  namespace: shop
                rules:
                - apiGroups: [""]
                  resources: ["persistentvolumeclaims"]
                  verbs: ["get", "list", "watch", "create", "patch", "delete"]
                - apiGroups: [""]
                  resources: ["pods"]
                  verbs: ["get", "list", "watch", "create", "delete"]
                - apiGroups: [""]
                  resources: ["pods/log"]
                  verbs: ["get"]
                - apiGroups: ["apps"]
                  resources: ["statefulsets"]
                  verbs: ["get", "list", "watch", "patch"]
                - apiGroups: ["apps"]
                  resources: ["deployments"]
                  verbs: ["get", "list", "watch", "patch"]
                - apiGroups: ["apps"]
                  resources: ["daemonsets"]
                  verbs: ["get", "list", "watch", "patch"]
                - apiGroups: ["apps"]
                  resources: ["replicasets"]
                  verbs: ["get", "list", "watch", "patch"]
                - apiGroups: [""]
                  resources: ["replicationcontrollers"]
                  verbs: ["get", "list", "watch", "patch"]
                - apiGroups: ["batch"]
                  resources: ["cronjobs"]
                  verbs: ["get", "list", "watch", "patch"]
                - apiGroups: ["batch"]
                  resources: ["jobs"]
                  verbs: ["get", "list", "watch", "patch"]
                - apiGroups: ["apps"]
                  resources: ["statefulsets/finalizers"]
                  verbs: ["update"]
                - apiGroups: ["keda.sh"]
                  resources: ["scaledobjects"]
                  verbs: ["get", "watch", "patch"]
                - apiGroups: [""]
                  resources: ["events"]
                  verbs: ["list", "watch"]
                - apiGroups: [""]
                  resources: ["resourcequotas"]
                  verbs: ["list"]
                - apiGroups: [""]
                  resources: ["limitranges"]
                  verbs: ["list"]
                - apiGroups: ["autoscaling"]
                  resources: ["horizontalpodautoscalers"]
                  verbs: ["list"]
                - apiGroups: ["keda.sh"]
                  resources: ["scaledobjects"]
                  verbs: ["list"]
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: RoleBinding
                metadata:
                  name: pvmigrate
                  namespace: shop
                roleRef:
                  apiGroup: rbac.authorization.k8s.io
                  kind: Role
                  name: pvmigrate
                subjects:
                - kind: ServiceAccount
                  name: pvmigrate
                  namespace: default

                """
        )
    }

    @Test("the manifest for all namespaces has one role for the cluster, and one for the lock")
    func allNamespaces() {
        let text = Permissions.rbac(for: Options(sourceClass: "slow", destinationClass: "fast"))
        let roles = text.split(separator: "\n---\n").filter { $0.contains("\nkind: Role\n") }
        #expect(roles.count == 1)
        #expect(roles.first?.contains("leases") == true)
        #expect(!text.contains("\"storageclasses\"]\n  verbs: [\"patch\"]"))
    }

    @Test("Secrets are touched only where copies go over the network, and it says what that means")
    func networkCopies() {
        let options = Options(sourceClass: "slow", destinationClass: "fast")
        let secrets = "resources: [\"secrets\"]\n  verbs: [\"create\", \"delete\"]"
        let without = Permissions.rbac(for: options)
        let with = Permissions.rbac(for: options, copiesOverNetwork: true)
        #expect(!without.contains(secrets) && !without.contains("networkpolicies") && !without.contains("# - delete"))
        #expect(with.contains(secrets) && with.contains("networkpolicies"))
        #expect(with.contains("\n# - delete secrets in any namespace: any Secret there, too\n"))
    }

    @Test("what the rights amount to is said in comments, before everything else")
    func meaning() {
        var options = Options(sourceClass: "slow", destinationClass: "fast")
        options.selection.namespaces = ["shop", "bank"]
        options.destinationSize = Percentage("80%")
        let lines = Permissions.rbac(for: options).split(separator: "\n")
        let comments = lines.prefix { $0.hasPrefix("# ") }
        #expect(comments.contains { $0.hasPrefix("# - create pods in the namespaces bank, shop: read each Secret") })
        #expect(comments.contains("# - get nodes/proxy: run commands in any container of any node"))
        #expect(comments.contains { $0.contains("| kubectl delete -f -") })
        #expect(
            lines[comments.count] == "apiVersion: v1" && !lines.dropFirst(comments.count).contains { $0.contains("#") }
        )
    }

    @Test("classes may be changed only with --set-defaults")
    func setDefaults() {
        var options = Options(sourceClass: "slow", destinationClass: "fast")
        options.setDefaults = true
        #expect(Permissions.rbac(for: options).contains("\"storageclasses\"]\n  verbs: [\"patch\"]"))
    }

    @Test(
        "the kubelets are asked only where volumes are to become smaller",
        arguments: [("80%", true), ("120%", false)]
    )
    func kubelets(size: String, isGranted: Bool) {
        var options = Options(sourceClass: "slow", destinationClass: "fast")
        options.destinationSize = Percentage(size)
        #expect(Permissions.rbac(for: options).contains("nodes/proxy") == isGranted)
        #expect(Permissions.needed(for: options).contains { $0.title == "nodes/proxy" } == isGranted)
        options.destinationSize = nil
        #expect(!Permissions.rbac(for: options).contains("nodes/proxy"))
    }

    @Test("several namespaces have a role each, and nothing namespaced is granted elsewhere")
    func severalNamespaces() {
        var options = Options(sourceClass: "slow", destinationClass: "fast")
        options.selection.namespaces = ["shop", "bank"]
        let roles = Permissions.rbac(for: options).split(separator: "\n---\n").filter { $0.contains("rules:") }
        let claims = roles.filter { $0.contains("persistentvolumeclaims") }
        #expect(claims.count == 2 && claims.allSatisfy { $0.contains("kind: Role\n") })
        for namespace in ["bank", "shop"] { #expect(claims.count { $0.contains("namespace: \(namespace)\n") } == 1) }
    }

    @Test(
        "a whole migration asks for nothing that is not granted",
        arguments: [Scenario.deployment, .statefulSet, .retain, .waitForFirstConsumer, .lostRaces]
    )
    func nothingElse(scenario: Scenario) {
        Self.expectNothingElse(
            scenario.world(),
            Options(sourceClass: World.source, destinationClass: World.destination)
        )
    }

    @Test("nor does one that deletes a pod and creates it again, or a set", arguments: [Scenario.pod, .claimTemplates])
    func recreated(scenario: Scenario) {
        Self.expectNothingElse(scenario.world(), scenario.options)
    }

    @Test("ConfigMaps are none of its business")
    func configMaps() {
        #expect(!Permissions.all.contains { $0.resource.plural == "configmaps" })
    }

    @Test("nor does one with passes over snapshots")
    func snapshots() throws {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        (options.isLive, options.copyFrom) = (true, .snapshot)
        Self.expectNothingElse(try StandInTests.world(), options)
    }

    private static func expectNothingElse(_ start: World, _ wanted: Options) {
        var options = wanted
        options.setDefaults = true
        let granted = Set(
            Permissions.needed(for: options).flatMap { permission in
                permission.verbs.map { "\($0) \(permission.title)" }
            }
        )
        let asked = Mutex<Set<String>>([])
        var world = start
        world.settle()
        let run = world.migrate(
            options,
            observer: { request, _, _ in
                guard let access = Self.access(request) else { return }
                asked.withLock { _ = $0.insert(access) }
            }
        )
        #expect(run.report?.succeeded == true)
        #expect(asked.withLock { $0 }.subtracting(granted) == [])
        #expect(asked.withLock { $0 }.contains("patch storageclasses"))
    }

    /// What a request needs the permission for, as a rule says it: `get pods/log`.
    static func access(_ request: Request) -> String? {
        let parts = request.target.split(separator: "?", maxSplits: 1)
        var path = parts[0].split(separator: "/").map(String.init)
        // Below /api/v1 or /apis/GROUP/VERSION.
        path.removeFirst(path.first == "api" ? 2 : 3)
        if path.first == "namespaces", path.count > 2 { path.removeFirst(2) }
        guard let plural = path.first, plural != "selfsubjectaccessreviews" else { return nil }
        let query = parts.count > 1 ? parts[1] : ""
        let verb =
            switch request.method {
            case .get: path.count > 1 ? "get" : query.contains("watch=") ? "watch" : "list"
            case .post: "create"
            case .patch: "patch"
            case .delete: "delete"
            case .put: "update"
            }
        return "\(verb) \(plural)" + (path.count > 2 ? "/\(path[2])" : "")
    }
}
