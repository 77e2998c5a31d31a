import Kubernetes

/// Reads a unit again before it is stopped. During passes of hours somebody may have begun to use its claims.
///
/// - Before: passes were made.
/// - After: nothing.
/// - Safe to repeat because: it only reads.
/// - Undone by: nothing.
struct LookAgain: UnitAction {
    let context: Context

    func perform(_ progress: inout Progress) async throws {
        // Without a pass no time has gone by.
        guard !progress.passes.isEmpty else { return }
        try await look(at: &progress.unit)
    }

    /// - Throws: `Failure` where the claims cannot be stopped together as planned any more.
    func look(at unit: inout Unit) async throws {
        let names = Set(unit.claims.map(\.name))
        var narrowed = context.options
        narrowed.selection = Selection()
        narrowed.selection.namespaces = Set(names.compactMap(\.namespace))
        narrowed.selection.claims = names
        let discovery = try await Discover(context.asked(for: narrowed)).discover()
        guard let now = discovery.units.first, discovery.units.count == 1,
            Set(now.claims.map(\.id)) == Set(unit.claims.map(\.id))
        else {
            throw Failure(
                place: unit.title,
                reason: "its claims are used in another way than when the passes began; run again"
            )
        }
        if let obstacle = now.obstacles.first { throw Failure(place: obstacle.resource, reason: obstacle.message) }
        unit = now
    }
}
