import CLibcurl

/// A URL taken apart by libcurl's own parser, so that both of us understand it alike.
struct ParsedURL: ~Copyable {
    private let handle: OpaquePointer

    /// Parses a URL of any scheme; nil where it is none.
    init?(_ text: String) {
        guard let handle = Self.parse(text) else { return nil }
        self.handle = handle
    }

    deinit { curl_url_cleanup(handle) }

    var text: String? { part(CURLUPART_URL) }
    /// In lower case.
    var scheme: String? { part(CURLUPART_SCHEME)?.lowercased() }
    /// The host; an IPv6 address in brackets.
    var host: String? { part(CURLUPART_HOST) }
    /// The port, where need be the scheme's usual one.
    var port: String? { part(CURLUPART_PORT, CURLU_DEFAULT_PORT) }
    /// The port that the URL names itself.
    var explicitPort: String? { part(CURLUPART_PORT) }
    /// What a request names as its `Host`.
    var authority: String? { host.map { $0 + (explicitPort.map { ":" + $0 } ?? "") } }
    /// The path with its query.
    var target: String? { part(CURLUPART_PATH).map { $0 + (part(CURLUPART_QUERY).map { "?" + $0 } ?? "") } }
    /// The user, percent-decoded.
    var user: String? { part(CURLUPART_USER, CURLU_URLDECODE) }
    /// The password, percent-decoded.
    var password: String? { part(CURLUPART_PASSWORD, CURLU_URLDECODE) }

    /// The same URL with another host; nil where that is no host.
    func text(withHost host: String) -> String? {
        guard let copy = curl_url_dup(handle) else { return nil }
        defer { curl_url_cleanup(copy) }
        guard curl_url_set(copy, CURLUPART_HOST, host, 0) == CURLUE_OK else { return nil }
        return Self.part(of: copy, CURLUPART_URL)
    }

    private static func parse(_ text: String) -> OpaquePointer? {
        guard let handle = curl_url() else { return nil }
        let flags = UInt32(CURLU_NON_SUPPORT_SCHEME) | UInt32(CURLU_PATH_AS_IS)
        guard curl_url_set(handle, CURLUPART_URL, text, flags) == CURLUE_OK else {
            curl_url_cleanup(handle)
            return nil
        }
        return handle
    }

    private func part(_ part: CURLUPart, _ flags: Int32 = 0) -> String? {
        Self.part(of: handle, part, flags)
    }

    private static func part(of handle: OpaquePointer, _ part: CURLUPart, _ flags: Int32 = 0) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &text, UInt32(flags)) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }
}
