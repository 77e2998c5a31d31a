import Dispatch
import FoundationEssentials
import Kubernetes
import Synchronization

/// The connection to a command in a container: each message begins with the number of its channel.
actor ExecSocket: WebSocket {
    /// Where the command's events come from.
    enum Source: Sendable {
        /// Nowhere: all that there is to say is known.
        case nothing
        /// From a command of the model.
        case model(number: Int)
        /// From the container runtime, with what leads to the command's standard input.
        case runtime(ExecQueue, (any ExecInput)?)
    }

    nonisolated let subprotocol: String
    private let simulator: ClusterSimulator
    private let query: ExecQuery
    private let version: ExecProtocol
    private let source: Source
    /// How long the reader waits for a message.
    private let silence: Duration
    private let fault: Fault?
    private var waiting: [Data]
    /// How many events of the model were taken.
    private var position = 0
    private var pieces = 0
    /// Nothing comes after what is waiting.
    private var isOver = false
    private var isClosed = false

    /// The numbers of the channels.
    private enum Channel {
        static let input: UInt8 = 0
        static let output: UInt8 = 1
        static let errors: UInt8 = 2
        static let status: UInt8 = 3
        /// Says in v5 which other one is closed.
        static let close: UInt8 = 255
    }

    init(
        _ simulator: ClusterSimulator,
        _ query: ExecQuery,
        _ version: ExecProtocol,
        _ source: Source,
        silence: Duration,
        _ fault: Fault?
    ) {
        self.simulator = simulator
        self.query = query
        self.version = version
        self.source = source
        self.silence = silence
        self.fault = fault
        subprotocol = version.rawValue
        // An empty message on the first channel that can be written tells the client that the connection is there.
        waiting = [
            Data([query.hasOutput ? Channel.output : query.hasErrors ? Channel.errors : Channel.status])
        ]
    }

    /// Says why there is no command, and nothing else.
    func fail(_ status: JSON) {
        waiting.append(Data([Channel.status]) + status.compactText)
        isOver = true
    }

    func send(_ message: Data) async throws {
        guard !isClosed else { throw TransportError(.interrupted, "the connection is closed") }
        guard let channel = message.first, case .runtime(_, let input) = source else { return }
        let rest = Data(message.dropFirst())
        switch channel {
        case Channel.input: await input?.write(rest)
        case Channel.close where version == .v5 && rest.first == Channel.input: input?.end()
        default: break
        }
    }

    func receive() async throws -> Data? {
        let time = simulator.time
        let patience = time.now() + silence
        while !isClosed {
            try Task.checkCancellation()
            if try await isCutShort(patience) { break }
            if !waiting.isEmpty {
                pieces += 1
                return waiting.removeFirst()
            }
            if isOver { break }
            let bell = bell
            let rings = bell.rings
            if let event = await nextEvent() {
                take(event)
                continue
            }
            if time.now() >= patience {
                await close()
                throw ClusterStream.silent(silence)
            }
            try await bell.wait(past: rings, until: patience, time)
        }
        await close()
        return nil
    }

    /// The command goes on: it only has no input any more, and nobody reads what it writes.
    func close() async {
        if isClosed { return }
        isClosed = true
        switch source {
        case .nothing: break
        case .model(let number): await simulator.forgetExec(number)
        case .runtime(let queue, let input):
            input?.end()
            queue.abandon()
        }
    }

    private var bell: Bell { if case .runtime(let queue, _) = source { queue.bell } else { simulator.bell } }

    private func nextEvent() async -> ExecEvent? {
        switch source {
        case .nothing: return nil
        case .runtime(let queue, _): return queue.take()
        case .model(let number):
            guard let event = await simulator.event(position, ofExec: number) else { return nil }
            position += 1
            return event
        }
    }

    private func take(_ event: ExecEvent) {
        switch event {
        case .output(let data): if query.hasOutput { waiting.append(Data([Channel.output]) + data) }
        case .errors(let data): if query.hasErrors { waiting.append(Data([Channel.errors]) + data) }
        case .ended(let code): fail(ExecStatus.ended(code, query.command, version))
        case .failed(let words): fail(ExecStatus.notStarted(words, version))
        }
    }

    /// Whether a fault ends the connection here.
    private func isCutShort(_ patience: Duration) async throws -> Bool {
        switch fault {
        case .endStream(let count)? where pieces >= count: return true
        case .silenceStream(let count)? where pieces >= count:
            try await simulator.time.sleep(patience)
            await close()
            throw ClusterStream.silent(silence)
        case .cutStream(let count)? where pieces >= count:
            await close()
            throw TransportError(.interrupted, "connection reset by peer")
        default: return false
        }
    }
}

/// Hands a command's events on from the threads that read them, which wait while there is no room.
final class ExecQueue: Sendable {
    private struct State {
        var events: [ExecEvent] = []
        var isAbandoned = false
    }

    let bell = Bell()
    private let state = Mutex(State())
    private let room = DispatchSemaphore(value: 0)

    init() { for _ in 0..<16 { room.signal() } }

    func put(_ event: ExecEvent) {
        room.wait()
        state.withLock { state in
            if state.isAbandoned { room.signal() } else { state.events.append(event) }
        }
        bell.ring()
    }

    func take() -> ExecEvent? {
        let event = state.withLock { $0.events.isEmpty ? nil : $0.events.removeFirst() }
        if event != nil { room.signal() }
        return event
    }

    /// Lets what comes go by, and wakes the one who waits for it.
    func abandon() {
        state.withLock { state in
            state.isAbandoned = true
            for _ in state.events { room.signal() }
            state.events = []
        }
        bell.ring()
    }
}
