import Kubernetes

/// Waits until no node has the source volumes of a retype attached. The volume of a hand-over may stay attached.
///
/// - Before: no pod mounts the claims.
/// - After: no VolumeAttachment names the source volumes of a retype.
/// - Safe to repeat because: it only reads.
/// - Undone by: nothing.
struct Detach: UnitAction {
    private let advance: Advance
    private let detachment: Detachment

    init(_ context: Context) {
        advance = Advance(context)
        detachment = Detachment(context)
    }

    func perform(_ progress: inout Progress) async throws {
        try await advance.all(&progress) { state, action in
            switch action {
            case .detach: break
            case .blocked(let why): throw why
            case .protect, .stage, .copy, .seal, .rebind, .release, .done: return nil
            }
            guard let source = state.source else { return nil }
            if state.transfer.method == .retype { try await detachment.awaitNone(of: source, state) }
            var state = state
            state.copied = true
            return state
        }
    }
}
