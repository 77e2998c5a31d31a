import CLibcurl
import FoundationEssentials

/// Bytes that are to be sent, at the same place until they are: OpenSSL wants those that it could not send once more from
/// where they were (SSL_write(3)).
final class Outgoing {
    private let bytes: UnsafeMutableRawBufferPointer
    private var sent = 0

    init(_ data: Data) {
        bytes = .allocate(byteCount: data.count, alignment: 1)
        data.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }

    deinit { bytes.deallocate() }

    var isSent: Bool { sent == bytes.count }

    /// Sends what is possible without waiting.
    func send(on easy: UnsafeMutableRawPointer) -> CURLcode {
        while !isSent {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
            var count = 0
            let code = curl_easy_send(easy, rest.baseAddress, rest.count, &count)
            guard code == CURLE_OK else { return code }
            sent += count
        }
        return CURLE_OK
    }
}

// What a transfer of kind `connection` does once it stands.
extension Transfer {
    /// How many pieces may wait to be sent before some are dropped.
    static let outgoingLimit = 16
    private static let receiveSize = 64 << 10

    /// Whether more may be received.
    var hasRoom: Bool { unread.count < Self.unreadLimit }

    /// The error of somebody who wants to send when the other end says nothing more.
    var ended: CurlError { CurlError(.interrupted, "\(server) closed the connection") }

    /// libcurl has made the connection and leaves it to us.
    func connected() {
        var socket = CURL_SOCKET_BAD
        guard curl_getinfo_socket(easy, CURLINFO_ACTIVESOCKET, &socket) == CURLE_OK, socket != CURL_SOCKET_BAD else {
            end = (CurlError(.notSent, "\(server) closed the connection at once"), ())
            return wake()
        }
        self.socket = socket
        wake()
    }

    /// Sends and receives what is possible now; returns how the connection ended, if it did.
    func moveBytes() -> (error: CurlError?, Void)? {
        let code = sendOutgoing()
        if code != CURLE_OK, code != CURLE_AGAIN { return (error(code), ()) }
        while hasRoom {
            let (code, count) = receive()
            switch code {
            case CURLE_OK where count == 0: return (nil, ())
            case CURLE_OK: wake()
            case CURLE_AGAIN: return nil
            default: return (error(code), ())
            }
        }
        return nil
    }

    func sendOutgoing() -> CURLcode {
        while let first = outgoing.first {
            let code = first.send(on: easy)
            guard code == CURLE_OK else { return code }
            outgoing.removeFirst()
            wake()
        }
        return CURLE_OK
    }

    private func receive() -> (CURLcode, count: Int) {
        let before = unread.count
        unread.count += Self.receiveSize
        var count = 0
        let code = unread.withUnsafeMutableBytes { bytes in
            curl_easy_recv(easy, bytes.baseAddress.map { $0 + before }, Self.receiveSize, &count)
        }
        unread.count = before + (code == CURLE_OK ? count : 0)
        return (code, code == CURLE_OK ? count : 0)
    }
}
