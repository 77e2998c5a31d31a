import FoundationEssentials
import Kubernetes

/// Moments of a migration that claims and workloads show with `kubectl describe`.
enum Moment: Sendable {
    case began
    /// Of a claim only.
    case `sealed`
    case finished
    case failed(String)
}

/// Takes Events to be sent to the cluster, so that nobody has to wait for that.
final class EventRecorder: Sendable {
    /// More than a server that answers lets wait.
    private static let limit = 10_000

    let events: AsyncStream<JSON>
    private let continuation: AsyncStream<JSON>.Continuation

    init() {
        (events, continuation) = AsyncStream.makeStream(of: JSON.self, bufferingPolicy: .bufferingNewest(Self.limit))
    }

    func record(_ event: JSON) { continuation.yield(event) }
    /// Says that none will come after these.
    func finish() { continuation.finish() }
}

/// Records moments as Events of the cluster.
struct Events: Sendable {
    private let source: Client
    private let options: Options
    private let journal: Journal
    private let recorder: EventRecorder?
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        (source, options, journal) = (context.source, context.options, context.journal)
        recorder = context.recorder
    }

    /// How long a run waits at its end for Events that are not sent yet.
    private static let drain: Duration = .seconds(5)

    /// Does something whose Events are sent beside it, in order and as far as the cluster takes them.
    func sending<Value: Sendable>(_ work: @escaping @Sendable () async -> Value) async -> Value {
        guard let recorder else { return await work() }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { await send(recorder.events) }
            let value = await work()
            recorder.finish()
            group.addTask {
                // Cancelled once all are sent.
                do { try await time.sleep(time.now() + Self.drain) } catch {}
            }
            _ = await group.next()
            group.cancelAll()
            return value
        }
    }

    private func send(_ events: AsyncStream<JSON>) async {
        var refused: Set<String> = []
        var hasWarned = false
        for await event in events {
            guard let namespace = event[path: ["metadata", "namespace"]]?.string, !refused.contains(namespace) else {
                continue
            }
            do {
                try await source.create(.events, in: namespace, event)
            } catch let error as APIError where error.reason == .forbidden {
                // Preflight has said so; or the namespace is being deleted.
                refused.insert(namespace)
            } catch {
                if !hasWarned, !Task.isCancelled { journal.warn("", "Events are not recorded: \(error)") }
                hasWarned = true
            }
        }
    }

    // MARK: What is recorded

    /// Records a moment of all claims and workloads of a unit.
    func record(_ moment: Moment, of progress: Progress) {
        guard recorder != nil else { return }
        var outage: String?
        if case .finished = moment { outage = progress.outage.map { "down for \($0.inWords)" } }
        for state in progress.unit.claims {
            // In a unit that failed some claims may be done all the same.
            var own = moment
            if case .failed = moment, state.next == .done { own = .finished }
            record(own, of: state, [progress.copies[state.id]?.inWords, outage])
        }
        let claims = progress.unit.claims.map(\.name.name).joined(separator: ", ")
        for workload in progress.unit.workloads {
            record(moment, about: workload.resource, workload.metadata, of: " of \(claims)", [outage])
        }
    }

    /// Records a moment of one claim: by its present UID, that of its successor once there is one.
    ///
    /// - Parameter details: what else there is to say.
    func record(_ moment: Moment, of state: ClaimState, _ details: [String?] = []) {
        guard let claim = state.claim else { return }
        record(moment, about: .claims, claim.metadata, of: "", details)
    }

    private func record(
        _ moment: Moment,
        about resource: APIResource,
        _ metadata: ObjectMeta,
        of claims: String,
        _ details: [String?]
    ) {
        guard let recorder, let namespace = metadata.namespace else { return }
        let task = options.pipeline.title
        let way = "\(task)\(claims) from StorageClass \(options.sourceClass) to \(options.destinationClass)"
        let (reason, text): (String, String) =
            switch moment {
            case .began: ("Started", "\(way) has begun")
            case .sealed: ("Sealed", "\(way) is copied and sealed: from here on it only goes forward")
            case .finished: ("Finished", ([way + " is done"] + details.compactMap(\.self)).joined(separator: ", "))
            case .failed(let why): ("Failed", "\(way) failed: \(why)")
            }
        let now = JSON.string(time.timeOfDay.formatted(.iso8601))
        var isWarning = false
        if case .failed = moment { isWarning = true }
        recorder.record([
            "apiVersion": "v1", "kind": "Event",
            "metadata": ["generateName": .string(Marks.eventPrefix), "namespace": .string(namespace)],
            "involvedObject": [
                "apiVersion": .string(resource.apiVersion), "kind": .string(resource.kind),
                "namespace": .string(namespace), "name": .string(metadata.name), "uid": .string(metadata.uid),
            ],
            "reason": .string(task + reason), "message": .string(text.shortened(to: 1000)),
            "type": isWarning ? "Warning" : "Normal", "source": ["component": .string(Marks.component)],
            "reportingComponent": .string(Marks.component), "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        ])
    }
}
