import Kubernetes

/// Takes back half-done runs.
struct Abort: Sendable {
    private let context: Context
    private let journal: Journal

    init(_ context: Context) {
        (self.context, journal) = (context, context.journal)
    }

    func abort() async throws -> Report {
        var report = Report()
        await takeBack(try await Discover(context).discover(), into: &report)
        guard context.options.hasClasses else { return report }
        let back = context.asked(for: context.options.back(discardingChanges: false))
        do {
            await Abort(back).takeBack(try await Discover(back).discover(), into: &report)
        } catch {
            // The report must name the units that are taken back already.
            report.failures.append("what a rollback has left half done could not be looked for: \(error)")
        }
        return report
    }

    private func takeBack(_ discovery: Discovery, into report: inout Report) async {
        await Restore(context).startForgotten(discovery, into: &report)
        for found in discovery.units where found.bearsTraces {
            var unit = found
            if let why = unit.reasonToStay {
                journal.error(unit.title, "is left as it is: \(why)")
                for state in unit.claims { report.add(state, of: Progress(unit: unit), .failed, reason: "\(why)") }
                report.stopped += unit.workloads.filter(\.isMarked).map(\.title)
                continue
            }
            if context.options.tree?.startsHalfFilled == true {
                await journal.orWarn(unit.title) { try await TreeMarks(context).remove(from: &unit) }
            }
            let staging = unit.claims.compactMap(\.ownStaging)
            let began = journal.begin(Pipeline.wayBack, unit)
            let recovered = await Recovery(context).recover(Progress(unit: unit), keepingStaging: false)
            journal.end(Pipeline.wayBack, unit, began: began)
            let progress = recovered.progress
            let isDone = recovered.stopped.isEmpty && !progress.unit.claims.contains(where: \.bearsTraces)
            journal.mark(unit, .ended(isDone: isDone))
            report.stopped += recovered.stopped
            report.left += progress.left
            for claim in staging {
                await journal.orWarn(claim.title) {
                    try await context.destination.awaitDeletion(of: claim, limit: context.limits.rebinding)
                }
            }
            for state in progress.unit.claims {
                if state.next == .done {
                    report.add(
                        state,
                        of: progress,
                        context.options.pipeline.result,
                        reason: "it was past the point of no return"
                    )
                } else if state.bearsTraces {
                    report.add(state, of: progress, .failed, reason: "could not be taken back; see above")
                } else {
                    report.add(state, of: progress, .takenBack, reason: nil)
                }
            }
        }
    }
}

extension Unit {
    /// The reason why its workloads may not be started: a claim of theirs takes part in another run, which is not taken back.
    fileprivate var reasonToStay: Refusal? {
        guard workloads.contains(where: \.isMarked) else { return nil }
        if let other = claims.lazy.compactMap(\.otherMigration).first { return other }
        guard let between = limbo.first, let volume = between.destination else { return nil }
        return Refusal("\(between.title) is not bound again yet. \(between.seal?.wayOut(of: volume) ?? "")")
    }

    /// True where a run began with the unit and did not finish.
    var bearsTraces: Bool {
        claims.contains(where: \.bearsTraces)
            || workloads.contains {
                $0.isMarked || $0.metadata.annotation(Marks.whenScaled) != nil
            }
    }
}

extension ClaimState {
    /// True where a run began with the claim and did not finish.
    fileprivate var bearsTraces: Bool {
        if transfer.method == .tree {
            return !isReleased && (claim?.filling != nil || source?.metadata.annotation(Marks.tree) != nil)
        }
        return !isReleased && otherMigration == nil && (seal != nil || isProtected || ownStaging != nil || hasRecord)
    }
}
