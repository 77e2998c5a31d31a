public import FoundationEssentials

/// The body of an answer, pulled piece by piece so that a slow reader slows the sender.
///
/// The transfer is closed when the last reference goes away.
public final class CurlBody: Sendable {
    private let client: CurlClient
    private let id: CurlClient.TransferID

    init(client: CurlClient, id: CurlClient.TransferID) {
        self.client = client
        self.id = id
    }

    deinit {
        Task { [client, id] in await client.close(id) }
    }

    /// The next piece, never empty, or nil at the end.
    ///
    /// - Throws: `CurlError` of kind `interrupted` or `silent`; `CancellationError` where the task was cancelled, which
    ///   closes the transfer, or the body was closed before its end.
    public func next() async throws -> Data? {
        try await client.piece(id)
    }

    /// Gives the transfer up; it is closed when this returns.
    ///
    /// Harmless after the end.
    public func close() async {
        await client.close(id)
    }
}
