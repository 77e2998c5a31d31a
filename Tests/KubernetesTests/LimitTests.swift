import Foundation
import Kubernetes
import Synchronization
import Testing

/// A server whose streams never end and never have a line's end; each piece is the same 64 KiB.
private final class Endless: Transport {
    private let given = Mutex(0)
    private let list: Result<Response, TransportError>

    init(list: Result<Response, TransportError>) { self.list = list }

    /// How many bytes somebody has taken.
    var taken: Int { given.withLock { $0 } }

    func send(_ request: Request) async throws -> Response { try list.get() }

    func open(_ request: Request) async throws -> StreamingResponse {
        StreamingResponse(status: 200, body: Body(server: self))
    }

    private struct Body: ResponseBody {
        static let piece = Data(repeating: UInt8(ascii: "x"), count: 64 << 10)
        let server: Endless

        func next() async throws -> Data? {
            server.given.withLock { $0 += Self.piece.count }
            return Self.piece
        }

        func close() async {}
    }
}

/// Enough of a log.
private struct Enough: Error {}

@Suite("Answers beyond all measure")
struct LimitTests {
    private static let empty = Response(
        status: 200,
        body: Data(#"{"kind":"PersistentVolumeClaimList","metadata":{"resourceVersion":"9"},"items":[]}"#.utf8)
    )

    @Test("a watch whose line does not end is given up at 8 MiB, and says so")
    func watchLine() async throws {
        let server = Endless(list: .success(Self.empty))
        let error = await #expect(throws: APIError.self) {
            _ = try await Client(transport: server).wait(
                for: PersistentVolumeClaim.self,
                in: "shop",
                limit: .seconds(30),
                what: "data to be Bound"
            ) { $0.objects.isEmpty ? nil : true }
        }
        #expect(
            error?.description
                == "watch persistentvolumeclaims: the server sent a line of more than 8 MiB, which no object has"
        )
        #expect(error?.reason == .tooLarge)
        #expect(server.taken < 9 << 20)
    }

    @Test("a log without line ends is read on in parts, and none of it is kept")
    func logLine() async throws {
        let server = Endless(list: .success(Self.empty))
        var read = 0
        await #expect(throws: Enough.self) {
            try await Client(transport: server).followLog(
                of: ObjectName("mover", in: "shop"),
                container: "copy",
                silence: .seconds(1)
            ) { part in
                read += part.utf8.count
                #expect(part.utf8.count <= 128 << 10)
                #expect(server.taken - read <= 256 << 10)
                if read > 2 << 20 { throw Enough() }
            }
        }
    }

    @Test("a list of large objects is read in smaller pages")
    func largePages() async throws {
        let asked = Mutex<[String]>([])
        struct Server: Transport {
            let answer: @Sendable (Request) throws -> Response
            func send(_ request: Request) async throws -> Response { try answer(request) }
            func open(_ request: Request) async throws -> StreamingResponse {
                throw TransportError(.configuration, "nothing is followed here")
            }
        }
        let server = Server { request in
            asked.withLock { $0.append(request.target) }
            guard request.target.contains("limit=5") && !request.target.contains("limit=50") else {
                throw TransportError(.tooLarge, "the answer of a:443 is larger than 64 MiB")
            }
            return Self.empty
        }
        #expect(try await Client(transport: server).list(PersistentVolumeClaim.self).isEmpty)
        #expect(asked.withLock { $0.map { $0.suffix(4) } } == ["=500", "t=50", "it=5"])
    }

    @Test("an object that is too large by itself is not asked for again and again, and the error says so")
    func largeObject() async throws {
        let server = Endless(list: .failure(TransportError(.tooLarge, "the answer of a:443 is larger than 64 MiB")))
        for _ in 1...2 {
            let error = await #expect(throws: APIError.self) {
                _ = try await Client(transport: server).list(PersistentVolumeClaim.self, in: "shop")
            }
            #expect(
                error?.description
                    == "list persistentvolumeclaims in shop: the answer of a:443 is larger than 64 MiB"
            )
        }
    }

    @Test("an error that fills pages is told in its first words")
    func longError() async throws {
        for body in [
            #"{"kind":"Status","message":"no \#(String(repeating: "x", count: 1 << 20))"}"#,
            "no " + String(repeating: "x", count: 1 << 20),
        ] {
            let server = Endless(list: .success(Response(status: 400, body: Data(body.utf8))))
            let error = await #expect(throws: APIError.self) {
                _ = try await Client(transport: server).list(PersistentVolumeClaim.self)
            }
            #expect(error?.message.contains("no xxx") == true)
            #expect(error?.message.utf8.count ?? 0 < 2100)
        }
    }
}
