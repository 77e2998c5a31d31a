import FoundationEssentials

/// The lines of a body that arrives in pieces, without their line ends.
struct Lines {
    private let body: any ResponseBody
    private let longest: Int
    private let cutsLonger: Bool
    private var rest = Data()
    private var ended = false

    /// - Parameters:
    ///   - longest: how many bytes a line may have; an object in etcd has at most 1.5 MiB.
    ///   - cutting: gives a longer line out in parts. Otherwise it is an error.
    init(_ body: any ResponseBody, longest: Int = 8 << 20, cutting: Bool = false) {
        self.body = body
        self.longest = longest
        cutsLonger = cutting
    }

    /// The next line, or nil at the end; a last line without an end is a line too.
    ///
    /// - Throws: `TransportError`, of kind `tooLarge` where a line is longer than allowed.
    mutating func next() async throws -> Data? {
        var searched = 0
        while true {
            // In the bytes themselves, which is far faster than in the data.
            let end = rest.withUnsafeBytes { $0[searched...].firstIndex(of: UInt8(ascii: "\n")) }
            if let end {
                defer { rest = rest.dropFirst(end + 1) }
                return Data(rest.prefix(end))
            }
            searched = rest.count
            if searched > longest {
                guard cutsLonger else {
                    throw TransportError(
                        .tooLarge,
                        "the server sent a line of more than \(longest >> 20) MiB, which no object has"
                    )
                }
                defer { rest = rest.dropFirst(longest) }
                return Data(rest.prefix(longest))
            }
            if ended {
                defer { rest = Data() }
                return rest.isEmpty ? nil : Data(rest)
            }
            // Once for all lines of a piece: only this lets go of the memory of those that were given out.
            if rest.startIndex > 0 { rest = Data(rest) }
            if let piece = try await body.next() { rest += piece } else { ended = true }
        }
    }
}
