import FoundationEssentials
import YAML

extension Configuration {
    /// Finds out which cluster is meant, in the Go tool's order: `kubeconfig`, the files of `$KUBECONFIG`, the service
    /// account of the pod that this runs in, `~/.kube/config`.
    ///
    /// A service account is passed over where a context, a cluster or a user is asked for: it has none, and whoever names
    /// one means a file.
    /// Certificates are read here, tokens in files and plugins only when a request needs them.
    ///
    /// - Parameters:
    ///   - kubeconfig: The value of `--kubeconfig`; nil or empty where it was not given.
    ///   - context: The value of `--context`; nil or empty for the file's current one.
    ///   - overrides: What other flags say in place of what is found.
    ///   - environment: The environment of this process; plugins run in it.
    ///   - home: The home directory, where there is one.
    ///   - serviceAccount: The folder in which a pod has its token.
    public static func load(
        kubeconfig: String?,
        context: String?,
        overrides: ConfigurationOverrides = ConfigurationOverrides(),
        environment: [String: String],
        home: String?,
        serviceAccount: String = "/var/run/secrets/kubernetes.io/serviceaccount"
    ) throws(ConfigurationError) -> Configuration {
        let context = context.flatMap { $0.isEmpty ? nil : $0 }
        let isNamed = kubeconfig?.isEmpty == false || environment["KUBECONFIG"]?.isEmpty == false
        if !isNamed, context == nil, !overrides.nameSomething,
            let configuration = try inCluster(overrides, environment: environment, folder: serviceAccount)
        {
            return configuration
        }
        let files: Kubeconfig
        if !isNamed, overrides.server != nil, context == nil, !overrides.nameSomething,
            !Kubeconfig.standard(home: home).exists
        {
            // Whoever names a server needs no kubeconfig, as with kubectl.
            files = Kubeconfig()
        } else {
            files = try Kubeconfig(kubeconfig: kubeconfig, environment: environment, home: home)
        }
        return try files.configuration(context: context, overrides, environment: environment)
    }

    /// What a kubeconfig has several of.
    public enum Entry: Sendable {
        case context
        case cluster
        case user
    }

    /// The names of the contexts, clusters or users that `load` would know; the parameters are the same.
    public static func names(
        of entry: Entry,
        kubeconfig: String?,
        environment: [String: String],
        home: String?
    ) throws(ConfigurationError) -> [String] {
        let files = try Kubeconfig(kubeconfig: kubeconfig, environment: environment, home: home)
        let entries =
            switch entry {
            case .context: files.contexts
            case .cluster: files.clusters
            case .user: files.users
            }
        return entries.byName.keys.sorted()
    }

    /// The service account of the pod that this runs in; nil outside of pods.
    private static func inCluster(
        _ overrides: ConfigurationOverrides,
        environment: [String: String],
        folder: String
    ) throws(ConfigurationError) -> Configuration? {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty,
            let port = environment["KUBERNETES_SERVICE_PORT"], !port.isEmpty
        else { return nil }
        let token = LocalFile(path: folder + "/token")
        let authority = LocalFile(path: folder + "/ca.crt")
        let namespace = LocalFile(path: folder + "/namespace")
        guard token.exists else { return nil }
        var configuration = Configuration(server: "https://\(host.urlHost):\(port)", origin: folder)
        configuration.authentication.header = .tokenFile(path: token.path, fallback: nil)
        do throws(LocalFile.Failure) {
            configuration.certificateAuthority = try authority.read()
        } catch {
            throw ConfigurationError(file: authority.path, message: error.message)
        }
        do throws(LocalFile.Failure) {
            configuration.namespace = String(decoding: try namespace.read(), as: UTF8.self).trimmed
        } catch  where error.isMissing {
            configuration.namespace = nil
        } catch {
            throw ConfigurationError(file: namespace.path, message: error.message)
        }
        overrides.applyToCluster(&configuration)
        if let server = try overrides.server(usesTLS: true) { configuration.server = server }
        try overrides.applyToUser(&configuration)
        configuration.dropCredentialsOverHTTP(of: "the service account", cluster: "the server of --server")
        return configuration
    }
}

extension Kubeconfig {
    /// Reads the files that are meant: `kubeconfig`, those of `$KUBECONFIG`, or `~/.kube/config`.
    fileprivate init(
        kubeconfig: String?,
        environment: [String: String],
        home: String?
    ) throws(ConfigurationError) {
        if let kubeconfig, !kubeconfig.isEmpty {
            try self.init(paths: [kubeconfig], skipMissing: false)
        } else if let list = environment["KUBECONFIG"], !list.isEmpty {
            var paths: [String] = []
            for path in list.split(separator: ":").map(String.init) where !paths.contains(path) { paths.append(path) }
            try self.init(paths: paths, skipMissing: true)
        } else {
            let file = Self.standard(home: home)
            guard file.exists else {
                throw ConfigurationError(
                    message: "no kubeconfig: \(file.path) does not exist; name one with --kubeconfig or KUBECONFIG"
                )
            }
            try self.init(paths: [file.path], skipMissing: false)
        }
    }

