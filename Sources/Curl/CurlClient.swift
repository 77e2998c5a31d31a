import CLibcurl
import FoundationEssentials

/// An HTTP client over libcurl.
///
/// The actor runs on libcurl's thread, so that everything of libcurl's is plain state of an actor. A request whose task
/// is cancelled is given up: its connection is closed, or its HTTP/2 stream (of which libcurl 7.88 tells the server no
/// sooner than with the next request on that connection).
///
/// When a kept connection turns out to be closed before a byte of the answer came, libcurl itself sends the request
/// again on a new one, whatever its method; the server may have seen it twice then.
public actor CurlClient {
    typealias TransferID = UInt64

    /// How many ordinary requests may be under way at once; the others wait for their turn.
    ///
    /// Keeps a hundred tasks from opening a hundred HTTP/1.1 connections. `CURLMOPT_MAX_HOST_CONNECTIONS` is not the
    /// means: it counts streams too, so that enough of them would keep every ordinary request waiting. Streams are not
    /// limited here; each has a connection of its own.
    private static let ordinaryLimit = 16
    /// How much of the body of an answer that is no success is read: it only says why.
    private static let errorLimit = 1 << 20

    private let thread: CurlThread
    var transfers: [TransferID: Transfer] = [:]
    private var lastID: TransferID = 0
    private var underWay = 0
    private var waiting: [TransferID] = []

    /// libcurl's thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Starts libcurl's thread, which ends with the client.
    ///
    /// - Throws: `CurlError` of kind `configuration` where libcurl or a thread cannot be had.
    public init() throws {
        thread = try CurlThread()
        // Beyond this many connections libcurl closes idle ones. It counts those in use, so a low number would have
        // enough streams cost every ordinary request a new connection.
        curl_multi_setopt_long(thread.multi, CURLMOPT_MAXCONNECTS, 1024)
        try thread.start { [weak self] in
            self?.assumeIsolated { $0.turn() } ?? CurlThread.Wait(milliseconds: 0, sockets: [])
        }
    }

    // Nothing is under way any more: whoever waits for an answer holds the client, and so does a body.
    deinit { thread.stop() }

    /// Sends a request and waits for the whole answer.
    ///
    /// - Parameters:
    ///   - request: The request; its body is sent with a `Content-Length`.
    ///   - maximum: The largest body to accept, in bytes. The body of an error is cut off after 1 MiB.
    /// - Throws: `CurlError`, or `CancellationError` where the task was cancelled; no status is an error.
    public func send(_ request: CurlRequest, maximum: Int = 256 << 20) async throws -> CurlResponse {
        let transfer = try start(request, .request)
        defer { close(transfer.id) }
        let head = try await head(of: transfer)
        let isError = !(200..<300).contains(head.status)
        var body = Data()
        while let piece = try await piece(of: transfer) {
            body.append(piece)
            if isError, body.count > Self.errorLimit {
                body = body.prefix(Self.errorLimit)
                break
            }
            guard body.count <= maximum else {
                let limit = maximum % (1 << 20) == 0 ? "\(maximum >> 20) MiB" : "\(maximum) bytes"
                throw CurlError(.tooLarge, "the answer of \(transfer.server) is larger than \(limit)")
            }
        }
        return CurlResponse(status: head.status, headers: head.headers, body: body)
    }

    /// Sends a request and returns when the head of the answer has arrived; for watches and followed logs.
    ///
    /// - Throws: `CurlError`, or `CancellationError` where the task was cancelled; no status is an error.
    public func open(_ request: CurlRequest) async throws -> CurlStream {
        let transfer = try start(request, .stream)
        do {
            let head = try await head(of: transfer)
            let body = CurlBody(client: self, id: transfer.id)
            return CurlStream(status: head.status, headers: head.headers, body: body)
        } catch {
            close(transfer.id)
            throw error
        }
    }

    // MARK: For bodies

    /// The next piece of a body, or nil at its end.
    ///
    /// - Throws: `CancellationError` where the transfer was closed before its end.
    func piece(_ id: TransferID) async throws -> Data? {
        guard let transfer = transfers[id] else { throw CancellationError() }
        return try await piece(of: transfer)
    }

    /// Ends a transfer, if it has not ended, and forgets it.
    func close(_ id: TransferID) {
        guard let transfer = transfers.removeValue(forKey: id) else { return }
        if transfer.end == nil { transfer.dropUnread() }
        end(transfer, CancellationError())
    }

    // MARK: A transfer's life

    func start(_ request: CurlRequest, _ kind: Transfer.Kind) throws -> Transfer {
        lastID += 1
        let transfer = try Transfer(request, id: lastID, kind)
        transfers[transfer.id] = transfer
        waiting.append(transfer.id)
        startWaiting()
        return transfer
    }

    /// Gives libcurl the transfers whose turn it is.
    private func startWaiting() {
        waiting.removeAll { id in
            guard let transfer = transfers[id] else { return true }
            guard transfer.kind != .request || underWay < Self.ordinaryLimit else { return false }
            let code = curl_multi_add_handle(thread.multi, transfer.easy)
            guard code == CURLM_OK else {
                transfer.end = (CurlError(.notSent, "libcurl cannot begin: \(code.text)"), ())
                transfer.wake()
                return true
            }
            transfer.started = .now
            if transfer.kind == .request { underWay += 1 }
            return true
        }
    }

    func end(_ transfer: Transfer, _ error: (any Error)?) {
        guard transfer.end == nil else { return }
        transfer.end = (error, ())
        if transfer.started == nil {
            waiting.removeAll { $0 == transfer.id }
        } else {
            // Closes the connection, or the HTTP/2 stream, where the answer is not complete.
            curl_multi_remove_handle(thread.multi, transfer.easy)
            if transfer.kind == .request { underWay -= 1 }
        }
        transfer.wake()
        startWaiting()
    }

    private func head(of transfer: Transfer) async throws -> Transfer.Head {
        while true {
            if let head = transfer.head { return head }
            if let end = transfer.end {
                throw end.error ?? CurlError(.interrupted, "\(transfer.server) answered without a head")
            }
            await change(of: transfer)
        }
    }

    private func piece(of transfer: Transfer) async throws -> Data? {
        while true {
            if let piece = transfer.takeUnread() { return piece }
            if let end = transfer.end {
                if let error = end.error { throw error }
                return nil
            }
            await change(of: transfer)
        }
    }

    /// Returns when something may have changed; closes the transfer where the task is cancelled.
    func change(of transfer: Transfer) async {
        let id = transfer.id
        await withTaskCancellationHandler {
            // The isolation must be named: this closure would not have the actor's unless it mentions `self`, so the
            // waiter would be added on another thread, after the change that it waits for.
            await withCheckedContinuation(isolation: self) {
                self.assertIsolated()
                transfer.addWaiter($0)
            }
        } onCancel: {
            Task { await self.close(id) }
        }
    }

    // MARK: libcurl's turn

    /// Has libcurl do what is due, ends what is finished or late, and returns what to wait for until the next turn.
    private func turn() -> CurlThread.Wait {
        var running: Int32 = 0
        let code = curl_multi_perform(thread.multi, &running)
        if code != CURLM_OK {
            for transfer in transfers.values where transfer.started != nil {
                end(transfer, CurlError(.interrupted, "libcurl cannot go on: \(code.text)"))
            }
        }
        var left: Int32 = 0
        while let message = curl_multi_info_read(thread.multi, &left) {
            var context: UnsafeMutableRawPointer?
            let result = message.pointee.data.result
            _ = curl_getinfo_pointer(message.pointee.easy_handle, CURLINFO_PRIVATE, &context)
            // Removing the handle makes the message invalid.
            guard message.pointee.msg == CURLMSG_DONE, let transfer = Transfer.from(context) else { continue }
            if result == CURLE_OK, transfer.kind == .connection {
                transfer.connected()
            } else {
                end(transfer, result == CURLE_OK ? nil : transfer.error(result))
            }
        }
        let sockets = moveBytes()
        // With no deadline at all there is nothing to do before the next job; the minute only bounds the wait.
        let now = ContinuousClock.now
        var next = now + .seconds(60)
        for transfer in transfers.values {
            if let deadline = transfer.receiveDeadline {
                if deadline <= now { transfer.wake() } else { next = min(next, deadline) }
            }
            guard let deadline = transfer.deadline else { continue }
            if deadline <= now {
                end(transfer, transfer.lateness)
            } else {
                next = min(next, deadline)
            }
        }
        return CurlThread.Wait(milliseconds: Int32((next - now).milliseconds), sockets: sockets)
    }
}

extension CURLMcode {
    /// libcurl's words for the code.
    fileprivate var text: String { String(cString: curl_multi_strerror(self)) }
}
