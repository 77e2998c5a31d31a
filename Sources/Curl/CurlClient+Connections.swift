import CLibcurl
import FoundationEssentials

extension CurlClient {
    /// Connects to the server of a URL, through the proxy where there is one, and with TLS where the URL says `https`.
    ///
    /// Nothing is sent to the server: neither method, headers nor body of the request.
    ///
    /// - Throws: `CurlError`, or `CancellationError` where the task was cancelled.
    public func connect(_ request: CurlRequest) async throws -> CurlSocket {
        let request = CurlRequest(
            "GET",
            request.url,
            silence: request.silence,
            limit: request.limit,
            connection: request.connection
        )
        let transfer = try start(request, .connection)
        do {
            while transfer.socket == nil {
                if let end = transfer.end {
                    throw end.error ?? CurlError(.notSent, "cannot connect to \(transfer.server)")
                }
                await change(of: transfer)
            }
            return CurlSocket(client: self, id: transfer.id, authority: transfer.authority, target: transfer.target)
        } catch {
            close(transfer.id)
            throw error
        }
    }

    // MARK: For sockets

    func send(_ bytes: Data, on id: TransferID) async throws {
        guard let transfer = transfers[id] else { throw CancellationError() }
        let piece = Outgoing(bytes)
        transfer.outgoing.append(piece)
        while !piece.isSent {
            if let end = transfer.end { throw end.error ?? transfer.ended }
            await change(of: transfer)
        }
    }

    func post(_ bytes: Data, on id: TransferID) {
        guard let transfer = transfers[id], transfer.outgoing.count < Transfer.outgoingLimit else { return }
        transfer.outgoing.append(Outgoing(bytes))
    }

    func receive(on id: TransferID, within limit: Duration) async throws -> CurlSocket.Received {
        guard let transfer = transfers[id] else { throw CancellationError() }
        let deadline = ContinuousClock.now + limit
        defer { transfer.receiveDeadline = nil }
        while true {
            if let piece = transfer.takeUnread() { return .bytes(piece) }
            if let end = transfer.end {
                if let error = end.error { throw error }
                return .end
            }
            guard ContinuousClock.now < deadline else { return .nothing }
            transfer.receiveDeadline = deadline
            await change(of: transfer)
        }
    }

    func close(_ id: TransferID, saying last: Data) {
        if let transfer = transfers[id], transfer.socket != nil, transfer.end == nil, transfer.outgoing.isEmpty {
            transfer.outgoing = [Outgoing(last)]
            // It is closed in any case.
            _ = transfer.sendOutgoing()
        }
        close(id)
    }

    /// Sends and receives on all connections what is possible now, and returns what to wait for on them.
    func moveBytes() -> [curl_waitfd] {
        var sockets: [curl_waitfd] = []
        for transfer in transfers.values where transfer.end == nil {
            guard let socket = transfer.socket else { continue }
            if let end = transfer.moveBytes() {
                self.end(transfer, end.error)
                continue
            }
            // Not for nothing at all: a broken connection would end each wait at once until somebody reads.
            let events = (transfer.hasRoom ? CURL_WAIT_POLLIN : 0) | (transfer.outgoing.isEmpty ? 0 : CURL_WAIT_POLLOUT)
            if events != 0 { sockets.append(curl_waitfd(fd: socket, events: Int16(events), revents: 0)) }
        }
        return sockets
    }
}
