import FoundationEssentials
import Kubernetes
import Synchronization

/// A server that gives prepared answers, and time that passes only when somebody sleeps.
final class Script: Transport {
    enum Answer: Sendable {
        case response(Int, JSON, headers: [(name: String, value: String)] = [])
        case text(Int, String)
        /// The lines of a watch or log; the connection breaks after them where an error is given.
        case lines([String], then: TransportError? = nil)
        case failure(TransportError)
    }

    private struct State {
        var answers: [Answer]
        var requests: [Request] = []
        var now: Duration = .zero
    }

    private let state: Mutex<State>

    init(answers: [Answer]) { state = Mutex(State(answers: answers)) }

    convenience init(_ answers: Answer...) { self.init(answers: answers) }

    var requests: [Request] { state.withLock { $0.requests } }
    var elapsed: Duration { state.withLock { $0.now } }

    func client(patience: Duration = .seconds(60), onWarning: @escaping @Sendable (String) -> Void = { _ in }) -> Client
    {
        let time = TimeSource(
            now: { [self] in elapsed },
            sleep: { [self] moment in
                try Task.checkCancellation()
                state.withLock { $0.now = max($0.now, moment) }
            }
        )
        return Client(transport: self, time: time, patience: patience, pageSize: 2, onWarning: onWarning)
    }

    private func next(_ request: Request) throws -> Answer {
        try state.withLock { state in
            state.requests.append(request)
            guard !state.answers.isEmpty else { throw TransportError(.configuration, "no answer is left") }
            return state.answers.removeFirst()
        }
    }

    func send(_ request: Request) async throws -> Response {
        switch try next(request) {
        case .response(let status, let body, let headers): Response(status: status, headers: headers, body: body.text)
        case .text(let status, let body): Response(status: status, body: Data(body.utf8))
        case .failure(let error): throw error
        case .lines: throw TransportError(.configuration, "lines where a whole answer was asked for")
        }
    }

    func open(_ request: Request) async throws -> StreamingResponse {
        switch try next(request) {
        case .lines(let lines, let error):
            return StreamingResponse(
                status: 200,
                body: Pieces(lines, error) { [self] in
                    state.withLock { $0.now += request.silence }
                }
            )
        case .response(let status, let body, let headers):
            return StreamingResponse(
                status: status,
                headers: headers,
                body: Pieces([String(decoding: body.text, as: UTF8.self)], nil) {}
            )
        case .text(let status, let body): return StreamingResponse(status: status, body: Pieces([body], nil) {})
        case .failure(let error): throw error
        }
    }

    private final class Pieces: ResponseBody {
        private let rest: Mutex<[String]>
        private let error: TransportError?
        private let onEnd: @Sendable () -> Void

        init(_ lines: [String], _ error: TransportError?, onEnd: @escaping @Sendable () -> Void) {
            rest = Mutex(lines)
            self.error = error
            self.onEnd = onEnd
        }

        func next() async throws -> Data? {
            if let line = rest.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return Data((line + "\n").utf8) }
            onEnd()
            if let error { throw error }
            return nil
        }

        func close() async {}
    }
}

func claim(_ name: String, _ version: String, phase: String = "Pending") -> JSON {
    [
        "kind": "PersistentVolumeClaim",
        "metadata": [
            "name": .string(name), "namespace": "shop", "uid": .string("uid-\(name)"),
            "resourceVersion": .string(version),
        ],
        "spec": [:], "status": ["phase": .string(phase)],
    ]
}

func list(_ items: [JSON], version: String, next: String? = nil) -> JSON {
    var metadata: JSON = ["resourceVersion": .string(version)]
    metadata["continue"] = next.map(JSON.string)
    return ["kind": "PersistentVolumeClaimList", "metadata": metadata, "items": .array(items)]
}

func line(_ type: String, _ object: JSON) -> String {
    String(decoding: (["type": .string(type), "object": object] as JSON).text, as: UTF8.self)
}

func status(_ code: Int, _ reason: String, _ message: String) -> JSON {
    ["kind": "Status", "code": .integer(Int64(code)), "reason": .string(reason), "message": .string(message)]
}
