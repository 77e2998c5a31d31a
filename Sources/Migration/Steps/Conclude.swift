import Kubernetes

/// Removes the marks of a unit that is copied whole.
///
/// - Before: this process has seen that nothing differs.
/// - After: neither claims nor volumes bear a mark of the copy.
/// - Safe to repeat because: what bears no mark is left as it is.
/// - Undone by: nothing.
struct Conclude: UnitAction {
    private let marks: TreeMarks

    init(_ context: Context) { marks = TreeMarks(context) }

    func perform(_ progress: inout Progress) async throws {
        guard progress.unit.claims.allSatisfy({ $0.copied || $0.isReleased }) else {
            throw Refusal("not all claims are copied")
        }
        for index in progress.unit.claims.indices where !progress.unit.claims[index].isReleased {
            progress.unit.claims[index] = try await marks.remove(from: progress.unit.claims[index])
            progress.unit.claims[index].isReleased = true
        }
    }
}
