import FoundationEssentials
import Kubernetes

/// A server that shows some objects otherwise than they are: as one of another version might, or one that lets more
/// through.
final class Garbling: Transport {
    typealias Change = @Sendable (_ plural: String, _ object: inout JSON) -> Void

    private let server: any Transport
    private let change: Change

    init(_ server: any Transport, _ change: @escaping Change) { (self.server, self.change) = (server, change) }

    func send(_ request: Request) async throws -> Response {
        var response = try await server.send(request)
        response.body = garbled(response.body, request)
        return response
    }

    func open(_ request: Request) async throws -> StreamingResponse {
        var response = try await server.open(request)
        response.body = Lines(response.body) { [self] in garbled($0, request) }
        return response
    }

    private func garbled(_ text: Data, _ request: Request) -> Data {
        guard var answer = JSON(parsingLeniently: String(decoding: text, as: UTF8.self)) else { return text }
        let path = request.target.prefix { $0 != "?" }.split(separator: "/").map(String.init)
        let plural =
            ["persistentvolumeclaims", "persistentvolumes", "pods", "deployments", "statefulsets", "jobs"]
            .first { path.contains($0) } ?? ""
        if let items = answer["items"]?.array {
            answer["items"] = .array(
                items.map { item in
                    var item = item
                    change(plural, &item)
                    return item
                }
            )
        } else if var object = answer["object"] {
            change(plural, &object)
            answer["object"] = object
        } else {
            change(plural, &answer)
        }
        var text = answer.text
        text.append(UInt8(ascii: "\n"))
        return text
    }

    /// A stream whose pieces are lines.
    private final class Lines: ResponseBody {
        private let body: any ResponseBody
        private let garble: @Sendable (Data) -> Data

        init(_ body: any ResponseBody, _ garble: @escaping @Sendable (Data) -> Data) {
            (self.body, self.garble) = (body, garble)
        }

        func next() async throws -> Data? { try await body.next().map(garble) }

        func close() async { await body.close() }
    }
}
