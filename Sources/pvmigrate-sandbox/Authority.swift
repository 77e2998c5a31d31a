import ClusterSimulator
import Crypto
import FoundationEssentials
import SwiftASN1
import X509

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

    private let key = P256.Signing.PrivateKey()
    private let name: DistinguishedName
    private let certificate: Certificate

    /// Makes a new key and a certificate that it signs itself, good for a year.
    init() throws {
        name = try DistinguishedName { CommonName("kubernetes") }
        certificate = try Self.sign(
            key.publicKey,
            as: name,
            by: key,
            named: name,
            Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(digitalSignature: true, keyCertSign: true, cRLSign: true))
            }
        )
    }

    /// The authority's certificate as PEM: what clients trust.
    var pem: String {
        get throws { try certificate.serializeAsPEM().pemString }
    }

    /// A certificate for the API server under all names by which it is reached on this machine.
    func server() throws -> Identity {
        try identity(
            named: DistinguishedName { CommonName("kube-apiserver") },
            usage: .serverAuth,
            names: [
                .dnsName("localhost"), .dnsName("kubernetes"), .dnsName("kubernetes.default"),
                .dnsName("kubernetes.default.svc"), .ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 1])),
                .ipAddress(ASN1OctetString(contentBytes: Array(repeating: 0, count: 15) + [1])),
            ]
        )
    }

    /// A client certificate for a user.
    func client(_ name: String, groups: [String]) throws -> Identity {
        let subject = try DistinguishedName {
            for group in groups { OrganizationName(group) }
            CommonName(name)
        }
        return try identity(named: subject, usage: .clientAuth, names: [])
    }

    /// The user that a client certificate names, or nil where this authority did not sign it or it has expired.
    ///
    /// - Parameter certificate: the certificate in DER.
    func user(presenting certificate: [UInt8]) -> User? {
        // What cannot be read names nobody.
        guard let certificate = try? Certificate(derEncoded: certificate),
            Certificate.PublicKey(key.publicKey).isValidSignature(certificate.signature, for: certificate),
            certificate.notValidBefore <= .now, .now <= certificate.notValidAfter
        else { return nil }
        let attributes = certificate.subject.flatMap { $0 }
        func values(_ type: ASN1ObjectIdentifier) -> [String] {
            attributes.filter { $0.type == type }.compactMap { String($0.value) }
        }
        guard let name = values(.RDNAttributeType.commonName).last else { return nil }
        return User(name, groups: values(.RDNAttributeType.organizationName) + ["system:authenticated"])
    }

    private func identity(
        named subject: DistinguishedName,
        usage: ExtendedKeyUsage.Usage,
        names: [GeneralName]
    ) throws -> Identity {
        let leaf = P256.Signing.PrivateKey()
        let certificate = try Self.sign(
            leaf.publicKey,
            as: subject,
            by: key,
            named: name,
            Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true, keyEncipherment: true))
                try ExtendedKeyUsage([usage])
                if !names.isEmpty { SubjectAlternativeNames(names) }
            }
        )
        return Identity(certificate: try certificate.serializeAsPEM().pemString, key: leaf.pemRepresentation)
    }

    private static func sign(
        _ publicKey: P256.Signing.PublicKey,
        as subject: DistinguishedName,
        by key: P256.Signing.PrivateKey,
        named issuer: DistinguishedName,
        _ extensions: Certificate.Extensions
    ) throws -> Certificate {
        try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PublicKey(publicKey),
            // An hour back, for clients whose clock is late.
            notValidBefore: .now - 3600,
            notValidAfter: .now + 365 * 86400,
            issuer: issuer,
            subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: extensions,
            issuerPrivateKey: Certificate.PrivateKey(key)
        )
    }
}