    /// The kubeconfig of somebody who names none.
    fileprivate static func standard(home: String?) -> LocalFile {
        LocalFile(path: (home.map { $0 + "/" } ?? "") + ".kube/config")
    }

    /// What a context says.
    ///
    /// - Parameters:
    ///   - name: The context's name; nil for the current one.
    ///   - overrides: What holds in its place.
    ///   - environment: The environment in which plugins run.
    func configuration(
        context name: String?,
        _ overrides: ConfigurationOverrides = ConfigurationOverrides(),
        environment: [String: String]
    ) throws(ConfigurationError) -> Configuration {
        let (chosen, node) = try context(named: name, overrides)
        let cluster = try entry(
            overrides.cluster,
            "cluster",
            in: clusters,
            of: node,
            context: chosen,
            canLack: overrides.server != nil
        )
        let user = try entry(overrides.user, "user", in: users, of: node, context: chosen, canLack: chosen == nil)

        var configuration = Configuration(server: "", origin: node.file.path)
        configuration.context = chosen
        configuration.namespace = try node.string("namespace")
        configuration.certificateAuthority = try cluster.node.pem("certificate-authority")
        configuration.serverName = try cluster.node.string("tls-server-name")
        configuration.insecureSkipVerify = try cluster.node.bool("insecure-skip-tls-verify")
        if configuration.insecureSkipVerify, configuration.certificateAuthority != nil {
            throw cluster.node.error("certificate-authority and insecure-skip-tls-verify exclude each other")
        }
        overrides.applyToCluster(&configuration)
        configuration.authentication.certificate = try user.node.clientCertificate()
        if let server = try overrides.server(usesTLS: configuration.hasTLSOptions) {
            configuration.server = server
        } else {
            configuration.server = try cluster.node.server(name: cluster.name, usesTLS: configuration.hasTLSOptions)
        }
        configuration.proxy = try cluster.node.proxy()
        configuration.impersonation = try user.node.impersonation()
        configuration.authentication.header = try user.node.header(
            user: user.name,
            cluster: cluster.node,
            configuration: configuration,
            environment: environment
        )
        try overrides.applyToUser(&configuration)
        configuration.dropCredentialsOverHTTP(
            of: "the user \"\(user.name)\"",
            cluster: "the cluster \"\(cluster.name)\""
        )
        return configuration
    }

    /// The context that is meant; an empty one without a name where there is none and what it would say is given.
    private func context(
        named name: String?,
        _ overrides: ConfigurationOverrides
    ) throws(ConfigurationError) -> (name: String?, node: KubeconfigNode) {
        if let name {
            guard let node = contexts.byName[name] else {
                throw ConfigurationError(
                    file: paths.joined(separator: ":"),
                    message: "there is no context \"\(name)\"; there are: \(contexts.list)"
                )
            }
            return (name, node)
        }
        guard let currentContext else {
            if overrides.cluster != nil || overrides.server != nil { return (nil, .empty(in: paths)) }
            throw ConfigurationError(
                file: paths.joined(separator: ":"),
                message: "no current-context is set; choose one with --context: \(contexts.list)"
            )
        }
        let current = try currentContext.text("current-context")
        guard let node = contexts.byName[current] else {
            throw currentContext.error("there is no context \"\(current)\"; there are: \(contexts.list)")
        }
        return (current, node)
    }

    /// The cluster or user that a flag or the context names.
    ///
    /// - Parameter canLack: whether there may be none; then it is an empty one.
    private func entry(
        _ given: String?,
        _ key: String,
        in entries: Entries,
        of context: KubeconfigNode,
        context contextName: String?,
        canLack: Bool
    ) throws(ConfigurationError) -> (name: String, node: KubeconfigNode) {
        if let given {
            guard let node = entries.byName[given] else {
                throw ConfigurationError(
                    file: paths.joined(separator: ":"),
                    message: "there is no \(key) \"\(given)\"; there are: \(entries.list)"
                )
            }
            return (given, node)
        }
        guard let name = try context.string(key), let reference = try context.child(key) else {
            if canLack { return ("", .empty(in: paths)) }
            throw context.error("the context \"\(contextName ?? "")\" names no \(key)")
        }
        guard let node = entries.byName[name] else {
            throw reference.error("there is no \(key) \"\(name)\"; there are: \(entries.list)")
        }
        return (name, node)
    }
}

extension Configuration {
    /// Whether anything here only makes sense with TLS.
    fileprivate var hasTLSOptions: Bool {
        certificateAuthority != nil || insecureSkipVerify || authentication.certificate != nil
    }

    /// Forgets the credentials where anybody on the way could read them.
    ///
    /// client-go reads a user's credentials only for TLS, so that a context for `kubectl proxy`, which has credentials of
    /// its own, may name a user that has some.
    ///
    /// - Parameters:
    ///   - who: whose they are, in words.
    ///   - cluster: what is reached, in words.
    fileprivate mutating func dropCredentialsOverHTTP(of who: String, cluster: String) {
        guard !server.hasPrefix("https://"), !authentication.isEmpty else { return }
        authentication = Authentication()
        warnings.append(
            "\(cluster) is reached without TLS (\(server)), so the credentials of \(who) are not sent, as anybody on the way "
                + "could read them; where the server wants them, give the cluster an https:// server"
        )
    }
}

