/// Runs steps over units.
struct UnitRunner: Sendable {
    let context: Context

    /// Runs some steps. An interruption makes waits give up.
    ///
    /// - Returns: The progress of the unit, and the error that stopped it.
    func run(
        _ steps: [Step],
        _ start: Progress,
        until interruption: Interruption?
    ) async -> (Progress, (any Error)?) {
        @Sendable func perform() async -> (Progress, (any Error)?) {
            var progress = start
            do {
                for step in steps {
                    try Task.checkCancellation()
                    try await take(step, &progress)
                }
                return (progress, nil)
            } catch {
                return (progress, Task.isCancelled ? CancellationError() : error)
            }
        }
        guard let interruption else { return await perform() }
        return await withTaskGroup(of: (Progress, (any Error)?)?.self) { group in
            group.addTask { await perform() }
            group.addTask {
                await interruption.wait()
                return nil
            }
            var result: (Progress, (any Error)?)?
            for await next in group {
                // Either the steps ended, or the interruption came: the steps are then cancelled and end soon.
                if let next { result = next }
                group.cancelAll()
            }
            return result ?? (start, CancellationError())
        }
    }

    private func take(_ step: Step, _ progress: inout Progress) async throws {
        let (unit, journal) = (progress.unit, context.journal)
        let began = journal.begin(step.name, unit)
        do {
            for action in step.actions(context) { try await action.perform(&progress) }
            journal.end(step.name, unit, began: began)
        } catch {
            journal.end(step.name, unit, began: began, failed: true)
            throw error
        }
    }
}
