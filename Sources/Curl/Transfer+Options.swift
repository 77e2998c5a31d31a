import CLibcurl
import FoundationEssentials

extension Transfer {
    /// Sets all that a request asks for.
    ///
    /// - Throws: `CurlError` of kind `configuration`.
    func configure(_ request: CurlRequest, _ url: borrowing ParsedURL) throws {
        try setDefaults(url, shares: request.mayShare && kind == .request)
        try setTarget(request, url)
        try setBody(request)
        try setTrust(request.connection)
        try setProxy(request.connection, url)
        if kind == .connection {
            try set(CURLOPT_CONNECT_ONLY, 1)
            // Otherwise a proxy would read what is said on a connection to an http:// server.
            try set(CURLOPT_HTTPPROXYTUNNEL, 1)
        }
        try set(CURLOPT_CONNECTTIMEOUT_MS, Int(max(1, connectTimeout.milliseconds)))
    }

    /// Throws libcurl's refusal of an option, which is one that it lacks or cannot make sense of.
    func check(_ code: CURLcode) throws {
        guard code == CURLE_OK else {
            throw CurlError(.configuration, "libcurl \(LIBCURL_VERSION) refuses: \(code.text)")
        }
    }

    private func setDefaults(_ url: borrowing ParsedURL, shares: Bool) throws {
        // Signals would be libcurl's way to interrupt a resolver; see also `CurlThread`.
        try set(CURLOPT_NOSIGNAL, 1)
        // Otherwise giving up a transfer waits until its name is resolved, and every other one with it.
        try set(CURLOPT_QUICK_EXIT, 1)
        try set(CURLOPT_PROTOCOLS_STR, url.scheme)
        // Never with our credentials.
        try set(CURLOPT_FOLLOWLOCATION, 0)
        try set(CURLOPT_PATH_AS_IS, 1)
        try set(CURLOPT_TCP_KEEPALIVE, 1)
        try set(CURLOPT_TCP_KEEPIDLE, 30)
        try set(CURLOPT_TCP_KEEPINTVL, 15)
        try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // Ordinary requests share one HTTP/2 connection where the server offers it. A stream has an HTTP/1.1 connection
        // of its own, so that one that nobody reads fills its own socket buffers and not the window of a connection
        // that others use, nor libcurl's memory.
        try set(CURLOPT_HTTP_VERSION, shares ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1)
        try set(CURLOPT_PIPEWAIT, shares ? 1 : 0)
    }

