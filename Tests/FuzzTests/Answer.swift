import Foundation
import Kubernetes
import Synchronization

/// A server that always gives the same answers.
final class Answer: Transport {
    private let answers = Mutex((response: Response(status: 500), stream: [UInt8]()))

    func set(_ response: Response, stream: [UInt8] = []) { answers.withLock { $0 = (response, stream) } }

    func send(_ request: Request) async throws -> Response { answers.withLock(\.response) }

    func open(_ request: Request) async throws -> StreamingResponse {
        StreamingResponse(status: 200, body: Pieces(of: answers.withLock(\.stream)))
    }
}

/// A body in pieces of one, two, three … bytes.
final class Pieces: ResponseBody {
    private let rest: Mutex<(bytes: ArraySlice<UInt8>, size: Int)>

    init(of bytes: [UInt8]) { rest = Mutex((bytes[...], 1)) }

    func next() async throws -> Data? {
        rest.withLock { rest in
            guard !rest.bytes.isEmpty else { return nil }
            defer { rest = (rest.bytes.dropFirst(rest.size), rest.size + 1) }
            return Data(rest.bytes.prefix(rest.size))
        }
    }

    func close() async {}
}

/// Time that passes only when somebody sleeps.
final class PassingTime: Sendable {
    private let elapsed = Mutex(Duration.zero)

    var now: Duration { elapsed.withLock { $0 } }
    var source: TimeSource {
        TimeSource(now: { self.now }, sleep: { moment in self.elapsed.withLock { $0 = max($0, moment) } })
    }
}
