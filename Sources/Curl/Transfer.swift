import CLibcurl
import FoundationEssentials
import Glibc

/// One request under way, or one connection: libcurl's easy handle and what its callbacks have told.
///
/// Lives on libcurl's thread as part of `CurlClient`, whose dictionary keeps it alive as long as libcurl may call back.
final class Transfer {
    enum Kind {
        /// One of those that take turns.
        case request
        /// A long-lived stream.
        case stream
        /// A connection without a request, on which both ends say what they like.
        case connection
    }

    struct Head {
        var status: Int
        var headers: [(name: String, value: String)]
    }

    /// Where the write callback stops taking.
    static let unreadLimit = 256 << 10
    /// Where the headers of an answer become an attack; below the limit of libcurl's newer versions.
    private static let headLimit = 256 << 10

    let id: CurlClient.TransferID
    let easy: UnsafeMutableRawPointer
    /// Host and port, for messages.
    let server: String
    /// What a request names as its `Host`, and its path with the query.
    let (authority, target): (String, String)
    let kind: Kind
    let silence: Duration
    let limit: Duration?
    let connectTimeout: Duration

    /// The final head of the answer, once it is here.
    private(set) var head: Head?
    /// How it ended: with nil as it should, or with an error.
    var end: (error: (any Error)?, Void)?
    /// When it was given to libcurl; nil while it waits for its turn.
    var started: ContinuousClock.Instant?

    /// When libcurl began to send, or something came last; nil before there is a connection.
    private var heard: ContinuousClock.Instant?
    var unread = Data()
    private var paused = false
    private var headers: [(name: String, value: String)] = []
    private var headSize = 0
    private var expectsStatusLine = true
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private let words: UnsafeMutablePointer<CChar>
    /// The connection, once it stands; of kind `connection` only.
    var socket: curl_socket_t?
    /// What is still to be sent on the connection.
    var outgoing: [Outgoing] = []
    /// When whoever waits for bytes of the connection gives up.
    var receiveDeadline: ContinuousClock.Instant?
    private var lists: [UnsafeMutablePointer<curl_slist>] = []

    /// Makes a handle ready for libcurl.
    ///
    /// - Throws: `CurlError` of kind `configuration`.
    init(_ request: CurlRequest, id: CurlClient.TransferID, _ kind: Kind) throws {
        guard let url = ParsedURL(request.url), let scheme = url.scheme, let host = url.host, let port = url.port,
            scheme == "https" || scheme == "http", url.user == nil
        else {
            // Without the URL, which may hold a password.
            throw CurlError(.configuration, "the server's address is not a usable https:// or http:// URL")
        }
        guard let easy = curl_easy_init() else { throw CurlError(.configuration, "libcurl cannot be used: no memory") }
        self.id = id
        self.easy = easy
        self.server = "\(host):\(port)"
        (authority, target) = (url.authority ?? server, url.target ?? "/")
        self.kind = kind
        self.silence = request.silence
        self.limit = request.limit
        self.connectTimeout = request.connection.connectTimeout
        // Only now: what comes before may throw, and an object that is not whole has no end that frees it.
        words = .allocate(capacity: Int(CURL_ERROR_SIZE))
        words.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        try configure(request, url)
        try setCallbacks()
    }

    deinit {
        curl_easy_cleanup(easy)
        for list in lists { curl_slist_free_all(list) }
        words.deallocate()
    }

    // MARK: What the client does with it

    /// When patience ends; nil while it is not the server that we wait for.
    var deadline: ContinuousClock.Instant? {
        if socket != nil { return nil }
        guard let started, end == nil, !paused else { return nil }
        // libcurl keeps the connect timeout itself and has better words for it. It does not count while a request waits
        // for another one's HTTP/2 connection (CURLOPT_PIPEWAIT); this second more is for those.
        let patient = heard.map { $0 + silence } ?? started + connectTimeout + .seconds(1)
        return lastMoment(started).map { min($0, patient) } ?? patient
    }

    /// When it has taken as long as it may; nil where nothing says so.
    private func lastMoment(_ started: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        // A stream takes as long as it takes, once it has begun.
        kind == .stream && head != nil ? nil : limit.map { started + $0 }
    }

    /// The error for a deadline that has passed.
    var lateness: CurlError {
        if let started, let limit, let last = lastMoment(started), last <= .now {
            return CurlError(heard == nil ? .notSent : .silent, "\(server) did not answer within \(limit.text)")
        }
        guard heard != nil else {
            return CurlError(.notSent, "cannot connect to \(server): no connection within \(connectTimeout.text)")
        }
        return CurlError(.silent, "\(server) sent nothing\(head == nil ? "" : " more") for \(silence.text)")
    }

    /// The error for a code with which libcurl ended the transfer.
    func error(_ code: CURLcode) -> CurlError {
        if headSize > Self.headLimit {
            return CurlError(.tooLarge, "the headers of \(server)'s answer are larger than \(Self.headLimit >> 10) KiB")
        }
        var proxyStatus = 0
        _ = curl_getinfo_long(easy, CURLINFO_HTTP_CONNECTCODE, &proxyStatus)
        return CurlError(
            code,
            detail: String(cString: words),
            server: server,
            sent: heard != nil,
            proxyStatus: proxyStatus
        )
    }

