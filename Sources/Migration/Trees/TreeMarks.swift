import Kubernetes

/// Writes the marks of copies to and from this computer, and takes them off.
struct TreeMarks: Sendable {
    private let halfFilled: HalfFilled
    private let volumes: Volumes

    init(_ context: Context) {
        halfFilled = HalfFilled(context)
        volumes = Volumes(context, context.source)
    }

    /// Marks a claim as begun.
    ///
    /// - Parameter words: What identifies the upload.
    func begin(_ state: ClaimState, _ words: String) async throws -> ClaimState {
        try await halfFilled.mark(state, words)
    }

    /// Takes off a claim's mark and its volume's.
    func remove(from state: ClaimState) async throws -> ClaimState {
        try await removeFromVolume(of: try await halfFilled.mark(state, nil))
    }

    /// Takes off the marks of a unit's claims, whatever they hold.
    func remove(from unit: inout Unit) async throws {
        for index in unit.claims.indices { unit.claims[index] = try await remove(from: unit.claims[index]) }
    }

    /// Writes down on a claim's volume that a copy begins, and its node where it is a node's own directory.
    ///
    /// - Parameter node: The node; nil where it is known, or any will do.
    func note(_ direction: LocalTree.Direction, node: String?, on state: ClaimState) async throws -> ClaimState {
        guard let source = state.source else { return state }
        var marks: [String: JSON] = [Marks.tree: .string(direction.rawValue)]
        marks[Marks.sourceNode] = node.map(JSON.string)
        var state = state
        state.source = try await volumes.annotate(source, marks)
        return state
    }

    /// Takes that off again. A claim that is only half filled keeps it for the next run.
    func removeFromVolume(of state: ClaimState) async throws -> ClaimState {
        guard state.claim?.filling == nil, let source = state.source else { return state }
        let names = source.isOfOneNodeUnsaid ? [Marks.tree, Marks.sourceNode] : [Marks.tree]
        let marks = names.filter { source.metadata.annotation($0) != nil }
        guard !marks.isEmpty else { return state }
        var state = state
        state.source = try await volumes.annotate(source, Dictionary(uniqueKeysWithValues: marks.map { ($0, .null) }))
        return state
    }
}

/// Tells of copies to and from a computer that another run is at.
struct TreesUnderWay: Sendable {
    private let client: Client

    init(_ context: Context) { client = context.source }

    /// Returns true where a claim that the workload mounts is being copied, as the cluster says at this moment.
    func concern(_ workload: Workload) async throws -> Bool {
        for name in workload.mountedClaims.sorted() {
            guard let claim = try await client.find(PersistentVolumeClaim.self, name),
                let volume = claim.spec.volumeName,
                let found = try await client.find(PersistentVolume.self, ObjectName(volume, in: nil))
            else { continue }
            if found.metadata.annotation(Marks.tree) != nil { return true }
        }
        return false
    }
}
