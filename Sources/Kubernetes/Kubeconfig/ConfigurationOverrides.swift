import FoundationEssentials
import YAML

/// What flags say in place of a kubeconfig or a service account.
///
/// The rules are those of client-go's `clientcmd.ConfigOverrides`, hence kubectl's, but for a token: kubectl goes on
/// sending the kubeconfig's client certificate beside it, and a server that takes both believes the certificate.
public struct ConfigurationOverrides: Sendable {
    /// The name of a kubeconfig's cluster, instead of the context's.
    public var cluster: String?
    /// The name of a kubeconfig's user, instead of the context's.
    public var user: String?
    /// Instead of the cluster's server, and of the name that its certificate has to bear.
    public var server: String?
    /// Trust whatever certificate the server shows, also where the cluster has a certificate authority.
    public var insecureSkipVerify = false
    /// A file with a token, instead of all with which the user proves who it is.
    public var tokenFile: String?
    /// Who to act as, instead of the user's `as`.
    public var impersonatedUser: String?
    /// Instead of the user's `as-groups`, where there are any.
    public var impersonatedGroups: [String] = []
    /// How long a single request may take; nil for as long as something comes.
    public var requestTimeout: Duration?

    public init() {}

    /// Whether something is named that only a kubeconfig has.
    var nameSomething: Bool { cluster != nil || user != nil }

    /// The cluster's part, which comes before what depends on it.
    func applyToCluster(_ configuration: inout Configuration) {
        configuration.requestTimeout = requestTimeout
        if insecureSkipVerify {
            configuration.insecureSkipVerify = true
            configuration.certificateAuthority = nil
            configuration.warnings.append(
                "--insecure-skip-tls-verify: whoever answers is taken for the API server, and gets the credentials"
            )
        }
        if server != nil { configuration.serverName = nil }
    }

    /// The user's part.
    func applyToUser(_ configuration: inout Configuration) throws(ConfigurationError) {
        if let tokenFile {
            configuration.authentication = Authentication(header: .tokenFile(path: tokenFile, fallback: nil))
        }
        guard impersonatedUser != nil || !impersonatedGroups.isEmpty else { return }
        var headers = configuration.impersonation
        if let impersonatedUser {
            headers.removeAll { $0.name == "Impersonate-User" }
            headers.insert(("Impersonate-User", impersonatedUser), at: 0)
        }
        if !impersonatedGroups.isEmpty {
            headers.removeAll { $0.name == "Impersonate-Group" }
            headers += impersonatedGroups.map { ("Impersonate-Group", $0) }
        }
        for (flag, values) in [("--as", [impersonatedUser].compactMap(\.self)), ("--as-group", impersonatedGroups)] {
            guard values.allSatisfy(\.isHeaderValue) else {
                throw ConfigurationError(message: "\(flag) has control characters")
            }
        }
        guard headers.contains(where: { $0.name == "Impersonate-User" }) else {
            throw ConfigurationError(message: "--as-group needs --as: groups are given to a user who is acted as")
        }
        configuration.impersonation = headers
    }

    /// The server that is meant.
    ///
    /// - Parameter usesTLS: whether anything else only makes sense with TLS.
    func server(usesTLS: Bool) throws(ConfigurationError) -> String? {
        guard let server else { return nil }
        do throws(UnusableServer) {
            return try server.serverURL(usesTLS: usesTLS)
        } catch {
            throw ConfigurationError(message: "--server \(error.message)")
        }
    }
}

/// Why a text is no address of an API server, as a phrase that follows its name.
struct UnusableServer: Error {
    var message: String
}

extension String {
    /// The address of a server, without a slash at the end.
    ///
    /// - Parameter usesTLS: whether anything else only makes sense with TLS.
    func serverURL(usesTLS: Bool) throws(UnusableServer) -> String {
        // client-go's rule (rest.DefaultServerURL) for a host without a scheme.
        var text = contains("://") ? self : (usesTLS ? "https://" : "http://") + self
        guard let url = URLComponents(string: text), let host = url.host, !host.isEmpty, url.port.isUsable else {
            throw UnusableServer(message: "is not a valid URL")
        }
        guard url.scheme == "https" || url.scheme == "http" else {
            throw UnusableServer(message: "must begin with https:// or http://")
        }
        guard url.user == nil, url.password == nil, url.query == nil, url.fragment == nil else {
            throw UnusableServer(message: "may have scheme, host, port and path only")
        }
        while text.hasSuffix("/") { text.removeLast() }
        return text
    }
}

extension Int? {
    /// Whether a URL may have this port.
    var isUsable: Bool { self.map { 1...65535 ~= $0 } ?? true }
}
