import Kubernetes

/// Writes down that a copy begins, and on which node a volume is that is a node's own directory, before the pods are gone
/// that tell.
///
/// - Before: the claims are bound.
/// - After: each volume bears the direction, and such a one its node.
/// - Safe to repeat because: a volume that bears them is left as it is.
/// - Undone by: `Conclude`, and by `Recovery` where no claim is half filled.
struct NoteNodes: UnitAction {
    private let tree: LocalTree?
    private let marks: TreeMarks

    init(_ context: Context) { (tree, marks) = (context.options.tree, TreeMarks(context)) }

    func perform(_ progress: inout Progress) async throws {
        for index in progress.unit.claims.indices {
            let state = progress.unit.claims[index]
            if case .blocked(let why) = state.next { throw Failure(place: state.title, reason: "\(why)") }
            guard let tree, let source = state.source else { continue }
            var node: String?
            if source.isOfOneNodeUnsaid, source.metadata.annotation(Marks.sourceNode) == nil {
                node = state.transfer.consumer?.nodeName
                guard node != nil else { throw Failure(place: state.title, reason: state.adviceOnNode) }
            }
            guard node != nil || source.metadata.annotation(Marks.tree) != tree.direction.rawValue else { continue }
            progress.unit.claims[index] = try await marks.note(tree.direction, node: node, on: state)
        }
    }
}
