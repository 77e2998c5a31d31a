import CLibcurl

/// Why there was no answer, or no whole one.
public struct CurlError: Error, Sendable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// Nothing was sent: the name did not resolve, nobody listened, the TLS handshake failed. May work next time.
        case notSent
        /// The connection broke after something was sent: the request may have had its effect.
        case interrupted
        /// Something was sent, then nothing came for as long as the request allows.
        case silent
        /// It will not work next time either: an untrusted certificate, an unusable key, a bad URL or proxy.
        case configuration
        /// The answer is larger than the caller allows.
        case tooLarge
    }

    public let kind: Kind
    /// What happened, as a phrase without a full stop and without secrets.
    public let message: String

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}

extension CurlError {
    /// The error of a transfer that libcurl ended.
    ///
    /// - Parameters:
    ///   - code: What libcurl says.
    ///   - detail: Its words, from `CURLOPT_ERRORBUFFER`; empty where it has none.
    ///   - server: Host and port, for the message.
    ///   - sent: Whether the connection stood and the request was begun.
    ///   - proxyStatus: What an HTTP proxy answered to `CONNECT`; 0 where it was not asked.
    init(_ code: CURLcode, detail: String, server: String, sent: Bool, proxyStatus: Int) {
        let words = detail.isEmpty ? code.text : detail
        switch code {
        case CURLE_PEER_FAILED_VERIFICATION:
            self.init(.configuration, "the certificate of \(server) is not trusted: \(words.withoutSSLPrefix)")
        case CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR:
            self.init(.configuration, "the certificate authority for \(server) cannot be used: \(words)")
        case CURLE_SSL_CERTPROBLEM:
            self.init(.configuration, "the client certificate or key for \(server) cannot be used: \(words)")
        case _ where words.isRefusedCertificate:
            // Under TLS 1.3 the server looks at the client's certificate after the client's first request is on its
            // way, so `sent` says nothing here; the server has not read it.
            self.init(.configuration, "\(server) refuses the client certificate: \(words)")
        case _ where words.hasPrefix("Unsupported proxy"):
            // libcurl's words hold the whole proxy URL, with its password.
            self.init(.configuration, "the proxy in the environment (HTTPS_PROXY, HTTP_PROXY) cannot be used")
        case _ where sent:
            self.init(.interrupted, "the connection to \(server) broke: \(words)")
        case _ where proxyStatus == 407 || proxyStatus == 403:
            self.init(.configuration, "the proxy refuses a connection to \(server): \(words)")
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_NOT_BUILT_IN, CURLE_UNKNOWN_OPTION,
            CURLE_BAD_FUNCTION_ARGUMENT, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED, CURLE_SSL_CIPHER:
            self.init(.configuration, "cannot connect to \(server): \(words)")
        default:
            self.init(.notSent, "cannot connect to \(server): \(words)")
        }
    }
}

extension CURLcode {
    /// libcurl's words for the code.
    var text: String { String(cString: curl_easy_strerror(self)) }
}

extension String {
    /// libcurl's words on certificates without the part that says that they are about certificates.
    fileprivate var withoutSSLPrefix: String {
        for prefix in ["SSL certificate problem: ", "SSL: "] where hasPrefix(prefix) {
            return String(dropFirst(prefix.count))
        }
        return self
    }

    /// Whether these are OpenSSL's words for an alert about the client's certificate (RFC 8446, 6.2).
    fileprivate var isRefusedCertificate: Bool {
        contains("alert") && (contains("certificate") || contains("unknown ca"))
    }
}
