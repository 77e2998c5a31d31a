import Kubernetes
import Migration

/// Which claims a person wants copied to or from which directory. What belongs to what only the cluster tells.
struct TreeRequest: Sendable, Equatable {
    enum Choice: Sendable, Equatable {
        /// The directory is the claim's content.
        case claim(ObjectName)
        /// The directory has one for each pod of the StatefulSet.
        case set(ObjectName)
        /// The same, where the StatefulSet need not exist.
        case claimsOf(ObjectName)
    }

    var direction: LocalTree.Direction
    /// An absolute path; nil where a copy is only to be taken back.
    var directory: String?
    var choice: Choice
    var ordinals: Ordinals?
    var target = TreeTarget.own
    var startsHalfFilled = false

    /// The namespace of the claims.
    private var namespace: String? {
        switch choice {
        case .claim(let name), .set(let name), .claimsOf(let name): name.namespace
        }
    }

    /// The claims with their directories, or the reasons why there are none.
    struct Resolved: Sendable {
        var tree: LocalTree
        var obstacles: [Obstacle] = []
    }

    /// What is known of it without the cluster.
    var begun: LocalTree { tree([:]) }

    private func tree(_ parts: [ObjectName: String]) -> LocalTree {
        var tree = LocalTree(direction, directory: directory ?? "", parts: parts)
        (tree.target, tree.startsHalfFilled) = (target, startsHalfFilled)
        return tree
    }

    /// Finds out which claims and directories belong together.
    ///
    /// - Throws: `APIError`; `Refusal` where a directory can't be read.
    func resolved(_ client: Client) async throws -> Resolved {
        switch choice {
        case .claim(let name):
            // What is there is read later; that there is nothing is said at once.
            if direction == .upload, let directory { _ = try Folder.tree(directory) }
            return Resolved(tree: tree([name: directory ?? ""]))
        case .set(let name):
            guard let set = try await client.find(WorkloadObject.self, of: .statefulSets, name) else {
                let message = "does not exist; --claims-of takes the claims that a StatefulSet of that name would have"
                return Resolved(tree: begun, obstacles: [obstacle(name, message)])
            }
            return try await resolved(name, set, client)
        case .claimsOf(let name):
            return try await resolved(name, try await client.find(WorkloadObject.self, of: .statefulSets, name), client)
        }
    }

    private func obstacle(_ set: ObjectName, _ message: String) -> Obstacle {
        Obstacle(namespace: set.namespace, resource: "StatefulSet \(set)", message: message)
    }

    private func resolved(_ name: ObjectName, _ set: WorkloadObject?, _ client: Client) async throws -> Resolved {
        let found = try await client.listReadable(PersistentVolumeClaim.self, in: name.namespace).items.map(\.name)
        let claims = TreeLayout.Claims(of: name, set, among: found)
        let layout =
            if direction == .upload, let directory {
                TreeLayout(uploading: try Folder.tree(directory), to: claims, ordinals)
            } else {
                TreeLayout(downloading: claims, ordinals)
            }
        let parts = layout.parts.map { ($0.claim, "\(directory ?? "")/\($0.path)") }
        return Resolved(
            tree: tree(Dictionary(parts) { $1 }),
            obstacles: layout.problems.map { obstacle(name, $0) }
        )
    }
}

extension Options {
    /// Takes over what a request has come to.
    mutating func take(_ tree: LocalTree) {
        self.tree = tree
        selection.claims = Set(tree.parts.keys)
        selection.namespaces = Set(tree.parts.keys.compactMap(\.namespace))
    }
}
