import Kubernetes

extension Migrator {
    /// Takes every unit that a run has left half done back to where it was: its workloads run on their old volumes, its
    /// staging claims are removed, its source volumes have their reclaim policy again. A claim that is deleted
    /// already is finished instead.
    ///
    /// It looks at the way back too, as a rollback may have been left half done.
    ///
    /// - Returns: what became of each claim that bore traces of a run.
    /// - Throws: `APIError` where the cluster can't be looked at.
    public func abort() async throws -> Report {
        var report = Report()
        await abort(try await discover(), into: &report)
        let back = Migrator(
            client: client,
            options: options.back(discardingChanges: false),
            limits: limits,
            journal: journal
        )
        do {
            await back.abort(try await back.discover(), into: &report)
        } catch {
            // What was taken back already is to be told all the same.
            report.failures.append("what a rollback has left half done could not be looked for: \(error)")
        }
        return report
    }

    private func abort(_ discovery: Discovery, into report: inout Report) async {
        await startForgotten(discovery, into: &report)
        for unit in discovery.units where unit.bearsTraces {
            let staging = unit.claims.compactMap(\.ownStaging)
            let began = journal.begin(Pipeline.wayBack, unit)
            let recovered = await recover(Progress(unit: unit), keepingStaging: false)
            journal.end(Pipeline.wayBack, unit, began: began)
            let progress = recovered.progress
            let isDone = recovered.stopped.isEmpty && !progress.unit.claims.contains(where: \.bearsTraces)
            journal.mark(unit, .ended(isDone: isDone))
            report.stopped += recovered.stopped
            for claim in staging { await orWarn(claim.title) { try await awaitRemoval(of: claim) } }
            for state in progress.unit.claims {
                if state.next == .done {
                    report.add(state, of: progress, done, reason: "it was past the point of no return")
                } else if state.bearsTraces {
                    report.add(state, of: progress, .failed, reason: "could not be taken back; see above")
                } else {
                    report.add(state, of: progress, .takenBack, reason: nil)
                }
            }
        }
    }

    /// Waits until an object that is being deleted is gone.
    func awaitRemoval<Object: KubernetesObject>(of object: Object, limit: Duration? = nil) async throws {
        try await client.wait(
            for: Object.self,
            in: object.metadata.namespace,
            named: object.metadata.name,
            limit: limit ?? limits.rebinding,
            what: "\(object.title) to be deleted"
        ) { $0.objects[object.metadata.uid] == nil ? () : nil }
    }
}

extension Unit {
    /// True where a run has begun with the unit and did not finish.
    var bearsTraces: Bool {
        claims.contains(where: \.bearsTraces)
            || workloads.contains {
                $0.isMarked || $0.metadata.annotation(Marks.whenScaled) != nil
            }
    }
}

extension ClaimState {
    /// True where a run has begun with the claim and did not finish.
    fileprivate var bearsTraces: Bool {
        !isReleased && otherMigration == nil && (seal != nil || isProtected || ownStaging != nil || hasRecord)
    }
}
