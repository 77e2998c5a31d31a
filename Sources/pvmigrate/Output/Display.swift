import Kubernetes
import Migration
import Synchronization

/// Shows what is under way: in a terminal all the time, elsewhere by a line now and then.
final class Display: Sendable {
    /// How often a terminal is drawn anew.
    private static let frame: Duration = .milliseconds(200)
    /// How often something else than a terminal gets a line of the same unit.
    private static let interval: Duration = .seconds(10)

    private let terminal: LiveTerminal?
    private let log: Log
    private let state = Mutex(State())

    private struct State {
        var overview = Overview()
        /// When each unit was last told of: of its step's beginning, at first.
        var told: [String: Duration] = [:]
    }

    init(terminal: LiveTerminal?, log: Log) {
        self.terminal = terminal
        self.log = log
    }

    func planned(_ discovery: Discovery) {
        state.withLock { $0.overview.claims = discovery.units.reduce(0) { $0 + $1.claims.count } }
    }

    func note(_ milestone: Milestone) {
        state.withLock { state in
            state.overview.note(milestone)
            if case .stepBegan = milestone.kind { state.told[milestone.unit] = milestone.elapsed }
        }
    }

    func note(_ claim: ObjectName, _ progress: CopyProgress) {
        let elapsed = log.elapsed
        let line = state.withLock { state -> (unit: String, text: String)? in
            guard let unit = state.overview.note(claim, progress), let copy = unit.copy, terminal == nil,
                elapsed - (state.told[unit.name] ?? .zero) >= Self.interval
            else { return nil }
            state.told[unit.name] = elapsed
            return (unit.name, "\(unit.step): \(copy.inWords)")
        }
        if let line { log.write(Log.line(elapsed, .info, line.unit, line.text)) }
    }

    /// Keeps the terminal up to date while something goes on, and leaves nothing drawn on it afterwards.
    func live<Value>(_ work: () async throws -> Value) async rethrows -> Value {
        defer { terminal?.erase() }
        async let _ = refresh()
        return try await work()
    }

    private func refresh() async {
        guard let terminal else { return }
        do {
            while true {
                let (overview, now) = (state.withLock { $0.overview }, log.elapsed)
                terminal.draw { overview.lines(width: $0.columns, height: $0.rows, now: now) }
                try await log.time.sleep(log.time.now() + Self.frame)
            }
        } catch {
            // It is over.
        }
    }
}
