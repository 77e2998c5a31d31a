import FoundationEssentials
import Kubernetes
import Synchronization

extension Cluster {
    /// What a stream does next.
    enum StreamStep: Sendable {
        case piece(Data)
        /// Wait for a change, but no longer than until a moment.
        case wait(until: Duration?)
        case end
    }
}

/// The body of a watch or a followed log, which is made as it is pulled.
actor ClusterStream: ResponseBody {
    enum Source: Sendable {
        case watch(Watch)
        case log(LogQuery, LogQuery.LogPosition)

        mutating func next(in cluster: Cluster) -> Cluster.StreamStep {
            switch self {
            case .watch(var watch):
                let step = watch.next(in: cluster)
                self = .watch(watch)
                switch step {
                case .piece(let piece): return .piece(piece)
                case .wait: return .wait(until: watch.nextMoment)
                case .end: return .end
                }
            case .log(let query, var position):
                let piece = query.next(&position, in: cluster)
                self = .log(query, position)
                if let piece { return .piece(piece) }
                // A pod that is gone has no log any more.
                guard let log = query.log(in: cluster) else {
                    return cluster.keysByUID[query.podUID] == nil ? .end : .wait(until: nil)
                }
                return log.ended ? .end : .wait(until: nil)
            }
        }
    }

    private let simulator: ClusterSimulator
    private var source: Source
    /// How long the reader waits for a piece.
    private let silence: Duration
    private let fault: Fault?
    private var pieces = 0
    private var isClosed = false

    init(_ simulator: ClusterSimulator, _ source: Source, silence: Duration, _ fault: Fault?) {
        self.simulator = simulator
        self.source = source
        self.silence = silence
        self.fault = fault
    }

    func next() async throws -> Data? {
        let time = simulator.time
        let patience = time.now() + silence
        while !isClosed {
            try Task.checkCancellation()
            if let piece = try await faultyPiece(patience) { return piece.isEmpty ? nil : piece }
            let (next, step, rings) = await simulator.step(source)
            source = next
            switch step {
            case .piece(let piece):
                pieces += 1
                return piece
            case .end: isClosed = true
            case .wait(let moment):
                if time.now() >= patience {
                    isClosed = true
                    throw Self.silent(silence)
                }
                let until = moment.map { min(patience, simulator.moment($0)) } ?? patience
                try await simulator.bell.wait(past: rings, until: until, time)
            }
        }
        return nil
    }

    /// What a fault makes of the next piece: an empty one is the end.
    private func faultyPiece(_ patience: Duration) async throws -> Data? {
        switch fault {
        case .endStream(let count)? where pieces >= count:
            isClosed = true
            return Data()
        case .expireStream(let count)? where pieces >= count:
            if pieces > count { return Data() }
            pieces = count + 1
            return Watch.error(.expired(1, 2))
        case .silenceStream(let count)? where pieces >= count:
            try await simulator.time.sleep(patience)
            isClosed = true
            throw Self.silent(silence)
        case .cutStream(let count)? where pieces >= count:
            isClosed = true
            throw TransportError(.interrupted, "connection reset by peer")
        default: return nil
        }
    }

    static func silent(_ patience: Duration) -> TransportError {
        TransportError(.interrupted, "nothing arrived for \(patience.components.seconds) s")
    }

    func close() async { isClosed = true }
}

/// A body that is there as a whole.
final class WholeBody: ResponseBody {
    private let rest: Mutex<Data?>

    init(_ body: Data) { rest = Mutex(body.isEmpty ? nil : body) }

    func next() async throws -> Data? {
        rest.withLock { rest in
            defer { rest = nil }
            return rest
        }
    }

    func close() async { rest.withLock { $0 = nil } }
}
