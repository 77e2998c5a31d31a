import Kubernetes

// What an object has for its own place only, and what a copy of it in another namespace does without.

/// Labels and annotations that mean nothing on a copy, or would have it pruned: whoever keeps objects from manifests deletes
/// one that bears its marks and that no manifest names.
enum OwnMatters {
    private static let keys: Set<String> = [
        "kubectl.kubernetes.io/last-applied-configuration", "app.kubernetes.io/instance",
        "app.kubernetes.io/managed-by",
    ]
    private static let prefixes = [
        Marks.claim, "argocd.argoproj.io/", "meta.helm.sh/", "kustomize.toolkit.fluxcd.io/",
        "helm.toolkit.fluxcd.io/",
    ]

    static func contains(_ key: String) -> Bool {
        keys.contains(key) || prefixes.contains { key.hasPrefix($0) }
    }

    /// Removes such labels and annotations from a manifest.
    static func remove(from manifest: inout JSON) {
        for part in ["annotations", "labels"] {
            for key in (manifest[path: ["metadata", part]]?.object ?? [:]).keys where contains(key) {
                manifest[path: ["metadata", part, key]] = nil
            }
            if manifest[path: ["metadata", part]]?.object?.isEmpty == true {
                manifest[path: ["metadata", part]] = nil
            }
        }
    }
}
