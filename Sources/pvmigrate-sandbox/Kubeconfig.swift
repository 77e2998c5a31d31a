import FoundationEssentials

/// A kubeconfig with one cluster and one user, everything in line.
struct Kubeconfig {
    /// How the user proves who it is.
    enum Credential {
        case certificate(Authority.Identity)
        case token(String)
    }

    var port: Int
    /// The authority's certificate as PEM.
    var authority: String
    var user: String
    var credential: Credential

    /// The file's text.
    var text: String {
        """
        apiVersion: v1
        kind: Config
        current-context: sandbox
        clusters:
        - name: sandbox
          cluster:
            server: https://127.0.0.1:\(port)
            certificate-authority-data: \(base64(authority))
        contexts:
        - name: sandbox
          context:
            cluster: sandbox
            user: \(user)
        users:
        - name: \(user)
          user:
            \(credentialText)

        """
    }

    private var credentialText: String {
        switch credential {
        case .certificate(let identity):
            """
            client-certificate-data: \(base64(identity.certificate))
                client-key-data: \(base64(identity.key))
            """
        case .token(let token): "token: \(token)"
        }
    }

    private func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
}

/// Writes a file that only its owner may read, as kubectl wants it of a kubeconfig.
///
/// - Throws: what the file system said.
func writePrivate(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
}
