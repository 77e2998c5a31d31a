import Kubernetes

/// Tells of each request that goes by, for `-v`: what was asked for, the answer's status, and how long it took.
struct TracedTransport: Transport {
    /// What of a query is told. Other parameters may hold secrets: the words of a command, a token to go on with.
    private static let told: Set<Substring> = [
        "container", "dryRun", "fieldSelector", "follow", "labelSelector", "limit", "resourceVersion", "watch",
    ]

    let transport: any Transport
    let time: TimeSource
    let tell: @Sendable (String) -> Void

    func send(_ request: Request) async throws -> Response {
        try await traced(request) {
            let response = try await transport.send(request)
            return (response, "\(response.status)")
        }
    }

    func open(_ request: Request) async throws -> StreamingResponse {
        try await traced(request) {
            let response = try await transport.open(request)
            return (response, "\(response.status)")
        }
    }

    func upgrade(_ request: Request, subprotocols: [String]) async throws -> UpgradeAnswer {
        try await traced(request) {
            let answer = try await transport.upgrade(request, subprotocols: subprotocols)
            return switch answer {
            case .open: (answer, "101")
            case .refused(let response): (answer, "\(response.status)")
            }
        }
    }

    func withoutSecrets(_ text: String) -> String { transport.withoutSecrets(text) }

    private func traced<Answer>(
        _ request: Request,
        _ attempt: () async throws -> (answer: Answer, status: String)
    ) async throws -> Answer {
        let began = time.now()
        func say(_ end: String) {
            let took = (time.now() - began).components
            let milliseconds = took.seconds * 1000 + took.attoseconds / 1_000_000_000_000_000
            tell(
                withoutSecrets(
                    "\(request.method.rawValue) \(Self.shown(request.target)) \(end) after \(milliseconds) ms"
                )
            )
        }
        do {
            let (answer, status) = try await attempt()
            say(status)
            return answer
        } catch {
            say(error is CancellationError ? "given up" : "failed: \(error)")
            throw error
        }
    }

    /// The path, with as much of the query as may be told.
    static func shown(_ target: String) -> String {
        let parts = target.split(separator: "?", maxSplits: 1)
        guard parts.count == 2 else { return target }
        let query = parts[1].split(separator: "&").map { parameter in
            let name = parameter.prefix { $0 != "=" }
            return told.contains(name) ? String(parameter) : "\(name)=…"
        }
        return "\(parts[0])?\(query.joined(separator: "&"))"
    }
}
