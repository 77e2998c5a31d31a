public import FoundationEssentials
public import Kubernetes

/// This computer, as an end of copies: its directories, and its rsync.
public protocol LocalEnd: Sendable {
    /// True where this computer's user can give files away.
    var isRoot: Bool { get }

    /// Returns true where a directory does not exist, or holds nothing but what never travels.
    ///
    /// - Throws: `Refusal` where it is no directory, or cannot be read.
    func isEmpty(_ directory: String) throws -> Bool

    /// Makes a directory below another one, and those between. It follows no symbolic link on the way.
    ///
    /// - Throws: `Refusal` where something else has its name.
    func make(_ directory: String, below tree: String) throws

    /// Removes a directory that `make` has made, with what is in it.
    func remove(_ directory: String, below tree: String) throws

    /// Returns the sockets in a directory, as paths that begin there, each with a slash before it.
    func sockets(in directory: String) throws -> [Data]

    /// The bytes that can be written to a directory's file system; nil where that cannot be told.
    func freeBytes(at directory: String) -> Int64?

    /// Runs rsync to its end.
    ///
    /// - Parameters:
    ///   - arguments: Its arguments, besides those that say by what it reaches the other side.
    ///   - excluded: The paths that do not travel, each beginning at the top of both ends.
    ///   - remote: The other side.
    ///   - onLine: Takes each line of its output.
    /// - Throws: `Refusal` where it could not be started; `CancellationError`.
    func rsync(
        _ arguments: [String],
        excluding excluded: [Data],
        with remote: RemoteRsync,
        onLine: @escaping @Sendable (Substring) -> Void
    ) async throws -> RsyncEnd
}

/// The end of an rsync on this computer, and of the one that it spoke to.
public struct RsyncEnd: Sendable {
    /// The exit code of the one here.
    public var code: Int
    /// The end of what it wrote to standard error.
    public var errors: String
    /// The exit code of the other one, by the server's word.
    public var remoteCode: Int?
    /// The reason why the other one could not be run, or its end not be learnt.
    public var remoteFailure: (any Error)?

    public init(code: Int, errors: String, remoteCode: Int?, remoteFailure: (any Error)?) {
        (self.code, self.errors) = (code, errors)
        (self.remoteCode, self.remoteFailure) = (remoteCode, remoteFailure)
    }

    /// True where both ended well. That a stream has ended says nothing.
    var isWell: Bool { code == 0 && remoteCode == 0 && remoteFailure == nil }
}

/// The rsync in a pod that this computer's rsync speaks to.
public struct RemoteRsync: Sendable {
    private let client: Client
    private let pod: ObjectName

    init(_ client: Client, in pod: ObjectName) { (self.client, self.pod) = (client, pod) }

    /// Starts it.
    ///
    /// - Parameter words: The command as this computer's rsync asks for it.
    /// - Throws: `Refusal` where that is no rsync; `APIError`.
    public func open(_ words: [String]) async throws -> ExecSession {
        try Self.check(words)
        return try await client.exec(
            in: pod,
            container: MoverPod.copyContainer,
            command: words,
            stdin: true,
            silence: Self.silence
        )
    }

    /// The time that it may not read what it is sent: it may be writing, or comparing.
    private static let silence: Duration = .seconds(120)

    /// Lets nothing but rsync's other side run. What it is to do comes as data, not as words (`--protect-args`).
    static func check(_ words: [String]) throws(Refusal) {
        let letters = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-".unicodeScalars)
        guard words.prefix(2) == ["rsync", "--server"], words.count > 2,
            words.dropFirst(2).allSatisfy({ word in
                word.hasPrefix("-") && word.unicodeScalars.allSatisfy(letters.contains)
            }),
            words.dropFirst(2).contains(where: { $0.hasPrefix("-s") })
        else {
            throw Refusal(
                "rsync asks for another command than rsync --server with protected arguments: "
                    + words.joined(separator: " ").shortened(to: 200)
            )
        }
    }
}
