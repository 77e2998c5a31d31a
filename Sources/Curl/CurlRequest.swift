public import FoundationEssentials

/// One HTTP request.
public struct CurlRequest: Sendable, CustomStringConvertible {
    public var method: String
    /// The whole URL, percent-encoded; `https` or `http`.
    public var url: String
    public var headers: [(name: String, value: String)]
    public var body: Data?
    /// How long to wait for the head of the answer once the request is sent, and then between two pieces of its body.
    public var silence: Duration
    /// How long it may take in all, from the moment that libcurl begins it, or a stream until its head is here; nil for as
    /// long as something comes.
    public var limit: Duration?
    public var connection: CurlConnection
    /// Whether other requests may be under way on the same connection, with HTTP/2 where the server offers it.
    public var mayShare = true

    public init(
        _ method: String,
        _ url: String,
        headers: [(name: String, value: String)] = [],
        body: Data? = nil,
        silence: Duration = .seconds(30),
        limit: Duration? = nil,
        connection: CurlConnection = CurlConnection()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.silence = silence
        self.limit = limit
        self.connection = connection
    }

    /// Without headers and connection, which hold secrets.
    public var description: String { "\(method) \(url)" }
}

/// How to reach a server and whom to trust; requests that agree in all of it share connections.
public struct CurlConnection: Sendable, CustomStringConvertible {
    /// The only certificates to trust, in PEM; nil for the system's.
    public var certificateAuthority: Data?
    /// The client's certificate with its chain, in PEM.
    public var clientCertificate: Data?
    /// The client's key, in PEM, without a passphrase.
    public var clientKey: Data?
    /// The name that the server's certificate must bear (and that is sent as SNI) instead of the URL's host.
    public var serverName: String?
    /// Trust whatever certificate the server shows.
    public var insecureSkipVerify: Bool
    /// `http://`, `https://` or `socks5://` with an optional user and password, used for every host.
    ///
    /// With nil, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment hold, except for loopback addresses
    /// (Go's rule, hence kubectl's). With a `serverName` that name is the one which libcurl looks for in `NO_PROXY`.
    public var proxy: String?
    /// How long resolving, connecting and the TLS handshake may take together.
    public var connectTimeout: Duration

    public init(
        certificateAuthority: Data? = nil,
        clientCertificate: Data? = nil,
        clientKey: Data? = nil,
        serverName: String? = nil,
        insecureSkipVerify: Bool = false,
        proxy: String? = nil,
        connectTimeout: Duration = .seconds(10)
    ) {
        self.certificateAuthority = certificateAuthority
        self.clientCertificate = clientCertificate
        self.clientKey = clientKey
        self.serverName = serverName
        self.insecureSkipVerify = insecureSkipVerify
        self.proxy = proxy
        self.connectTimeout = connectTimeout
    }

    /// Without the key and the proxy's password.
    public var description: String {
        "CurlConnection(serverName: \(serverName ?? "-"), insecureSkipVerify: \(insecureSkipVerify))"
    }
}

/// A whole answer.
public struct CurlResponse: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: Data
}

/// An answer whose body is still arriving.
public struct CurlStream: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: CurlBody
}
