import FoundationEssentials

/// The lines of a body that arrives in pieces, without their line ends.
struct Lines {
    private let body: any ResponseBody
    private var rest = Data()
    private var ended = false
    /// An object in etcd has at most 1.5 MiB; a log line of more than this is no line.
    private let limit = 8 << 20

    init(_ body: any ResponseBody) { self.body = body }

    /// The next line, or nil at the end; a last line without an end is a line too.
    ///
    /// - Throws: `TransportError`, also where a line is longer than 8 MiB.
    mutating func next() async throws -> Data? {
        var searched = 0
        while true {
            if let end = rest[(rest.startIndex + searched)...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Data(rest[rest.startIndex..<end])
                rest = Data(rest[(end + 1)...])
                return line
            }
            searched = rest.count
            if ended {
                defer { rest = Data() }
                return rest.isEmpty ? nil : rest
            }
            guard searched <= limit else {
                throw TransportError(.interrupted, "the server sent a line of more than 8 MiB")
            }
            if let piece = try await body.next() { rest += piece } else { ended = true }
        }
    }
}
