import FoundationEssentials
import Kubernetes
import Migration
import Synchronization

/// What a run has come to in numbers, as Prometheus' text format has them: what `--metrics` writes.
final class Metrics: Sendable {
    private static let interval: Duration = .seconds(15)
    private static let pending = "pending"

    private let file: ResultFile
    private let options: Options
    private let began = Date.now
    private let state = Mutex(State())

    private struct State {
        /// What became of each claim, so far.
        var results: [ObjectName: String] = [:]
        var bytes: [ObjectName: Int64] = [:]
        var copying: Duration = .zero
        /// How long each unit was down; with the moment at which that began, where it still is.
        var outages: [String: (took: Duration, since: Duration?)] = [:]
    }

    init(file: ResultFile, _ invocation: Invocation) {
        (self.file, options) = (file, invocation.options)
    }

    // MARK: What happens

    func planned(_ discovery: Discovery) {
        let claims = discovery.units.flatMap(\.claims).map(\.name)
        state.withLock { $0.results = Dictionary(claims.map { ($0, Self.pending) }) { $1 } }
    }

    func note(_ milestone: Milestone) {
        state.withLock { state in
            switch milestone.kind {
            case .outageBegan: state.outages[milestone.unit] = (.zero, milestone.elapsed)
            case .outageEnded(let took): state.outages[milestone.unit] = (took, nil)
            case .stepEnded(let step, let took, _) where step == Pipeline.copyStep: state.copying += took
            case .ended(let isDone):
                let result = isDone ? options.goalOutcome.rawValue : Report.Result.failed.rawValue
                for claim in milestone.claims { state.results[claim] = result }
            case .stepBegan, .stepEnded: break
            }
        }
    }

    func note(_ claim: ObjectName, _ progress: CopyProgress) {
        state.withLock { $0.bytes[claim] = progress.bytes }
    }

    // MARK: The file

    /// Writes the file again and again, until the task is cancelled.
    func keepWritten(_ log: Log) async {
        do {
            while true {
                write(text(log.elapsed, exitCode: nil), log)
                try await log.time.sleep(log.time.now() + Self.interval)
            }
        } catch {
            // The run has ended.
        }
    }

    /// Writes the file for the last time: the report knows all exactly.
    func write(_ outcome: Outcome, _ log: Log) {
        if let claims = outcome.report?.claims {
            state.withLock { state in
                for claim in claims {
                    state.results[claim.name] = claim.result.rawValue
                    if let bytes = claim.bytes { state.bytes[claim.name] = bytes }
                }
                state.copying = claims.compactMap(\.copyTime).reduce(.zero, +)
            }
        }
        write(text(log.elapsed, exitCode: outcome.code), log)
    }

    private func write(_ text: String, _ log: Log) {
        do {
            try file.write(text)
        } catch {
            log.note(.error, file.path, "could not be written: \(error)")
        }
    }

    /// - Parameter exitCode: nil while the run goes on.
    func text(_ elapsed: Duration, exitCode: ExitCode?) -> String {
        let state = state.withLock { $0 }
        let ends = options.endsInWords
        var families: [Family] = [
            Family(
                "run_info",
                "Which run this is.",
                [
                    .init(["version": version, "source": ends.source, "destination": ends.destination], 1)
                ]
            ),
            Family(
                "run_start_time_seconds",
                "When the run began, since 1970.",
                [.init(began.timeIntervalSince1970)]
            ),
            Family("run_duration_seconds", "How long the run takes, so far.", [.init(elapsed.inSeconds)]),
            Family(
                "claims",
                "Claims by what became of them.",
                Dictionary(grouping: state.results.values) { $0 }.map { result, all in
                    .init(["result": result], Double(all.count))
                }
            ),
            Family(
                "copied_bytes",
                "The contents that were copied or found the same.",
                [.init(Double(Array(state.bytes.values).sum()))]
            ),
            Family("copy_seconds", "How long copies took, all together.", [.init(state.copying.inSeconds)]),
            Family(
                "outage_seconds",
                "How long a unit's workloads are down, so far, or were.",
                state.outages.map { unit, outage in
                    .init(["unit": unit], (outage.since.map { elapsed - $0 } ?? outage.took).inSeconds)
                }
            ),
        ]
        if let exitCode {
            families.append(
                Family("run_exit_code", "As the process's.", [.init(Double(exitCode.rawValue))])
            )
        }
        return families.map(\.text).joined()
    }

    /// A metric with its samples.
    private struct Family {
        struct Sample {
            var labels: [String: String]
            var value: Double

            init(_ labels: [String: String], _ value: Double) { (self.labels, self.value) = (labels, value) }
            init(_ value: Double) { self.init([:], value) }
        }

        var name: String
        var help: String
        var samples: [Sample]

        init(_ name: String, _ help: String, _ samples: [Sample]) {
            (self.name, self.help, self.samples) = ("pvmigrate_" + name, help, samples)
        }

        var text: String {
            guard !samples.isEmpty else { return "" }
            let lines = samples.map { sample in
                let labels = sample.labels.sorted { $0.key < $1.key }.map { "\($0)=\"\(Self.escaped($1))\"" }
                return name + (labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}") + " \(sample.value)\n"
            }
            return "# HELP \(name) \(help)\n# TYPE \(name) gauge\n" + lines.sorted().joined()
        }

        /// A label's value, as the text format escapes it.
        private static func escaped(_ value: String) -> String {
            value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
                .withoutControls
        }
    }
}

extension Duration {
    fileprivate var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds / 1_000_000_000_000_000) / 1000
    }
}
