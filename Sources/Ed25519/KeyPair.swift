import CLibcrypto

/// An ed25519 key pair (RFC 8032), made anew by OpenSSL's libcrypto, which libcurl brings along.
public struct KeyPair: Sendable {
    /// The 32 bytes of the private key, the seed.
    public let privateKey: [UInt8]
    /// The 32 bytes of the public key.
    public let publicKey: [UInt8]

    /// Why no key could be made.
    public struct Failure: Error, CustomStringConvertible {
        public var description: String { "libcrypto makes no ed25519 keys here" }
    }

    /// Makes a new pair.
    ///
    /// - Throws: `Failure` where the library refuses to, such as one that is confined to other algorithms.
    public init() throws(Failure) {
        let context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_keygen(context, &key) == 1 else { throw Failure() }
        defer { EVP_PKEY_free(key) }
        var (privateKey, publicKey) = ([UInt8](repeating: 0, count: 32), [UInt8](repeating: 0, count: 32))
        var (privateCount, publicCount) = (privateKey.count, publicKey.count)
        guard EVP_PKEY_get_raw_private_key(key, &privateKey, &privateCount) == 1, privateCount == 32,
            EVP_PKEY_get_raw_public_key(key, &publicKey, &publicCount) == 1, publicCount == 32
        else { throw Failure() }
        (self.privateKey, self.publicKey) = (privateKey, publicKey)
    }
}
