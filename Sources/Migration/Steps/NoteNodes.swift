import Kubernetes

/// Writes down on which node a volume is that is a node's own directory, before the pods are gone that tell.
///
/// - Before: the claims are bound.
/// - After: such a volume bears its node.
/// - Safe to repeat because: a volume that bears it is left as it is.
/// - Undone by: `Conclude`, and by `Recovery` where no claim is half filled.
struct NoteNodes: UnitAction {
    private let marks: TreeMarks

    init(_ context: Context) { marks = TreeMarks(context) }

    func perform(_ progress: inout Progress) async throws {
        for index in progress.unit.claims.indices {
            let state = progress.unit.claims[index]
            if case .blocked(let why) = state.next { throw Failure(place: state.title, reason: "\(why)") }
            guard let source = state.source, source.isOfOneNodeUnsaid,
                source.metadata.annotation(Marks.sourceNode) == nil
            else { continue }
            guard let node = state.transfer.consumer?.nodeName else {
                throw Failure(place: state.title, reason: state.adviceOnNode)
            }
            progress.unit.claims[index] = try await marks.note(node, on: state)
        }
    }
}
