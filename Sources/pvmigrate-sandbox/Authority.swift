import CLibcrypto
import ClusterSimulator
import FoundationEssentials

/// The cluster's certificate authority: it signs the server's certificate and those of users.
///
/// Certificates as kubeadm makes them, with P-256 keys; a user's name is the common name, the user's groups are the
/// organizations (Kubernetes documentation, "X509 client certificates").
struct Authority {
    /// A certificate and its key, both as PEM.
    struct Identity {
        var certificate: String
        var key: String
    }

    /// The words of libcrypto for what it could not do.
    struct Failure: Error, CustomStringConvertible {
        let description: String

        init() {
            var words = [CChar](repeating: 0, count: 256)
            ERR_error_string_n(ERR_get_error(), &words, words.count)
            description = String(decoding: words.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
    }

    private let own: Identity

    /// Makes a new key and a certificate that it signs itself, good for a year.
    init() throws {
        own = try Self.certify(
            [(NID_commonName, "kubernetes")],
            by: nil,
            [
                (NID_basic_constraints, "critical,CA:TRUE"),
                (NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign"),
            ]
        )
    }

    /// The authority's certificate as PEM: what clients trust.
    var pem: String { own.certificate }

    /// A certificate for the API server under all names by which it is reached on this machine.
    func server() throws -> Identity {
        let hosts = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map { "DNS:" + $0 }
        let names = (hosts + ["IP:127.0.0.1", "IP:::1"]).joined(separator: ",")
        return try identity(
            [(NID_commonName, "kube-apiserver")],
            [(NID_ext_key_usage, "serverAuth"), (NID_subject_alt_name, names)]
        )
    }

    /// A client certificate for a user.
    func client(_ name: String, groups: [String]) throws -> Identity {
        try identity(
            groups.map { (NID_organizationName, $0) } + [(NID_commonName, name)],
            [(NID_ext_key_usage, "clientAuth")]
        )
    }

    /// The user that a client certificate names, or nil where this authority did not sign it or it has expired.
    ///
    /// - Parameter certificate: the certificate in DER.
    func user(presenting certificate: [UInt8]) -> User? {
        let shown = certificate.withUnsafeBufferPointer { bytes in
            var start = bytes.baseAddress
            return d2i_X509(nil, &start, bytes.count)
        }
        defer { X509_free(shown) }
        let authority = Self.read(own.certificate) { PEM_read_bio_X509($0, nil, nil, nil) }
        defer { X509_free(authority) }
        // What cannot be read names nobody.
        guard let shown, let authority, X509_verify(shown, X509_get0_pubkey(authority)) == 1,
            X509_cmp_current_time(X509_get0_notBefore(shown)) < 0, X509_cmp_current_time(X509_get0_notAfter(shown)) > 0
        else { return nil }
        let subject = X509_get_subject_name(shown)
        func values(_ field: Int32) -> [String] {
            (0..<X509_NAME_entry_count(subject)).compactMap { index in
                let entry = X509_NAME_get_entry(subject, index)
                guard OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) == field else { return nil }
                let value = X509_NAME_ENTRY_get_data(entry)
                let bytes = UnsafeBufferPointer(
                    start: ASN1_STRING_get0_data(value),
                    count: Int(ASN1_STRING_length(value))
                )
                return String(decoding: bytes, as: UTF8.self)
            }
        }
        guard let name = values(NID_commonName).last else { return nil }
        return User(name, groups: values(NID_organizationName) + ["system:authenticated"])
    }

    private func identity(
        _ subject: [(field: Int32, value: String)],
        _ extensions: [(field: Int32, value: String)]
    ) throws -> Identity {
        let common = [
            (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature,keyEncipherment"),
        ]
        return try Self.certify(subject, by: own, common + extensions)
    }

    /// Makes a key and its certificate.
    ///
    /// - Parameter issuer: Whose key signs it; nil for its own.
    private static func certify(
        _ subject: [(field: Int32, value: String)],
        by issuer: Identity?,
        _ extensions: [(field: Int32, value: String)]
    ) throws -> Identity {
        let (key, certificate) = (pvmigrate_new_p256_key(), X509_new())
        let signer = issuer.flatMap { read($0.certificate) { PEM_read_bio_X509($0, nil, nil, nil) } }
        let signingKey = issuer.flatMap { read($0.key) { PEM_read_bio_PrivateKey($0, nil, nil, nil) } }
        defer {
            for key in [key, signingKey] { EVP_PKEY_free(key) }
            for certificate in [certificate, signer] { X509_free(certificate) }
        }
        X509_set_version(certificate, Int(X509_VERSION_3))
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), .random(in: 1...UInt64(Int64.max)))
        // An hour back, for clients whose clock is late.
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600)
        X509_gmtime_adj(X509_getm_notAfter(certificate), 365 * 86400)
        X509_set_pubkey(certificate, key)
        for (field, value) in subject {
            let isAdded = X509_NAME_add_entry_by_NID(
                X509_get_subject_name(certificate),
                field,
                MBSTRING_UTF8,
                Array(value.utf8),
                Int32(value.utf8.count),
                -1,
                0
            )
            guard isAdded == 1 else { throw Failure() }
        }
        X509_set_issuer_name(certificate, X509_get_subject_name(signer ?? certificate))
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, signer ?? certificate, certificate, nil, nil, 0)
        for (field, value) in extensions {
            let found = X509V3_EXT_conf_nid(nil, &context, field, value)
            defer { X509_EXTENSION_free(found) }
            guard let found, X509_add_ext(certificate, found, -1) == 1 else { throw Failure() }
        }
        guard X509_sign(certificate, signingKey ?? key, EVP_sha256()) > 0 else { throw Failure() }
        return Identity(
            certificate: try written { PEM_write_bio_X509($0, certificate) },
            key: try written { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }
        )
    }

    /// Has libcrypto read a text.
    private static func read<Value>(_ text: String, _ work: (OpaquePointer?) -> Value?) -> Value? {
        let bytes = Array(text.utf8)
        let buffer = BIO_new_mem_buf(bytes, Int32(bytes.count))
        defer { BIO_free(buffer) }
        return work(buffer)
    }

    /// Has libcrypto write a text.
    private static func written(_ work: (OpaquePointer?) -> Int32) throws -> String {
        let buffer = BIO_new(BIO_s_mem())
        defer { BIO_free(buffer) }
        guard work(buffer) == 1 else { throw Failure() }
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while case let count = BIO_read(buffer, &piece, Int32(piece.count)), count > 0 {
            text += piece.prefix(Int(count))
        }
        return String(decoding: text, as: UTF8.self)
    }
}
