public import FoundationEssentials

/// How to reach one cluster, and as whom: a chosen context of a kubeconfig, or a pod's service account.
public struct Configuration: Sendable {
    /// Scheme, host, port and path of the server, without a slash at the end: `https://10.0.0.1:6443`.
    public var server: String
    /// The only certificates to trust, in PEM; nil for the system's.
    public var certificateAuthority: Data?
    /// The name that the server's certificate must bear instead of the host in `server`.
    public var serverName: String?
    /// Trust whatever certificate the server shows.
    public var insecureSkipVerify = false
    /// `http`, `https` or `socks5` URL, which may hold a password; nil for the proxies that the environment names.
    public var proxy: Secret<String>?
    public var authentication = Authentication()
    /// How long a single request may take, from the moment that it is begun, or a stream until its head is here; nil for as
    /// long as something comes.
    public var requestTimeout: Duration?
    /// What to tell the user of the connection, such as of credentials that are not sent.
    public var warnings: [String] = []
    /// The `Impersonate-` headers, where the user acts as somebody else.
    public var impersonation: [(name: String, value: String)] = []
    /// The context's name; nil for a service account.
    public var context: String?
    /// The namespace that the context names.
    public var namespace: String?
    /// The file that the context is from, or the service account's folder; for messages.
    public var origin: String
}

/// How a user of a kubeconfig proves who it is.
public struct Authentication: Sendable {
    /// What goes into the `Authorization` header.
    enum Header: Sendable {
        case none
        case token(Secret<String>)
        /// A token in a file that somebody renews, and the token to use as long as the file cannot be read.
        case tokenFile(path: String, fallback: Secret<String>?)
        case basic(username: String, password: Secret<String>)
        case exec(ExecPlugin)
    }

    var header = Header.none
    var certificate: ClientCertificate?

    /// True where nothing proves who the client is.
    var isEmpty: Bool {
        if case .none = header { certificate == nil } else { false }
    }
}

/// A client's certificate with its key.
public struct ClientCertificate: Sendable, Equatable {
    /// The certificate with its chain, in PEM.
    public var certificate: Data
    /// In PEM.
    public var key: Secret<Data>
}

/// Something that no message, log line or debugger's dump may show.
public struct Secret<Value: Sendable>: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The secret itself; whoever takes it out answers for where it goes.
    public let value: Value

    public init(_ value: Value) {
        self.value = value
    }

    public var description: String { "(secret)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension Secret: Equatable where Value: Equatable {}

/// Something in a kubeconfig, or in a file that it names, that cannot be used.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file, where one is to blame.
    public var file: String?
    /// Counted from 1.
    public var line: Int?
    /// In characters, counted from 1.
    public var column: Int?
    /// What is wrong, as a phrase without a full stop.
    public var message: String

    /// One line: `FILE:LINE:COLUMN: what`.
    public var description: String {
        var place = file ?? ""
        if let line { place += ":\(line)" }
        if let column { place += ":\(column)" }
        return place.isEmpty ? message : "\(place): \(message)"
    }
}
