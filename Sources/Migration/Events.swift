import FoundationEssentials
import Kubernetes

/// Moments of a migration that `kubectl describe` shows for claims and workloads.
enum Moment: Sendable {
    case began
    /// This moment is recorded for claims only.
    case `sealed`
    case finished
    case failed(String)
}

/// Takes Events to be sent to the cluster, so that nobody waits for the sending.
final class EventRecorder: Sendable {
    /// The limit of waiting Events. A server that answers never lets so many wait.
    private static let limit = 10_000

    let events: AsyncStream<JSON>
    private let continuation: AsyncStream<JSON>.Continuation

    init() {
        (events, continuation) = AsyncStream.makeStream(of: JSON.self, bufferingPolicy: .bufferingNewest(Self.limit))
    }

    func record(_ event: JSON) { continuation.yield(event) }
    /// Ends the stream of Events.
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

    /// The time that a run waits at its end for unsent Events.
    private static let drain: Duration = .seconds(5)

    /// Runs work and sends its Events meanwhile, in order and as far as the cluster takes them.
    func sending<Value: Sendable>(_ work: @escaping @Sendable () async -> Value) async -> Value {
        guard let recorder else { return await work() }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { await send(recorder.events) }
            let value = await work()
            recorder.finish()
            group.addTask {
                // The sleep is cancelled once all Events are sent.
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
                // Preflight has reported it, or the namespace is being deleted.
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
            // Some claims of a failed unit may be done.
            var own = moment
            if case .failed = moment, state.next == .done { own = .finished }
            record(own, of: state, [progress.copies[state.id]?.inWords, outage])
        }
        let claims = progress.unit.claims.map(\.name.name).joined(separator: ", ")
        for workload in progress.unit.workloads {
            record(moment, about: workload.resource, workload.metadata, of: " of \(claims)", [outage])
        }
    }

    /// Records a moment of one claim, by its present UID: the successor's, once there is one.
    ///
    /// - Parameter details: Further facts for the Event's message.
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
        let way = "\(task)\(claims) \(options.wayInWords)"
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
