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
        try await removeNode(from: try await halfFilled.mark(state, nil))
    }

    /// Takes off the marks of a unit's claims, whatever they hold.
    func remove(from unit: inout Unit) async throws {
        for index in unit.claims.indices { unit.claims[index] = try await remove(from: unit.claims[index]) }
    }

    /// Writes down the node of a volume that is a node's own directory.
    func note(_ node: String, on state: ClaimState) async throws -> ClaimState {
        guard let source = state.source else { return state }
        var state = state
        state.source = try await volumes.annotate(source, [Marks.sourceNode: .string(node)])
        return state
    }

    /// Takes that off again. A claim that is only half filled keeps it for the next run.
    func removeNode(from state: ClaimState) async throws -> ClaimState {
        guard state.claim?.filling == nil, let source = state.source, source.isOfOneNodeUnsaid,
            source.metadata.annotation(Marks.sourceNode) != nil
        else { return state }
        var state = state
        state.source = try await volumes.annotate(source, [Marks.sourceNode: .null])
        return state
    }
}
