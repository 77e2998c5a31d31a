import Ed25519
import FoundationEssentials

/// A new ed25519 key pair in OpenSSH's format.
struct SSHKey: Sendable {
    private static let kind = Data("ssh-ed25519".utf8)

    /// The public key as one line for `authorized_keys` and, after a host's name, for `known_hosts`.
    let publicLine: String
    /// The private key as a file without a passphrase (OpenSSH, PROTOCOL.key).
    let privateFile: String

    /// - Throws: `KeyPair.Failure`.
    init() throws {
        let pair = try KeyPair()
        let publicKey = Data(pair.publicKey)
        let publicBlob = Self.field(Self.kind) + Self.field(publicKey)
        publicLine = "ssh-ed25519 " + publicBlob.base64EncodedString()

        // The same number twice shows a reader that it has decrypted the rest.
        let check = Self.number(UInt32.random(in: .min ... .max))
        var secrets = check + check + publicBlob
        secrets += Self.field(Data(pair.privateKey) + publicKey) + Self.field(Data())
        var padding: UInt8 = 1
        while secrets.count % 8 != 0 {
            secrets.append(padding)
            padding += 1
        }
        // These are the cipher, the passphrase's hash, its options, and the number of keys.
        let header = Self.field(Data("none".utf8)) + Self.field(Data("none".utf8)) + Self.field(Data()) + Self.number(1)
        let file = Data("openssh-key-v1\0".utf8) + header + Self.field(publicBlob) + Self.field(secrets)
        let text = file.base64EncodedString()
        var lines = ["-----BEGIN OPENSSH PRIVATE KEY-----"]
        var rest = text[...]
        while !rest.isEmpty {
            lines.append(String(rest.prefix(70)))
            rest = rest.dropFirst(70)
        }
        privateFile = (lines + ["-----END OPENSSH PRIVATE KEY-----", ""]).joined(separator: "\n")
    }

    private static func number(_ value: UInt32) -> Data {
        Data([24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) })
    }

    /// Returns a string of the ssh protocol: its length, then its bytes.
    private static func field(_ bytes: Data) -> Data { number(UInt32(bytes.count)) + bytes }
}
