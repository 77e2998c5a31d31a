import FoundationEssentials
import Kubernetes
import Testing

/// What was said over one recorded connection to a command.
struct Conversation {
    var request: Request
    /// Those that were asked for; empty for a request without an upgrade.
    var subprotocols: [String]
    var status: Int
    var answer: JSON?
    var sent: [Data] = []
    /// Whether the client closed the connection before the server.
    var closes = false
    /// Each without the channel's byte; what is long is cut in the recording.
    var received: [(channel: UInt8, text: String, length: Int)] = []

    /// The recordings of such connections.
    static let transcripts = ["exec_websocket"]

    static func recorded(_ name: String) throws -> [Conversation] {
        let text = try Data(contentsOf: URL(filePath: "\(Transcript.directory)/\(name).json"))
        var all: [Conversation] = []
        for entry in try JSON(parsing: text)["exchanges"]?.array ?? [] {
            if let request = entry["request"], request["path"]?.string?.contains("/exec?") == true {
                let subprotocols = request["headers"]?["sec-websocket-protocol"]?.string ?? ""
                all.append(
                    Conversation(
                        request: Request(.get, request["path"]?.string ?? ""),
                        subprotocols: subprotocols.split(separator: ", ").map(String.init),
                        status: Int(entry["response"]?["status"]?.integer ?? 0),
                        answer: entry["response"]?["body"]
                    )
                )
            } else if entry["websocket"] != nil {
                all[all.count - 1].add(entry)
            }
        }
        return all
    }

    private mutating func add(_ entry: JSON) {
        func channel(_ message: JSON) -> UInt8 { UInt8(message["channel"]?.integer ?? 0) }
        if let message = entry["sent"] {
            if message["opcode"]?.integer == 8 { return closes = true }
            sent.append(Data([channel(message)]) + Data((message["data"]?.string ?? "").utf8))
        } else if let message = entry["received"], message["opcode"]?.integer == 2 {
            let length = Int(message["length"]?.integer ?? 1) - 1
            received.append((channel(message), message["data"]?.string ?? "", length))
        }
    }

    /// Plays it against a cluster, and compares what is said.
    func play(on transport: some Transport) async throws {
        let place = Comment(rawValue: request.target)
        guard !subprotocols.isEmpty else {
            return expect(try await transport.send(request), place)
        }
        switch try await transport.upgrade(request, subprotocols: subprotocols) {
        case .refused(let response): expect(response, place)
        case .open(let socket):
            #expect(status == 101, place)
            #expect(socket.subprotocol == subprotocols.first, place)
            for message in sent { try await socket.send(message) }
            var heard: [Data] = []
            while closes ? Self.lengths(heard) != lengths : true, let message = try await socket.receive() {
                heard.append(message)
            }
            await socket.close()
            #expect(try await socket.receive() == nil, place)
            compare(heard, place)
        }
    }

    private func expect(_ response: Response, _ place: Comment) {
        #expect(response.status == status, place)
        #expect(throws: Never.self, place) {
            let body = try JSON(parsing: response.body)
            #expect(body == answer, place)
        }
    }

    private func compare(_ heard: [Data], _ place: Comment) {
        #expect(heard.first == received.first.map { Data([$0.channel]) }, place)
        #expect(Self.lengths(heard) == lengths, place)
        #expect(heard.allSatisfy { $0.count <= 8193 }, place)
        guard let last = received.last, last.channel == 3 else {
            return #expect(heard.last?.first != 3, place)
        }
        let said = heard.last.map { String(decoding: $0.dropFirst(), as: UTF8.self) } ?? ""
        #expect(heard.last?.first == 3, place)
        if let recorded = try? JSON(parsing: Data(last.text.utf8)) {
            #expect((try? JSON(parsing: Data(said.utf8))) == recorded, place)
        } else {
            // Cut in the middle of the message.
            let message = last.text.split(separator: "\"message\":", maxSplits: 1).last.map(Self.withoutNames) ?? ""
            #expect(Self.withoutNames(said[...]).contains(message), place)
        }
    }

    private static func withoutNames(_ text: Substring) -> String {
        String(text).replacing(#/[0-9a-f]{64}/#, with: "(name)")
    }

    /// How much was said on each channel.
    private var lengths: [UInt8: Int] { Dictionary(received.map { ($0.channel, $0.length) }, uniquingKeysWith: +) }

    private static func lengths(_ messages: [Data]) -> [UInt8: Int] {
        Dictionary(messages.map { ($0.first ?? 0, $0.count - 1) }, uniquingKeysWith: +)
    }
}
