import Kubernetes

/// Changes the default StorageClass, after all units.
struct SetDefaultClass: Sendable {
    private let client: Client
    private let options: Options
    private let journal: Journal

    init(_ context: Context) {
        (client, options, journal) = (context.destination, context.options, context.journal)
    }

    /// Makes the destination class the default, and the source class no longer.
    ///
    /// The new one comes first. With two defaults the API server takes the newer class; with none a claim without a
    /// class stays Pending.
    ///
    /// - Throws: `APIError`.
    func set() async throws {
        let classes = try await client.list(StorageClass.self)
        for storageClass in classes where storageClass.metadata.name == options.destinationClass {
            guard storageClass.metadata.annotation(StorageClass.defaultAnnotation) != "true" else { continue }
            try await set(storageClass, default: true)
        }
        for storageClass in classes where storageClass.metadata.name == options.sourceClass && storageClass.isDefault {
            try await set(storageClass, default: false)
        }
    }

    private func set(_ storageClass: StorageClass, default isDefault: Bool) async throws {
        var annotations: [String: JSON] = [:]
        for key in [StorageClass.defaultAnnotation, StorageClass.betaDefaultAnnotation] {
            // The older annotation is changed only where it exists.
            guard key == StorageClass.defaultAnnotation || storageClass.metadata.annotation(key) != nil else {
                continue
            }
            annotations[key] = isDefault ? "true" : "false"
        }
        try await client.patch(
            StorageClass.self,
            storageClass.name,
            .merge(["metadata": ["uid": .string(storageClass.metadata.uid), "annotations": .object(annotations)]])
        )
        journal.info(storageClass.title, isDefault ? "is the default class now" : "is no longer the default class")
    }
}