extension KubeconfigNode {
    /// The cluster's server, without a slash at the end.
    fileprivate func server(name: String, usesTLS: Bool) throws(ConfigurationError) -> String {
        guard let text = try string("server"), let node = try child("server") else {
            throw error("the cluster \"\(name)\" has no server")
        }
        do throws(UnusableServer) {
            return try text.serverURL(usesTLS: usesTLS)
        } catch {
            throw node.error("server \(error.message)")
        }
    }

    fileprivate func proxy() throws(ConfigurationError) -> Secret<String>? {
        guard let text = try string("proxy-url"), let node = try child("proxy-url") else { return nil }
        guard let url = URLComponents(string: text), let host = url.host, !host.isEmpty, url.port.isUsable,
            ["http", "https", "socks5"].contains(url.scheme)
        else {
            throw node.error("proxy-url is not a valid http://, https:// or socks5:// URL")
        }
        return Secret(text)
    }

    fileprivate func clientCertificate() throws(ConfigurationError) -> ClientCertificate? {
        let certificate = try pem("client-certificate")
        let key = try pem("client-key")
        guard let certificate else {
            if key != nil { throw error("there is a client-key but no client-certificate") }
            return nil
        }
        guard let key else { throw error("there is a client-certificate but no client-key") }
        return ClientCertificate(certificate: certificate, key: Secret(key))
    }

    /// What goes into the `Authorization` header: as in client-go, a token or a password wins over a plugin.
    fileprivate func header(
        user: String,
        cluster: KubeconfigNode,
        configuration: Configuration,
        environment: [String: String]
    ) throws(ConfigurationError) -> Authentication.Header {
        if let provider = try child("auth-provider") {
            let name = try provider.string("name").map { " \"\($0)\"" } ?? ""
            throw provider.error(
                "the auth-provider\(name) was removed in kubectl 1.26; use an exec plugin"
                    + " (gke-gcloud-auth-plugin, kubelogin, ...)"
            )
        }
        let token = try headerValue("token").map { Secret($0) }
        let username = try string("username") ?? ""
        let password = try string("password") ?? ""
        let hasPassword = !username.isEmpty || !password.isEmpty
        if token != nil, hasPassword {
            throw error("the user \"\(user)\" has both a token and a password; only one is allowed")
        }
        if let path = try string("tokenFile") {
            return .tokenFile(path: file.resolve(path), fallback: token)
        }
        if let token { return .token(token) }
        if hasPassword { return .basic(username: username, password: Secret(password)) }
        guard let exec = try child("exec") else { return .none }
        return .exec(
            try ExecPlugin(exec, user: user, cluster: cluster, configuration: configuration, environment: environment)
        )
    }

    /// The headers of `as`, `as-uid`, `as-groups` and `as-user-extra`.
    fileprivate func impersonation() throws(ConfigurationError) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        if let uid = try headerValue("as-uid") { headers.append(("Impersonate-Uid", uid)) }
        for group in try strings("as-groups") { headers.append(("Impersonate-Group", group)) }
        if let extra = try child("as-user-extra") {
            guard let members = extra.value.object else { throw extra.error("as-user-extra must be a mapping") }
            for member in members {
                for value in try extra.strings(member.key) {
                    headers.append(("Impersonate-Extra-\(member.key.headerNamePart)", value))
                }
            }
        }
        for header in headers where !header.value.isHeaderValue {
            throw error("\(header.name) cannot have this value: it has control characters")
        }
        guard let name = try headerValue("as") else {
            if !headers.isEmpty { throw error("as-uid, as-groups and as-user-extra need as") }
            return []
        }
        return [("Impersonate-User", name)] + headers
    }

    private func headerValue(_ key: String) throws(ConfigurationError) -> String? {
        guard let text = try string(key), let node = try child(key) else { return nil }
        guard text.isHeaderValue else { throw node.error("\(key) has control characters") }
        return text
    }
}

extension String {
    /// Whether an HTTP header can have this value (RFC 9110, 5.5).
    var isHeaderValue: Bool {
        utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    /// The text without white space around it.
    var trimmed: String {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace })
        else { return "" }
        return String(self[first...last])
    }

    /// A host as it stands in a URL: IPv6 addresses in brackets.
    fileprivate var urlHost: String { contains(":") ? "[\(self)]" : self }

    /// Percent-encodes what a header's name cannot have, as the API server decodes it for `Impersonate-Extra-`.
    fileprivate var headerNamePart: String {
        var encoded = ""
        for byte in utf8 {
            if byte < 0x80,
                Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber
                    || "-._~!#$&'*+^`|".utf8.contains(byte)
            {
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return encoded
    }
}
