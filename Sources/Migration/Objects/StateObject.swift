import Kubernetes

/// An object of the source namespace that holds state, as it was read.
struct StateObject: KubernetesObject {
    /// Each list names the kind.
    static let resource = APIResource(kind: "Object", plural: "objects")

    var metadata: ObjectMeta
    /// All of it.
    var whole: JSON

    init(from decoder: any Decoder) throws {
        whole = try JSON(from: decoder)
        metadata = try Head(from: decoder).metadata
    }

    private struct Head: Decodable { var metadata: ObjectMeta }
}

extension StateObject {
    /// The objects that belong to their cluster or to a tool's own account of it, and that nothing but their name takes
    /// along.
    static let leftOut: [(what: String, isIt: @Sendable (StateObject) -> Bool)] = [
        ("token of a service account", { $0.isOfServiceAccount }),
        ("bootstrap token", { $0.type == "bootstrap.kubernetes.io/token" }),
        ("release of Helm's", { $0.type == "helm.sh/release.v1" }),
        (
            "certificates that the cluster writes into each namespace",
            { ["kube-root-ca.crt", "openshift-service-ca.crt"].contains($0.metadata.name) && $0.type == nil }
        ),
    ]

    private var type: String? { whole["type"]?.string }

    /// True for a Secret that acts for a service account: a token, or what pulls images with one (OpenShift).
    private var isOfServiceAccount: Bool {
        let marks = ["kubernetes.io/service-account.name", "openshift.io/token-secret.name"]
        return type == "kubernetes.io/service-account-token" || marks.contains { metadata.annotation($0) != nil }
    }

    /// The reason why the object stays where it is; nil where it goes along.
    ///
    /// - Parameter isNamed: True where the person named this very object.
    func whatItIs(isNamed: Bool) -> String? {
        if metadata.isTerminating { return "being deleted" }
        let found = Self.leftOut.first { $0.isIt(self) }?.what
        // A token acts in the source namespace, whoever asks for it.
        return isNamed && !isOfServiceAccount ? nil : found
    }

    /// Returns the manifest of the object in another namespace: without what the server and its controllers set, without
    /// owners, which are not there, and without what has a meaning in its own place only.
    func manifest(of resource: APIResource, in namespace: String) -> JSON {
        var manifest = whole
        manifest["status"] = nil
        manifest["apiVersion"] = .string(resource.apiVersion)
        manifest["kind"] = .string(resource.kind)
        var kept: JSON = ["name": .string(metadata.name), "namespace": .string(namespace)]
        for part in ["labels", "annotations"] { kept[part] = whole[path: ["metadata", part]] }
        manifest["metadata"] = kept
        OwnMatters.remove(from: &manifest)
        return manifest
    }
}