    /// Returns when something may have changed.
    func addWaiter(_ waiter: CheckedContinuation<Void, Never>) {
        waiters.append(waiter)
    }

    /// Has all waiters look again.
    func wake() {
        let waiting = waiters
        waiters = []
        for waiter in waiting { waiter.resume() }
    }

    /// What has arrived and was not read yet, nil where there is nothing; lets a paused transfer go on.
    func takeUnread() -> Data? {
        guard !unread.isEmpty else { return nil }
        let piece = unread
        unread = Data()
        if paused, end == nil {
            paused = false
            heard = .now
            // Calls the write callback before it returns. Its errors come up again as the transfer's.
            curl_easy_pause(easy, CURLPAUSE_CONT)
        }
        return piece
    }

    /// Forgets what was not read.
    func dropUnread() {
        unread = Data()
    }

    // MARK: What libcurl calls

    private func setCallbacks() throws {
        let context = Unmanaged.passUnretained(self).toOpaque()
        try check(curl_setopt_pointer(easy, CURLOPT_PRIVATE, context))
        try check(curl_setopt_pointer(easy, CURLOPT_ERRORBUFFER, words))

        try check(curl_setopt_pointer(easy, CURLOPT_PREREQDATA, context))
        try check(
            curl_setopt_prereq(easy) { context, _, _, _, _ in
                Transfer.from(context)?.willSend()
                return CURL_PREREQFUNC_OK
            }
        )
        try check(curl_setopt_pointer(easy, CURLOPT_HEADERDATA, context))
        try check(
            curl_setopt_write(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
                let bytes = UnsafeRawBufferPointer(start: bytes, count: size * count)
                return Transfer.from(context)?.receivedHeaderLine(bytes) ?? 0
            }
        )
        try check(curl_setopt_pointer(easy, CURLOPT_WRITEDATA, context))
        try check(
            curl_setopt_write(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
                let bytes = UnsafeRawBufferPointer(start: bytes, count: size * count)
                return Transfer.from(context)?.received(bytes) ?? 0
            }
        )
        // The peer of a connection may take as long as it likes to read what is sent, which counts as well.
        guard kind != .connection else { return }
        try check(
            curl_setopt_sockopt(easy) { _, socket, _ in
                // A connection whose other end is gone without a word must not be used again: HTTP/2 requests would
                // all queue on it and fall silent until TCP gives up, a quarter of an hour by default (tcp(7)).
                var milliseconds: CInt = 30_000
                let size = socklen_t(MemoryLayout.size(ofValue: milliseconds))
                setsockopt(socket, CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, size)
                return CURL_SOCKOPT_OK
            }
        )
    }

    /// The transfer that a callback or a finished handle belongs to.
    static func from(_ context: UnsafeMutableRawPointer?) -> Transfer? {
        context.map { Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
    }

    /// The connection stands, TLS included; the request is sent next.
    private func willSend() {
        heard = .now
    }

    private func receivedHeaderLine(_ bytes: UnsafeRawBufferPointer) -> Int {
        heard = .now
        // What comes after the head are trailers, in which nobody is interested.
        guard head == nil else { return bytes.count }
        headSize += bytes.count
        guard headSize <= Self.headLimit else { return 0 }
        let line = String(decoding: bytes, as: UTF8.self).trimmed
        if expectsStatusLine {
            expectsStatusLine = false
            headers = []
        } else if line.isEmpty {
            var status = 0
            _ = curl_getinfo_long(easy, CURLINFO_RESPONSE_CODE, &status)
            if (100..<200).contains(status) {
                // An interim answer; the final one follows (RFC 9110, 15.2).
                expectsStatusLine = true
            } else {
                head = Head(status: status, headers: headers)
                wake()
            }
        } else if let colon = line.firstIndex(of: ":") {
            headers.append((String(line[..<colon]).trimmed, String(line[line.index(after: colon)...]).trimmed))
        }
        return bytes.count
    }

    private func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        heard = .now
        guard unread.isEmpty || unread.count + bytes.count <= Self.unreadLimit else {
            // libcurl offers these bytes again when it is told to go on.
            paused = true
            return curl_writefunc_pause
        }
        unread.append(contentsOf: bytes)
        wake()
        return bytes.count
    }

    // MARK: Memory that libcurl does not copy

    /// A list that lives as long as the transfer.
    func list(_ lines: [String]) throws -> UnsafeMutablePointer<curl_slist>? {
        var list: UnsafeMutablePointer<curl_slist>?
        for line in lines {
            guard let longer = curl_slist_append(list, line) else {
                curl_slist_free_all(list)
                throw CurlError(.configuration, "libcurl cannot be used: no memory")
            }
            list = longer
        }
        if let list { lists.append(list) }
        return list
    }
}

extension Duration {
    /// In seconds where they are whole ones.
    fileprivate var text: String {
        milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    }

    /// Whole milliseconds, rounded up.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}

extension String {
    /// Without the white space of HTTP (RFC 9110, 5.6.3) around it.
    fileprivate var trimmed: String {
        let isSpace: (Unicode.Scalar) -> Bool = { [" ", "\t", "\r", "\n"].contains($0) }
        var scalars = unicodeScalars[...]
        while let first = scalars.first, isSpace(first) { scalars.removeFirst() }
        while let last = scalars.last, isSpace(last) { scalars.removeLast() }
        return String(scalars)
    }
}
