public import FoundationEssentials

/// A connection on which both ends say what they like: TCP, with TLS where the URL says `https`.
///
/// It is closed when the last reference goes away.
public final class CurlSocket: Sendable {
    /// What the other end has said.
    public enum Received: Sendable, Equatable {
        /// Never empty.
        case bytes(Data)
        /// It says nothing more.
        case end
        /// Nothing came within the time that was given.
        case nothing
    }

    /// What an HTTP request on the connection names as its `Host`.
    public let authority: String
    /// The path of the URL with its query, as an HTTP request on the connection names it.
    public let target: String
    private let client: CurlClient
    private let id: CurlClient.TransferID

    init(client: CurlClient, id: CurlClient.TransferID, authority: String, target: String) {
        self.client = client
        self.id = id
        self.authority = authority
        self.target = target
    }

    deinit {
        Task { [client, id] in await client.close(id) }
    }

    /// Sends bytes after all that were to be sent before, and returns when the system has taken them.
    ///
    /// - Throws: `CurlError` of kind `interrupted`; `CancellationError` where the task was cancelled or the connection was
    ///   closed. Either closes the connection, since nobody knows how many of the bytes were sent.
    public func send(_ bytes: Data) async throws {
        try await client.send(bytes, on: id)
    }

    /// Has bytes sent after all that are to be sent before, and returns at once; they are dropped where too many wait.
    public func post(_ bytes: Data) async {
        await client.post(bytes, on: id)
    }

    /// What has arrived, where need be after a wait; for one caller at a time.
    ///
    /// What nobody receives stays with the sender, but for some 256 KiB.
    ///
    /// - Throws: `CurlError` of kind `interrupted`; `CancellationError` where the task was cancelled, which closes the
    ///   connection, or the connection was closed.
    public func receive(within limit: Duration) async throws -> Received {
        try await client.receive(on: id, within: limit)
    }

    /// Closes the connection; harmless after its end.
    ///
    /// - Parameter last: sent before, if that is possible without waiting.
    public func close(saying last: Data = Data()) async {
        await client.close(id, saying: last)
    }
}