    private func setTarget(_ request: CurlRequest, _ url: borrowing ParsedURL) throws {
        guard let host = url.host, let port = url.port else { return }
        var headers = request.headers
        if let name = request.connection.serverName {
            // libcurl takes the name to verify from the URL: put the other name there, connect to the real host, and
            // tell the server the real host as kubectl does.
            guard let text = url.text(withHost: name) else {
                throw CurlError(.configuration, "the TLS server name \"\(name)\" is not a host name")
            }
            try set(CURLOPT_URL, text)
            let target = try list(["\(name):\(port):\(host):\(port)"])
            try check(curl_setopt_list(easy, CURLOPT_CONNECT_TO, target))
            if !headers.contains(where: { $0.name.lowercased() == "host" }), let authority = url.authority {
                headers.append(("Host", authority))
            }
        } else {
            try set(CURLOPT_URL, url.text)
        }

        // Without these, libcurl calls a body a form, and asks before it sends a large one.
        var lines = ["Expect:"]
        if !headers.contains(where: { $0.name.lowercased() == "content-type" }) { lines.append("Content-Type:") }
        for (name, value) in headers {
            guard name.isToken, !value.unicodeScalars.contains(where: { $0 == "\r" || $0 == "\n" || $0 == "\0" }) else {
                // Without the value, which may be a token.
                throw CurlError(.configuration, "the header \(name.isToken ? name : "of this name") holds a line break")
            }
            // libcurl's way to send a header without a value.
            lines.append(value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        try check(curl_setopt_list(easy, CURLOPT_HTTPHEADER, try list(lines)))
    }

    private func setBody(_ request: CurlRequest) throws {
        guard request.method.isToken else { throw CurlError(.configuration, "the HTTP method is not a word") }
        if let body = request.body ?? (["POST", "PUT", "PATCH"].contains(request.method) ? Data() : nil) {
            // The size first: the copy is made with it, and without it at the first zero byte.
            try check(curl_setopt_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, Int(body.count)))
            let bytes = body.isEmpty ? [0] : [UInt8](body)
            try check(curl_setopt_pointer(easy, CURLOPT_COPYPOSTFIELDS, bytes))
        } else if request.method == "HEAD" {
            try set(CURLOPT_NOBODY, 1)
        }
        try set(CURLOPT_CUSTOMREQUEST, request.method)
    }

    private func setTrust(_ connection: CurlConnection) throws {
        try set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        if connection.insecureSkipVerify {
            try set(CURLOPT_SSL_VERIFYPEER, 0)
            try set(CURLOPT_SSL_VERIFYHOST, 0)
        }
        if let authority = connection.certificateAuthority {
            try set(CURLOPT_CAINFO_BLOB, authority)
            // Debian builds libcurl with a directory of the system's authorities too, which the blob does not replace.
            try set(CURLOPT_CAPATH, nil as String?)
        }
        if let certificate = connection.clientCertificate {
            try set(CURLOPT_SSLCERT_BLOB, certificate)
            // The blob holds the key as well where none is given.
            try set(CURLOPT_SSLKEY_BLOB, connection.clientKey ?? certificate)
            // Otherwise OpenSSL asks at the terminal for the passphrase of an encrypted key.
            try set(CURLOPT_KEYPASSWD, "")
        }
    }

    private func setProxy(_ connection: CurlConnection, _ url: borrowing ParsedURL) throws {
        guard let text = connection.proxy else {
            // Go's rule (httpproxy.Config.ProxyFunc): the environment's proxy is not for loopback.
            if url.host?.isLoopback == true { try set(CURLOPT_PROXY, "") }
            return
        }
        guard let proxy = ParsedURL(text), let scheme = proxy.scheme, let host = proxy.host else {
            throw CurlError(.configuration, "the proxy's address is not a URL")
        }
        let usualPorts = ["http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"]
        guard let usualPort = usualPorts[scheme] else {
            throw CurlError(.configuration, "a proxy must be http://, https:// or socks5://, not \(scheme)://")
        }
        // Go has a SOCKS proxy resolve names; to libcurl that is another scheme. User and password go separately, so
        // that no message of libcurl's can hold them.
        let address = "\(scheme == "socks5" ? "socks5h" : scheme)://\(host):\(proxy.explicitPort ?? usualPort)"
        try set(CURLOPT_PROXY, address)
        if let user = proxy.user { try set(CURLOPT_PROXYUSERNAME, user) }
        if let password = proxy.password { try set(CURLOPT_PROXYPASSWORD, password) }
        // The environment's NO_PROXY is about the environment's proxy.
        try set(CURLOPT_NOPROXY, "")
    }

    private func set(_ option: CURLoption, _ value: Int) throws {
        try check(curl_setopt_long(easy, option, value))
    }

    private func set(_ option: CURLoption, _ value: String?) throws {
        try check(curl_setopt_string(easy, option, value))
    }

    private func set(_ option: CURLoption, _ value: Data) throws {
        try check(value.withUnsafeBytes { curl_setopt_blob(easy, option, $0.baseAddress, $0.count) })
    }
}

extension String {
    /// Whether this is a `token`, as a method and the name of a header must be (RFC 9110, 5.6.2).
    fileprivate var isToken: Bool {
        !isEmpty
            && utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// Whether this host is the machine itself, whatever the network.
    fileprivate var isLoopback: Bool {
        if lowercased() == "localhost" || self == "[::1]" { return true }
        let numbers = split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return numbers.count == 4 && numbers.first == 127 && !numbers.contains(nil)
    }
}
