import Kubernetes

extension Discovery {
    /// Checks that source and destination class exist and differ.
    func missingClasses(_ options: Options) -> [Obstacle] {
        // Each claim of a transfer has its own.
        guard options.hasClasses else { return [] }
        if options.sourceClass == options.destinationClass {
            return [
                Obstacle(
                    namespace: nil,
                    resource: "StorageClass \(options.sourceClass)",
                    message: "is both source and destination; they must differ"
                )
            ]
        }
        var obstacles: [Obstacle] = []
        if storageClass(options.sourceClass) == nil, !options.skipSourceValidation {
            obstacles.append(
                Obstacle(
                    namespace: nil,
                    resource: "StorageClass \(options.sourceClass)",
                    message: "does not exist" + orOneLike(options.sourceClass)
                        + "; to migrate the claims of a class that was deleted, give --skip-source-validation"
                )
            )
        }
        // A kept volume does not need its class any more.
        if storageClass(options.destinationClass) == nil, !options.pipeline.goesToKept {
            obstacles.append(
                Obstacle(
                    namespace: nil,
                    resource: "StorageClass \(options.destinationClass)",
                    message: "does not exist" + orOneLike(options.destinationClass)
                )
            )
        }
        return obstacles
    }

    private func orOneLike(_ name: String) -> String { classes.map(\.metadata.name).didYouMean(name) }
}

extension Discovery {
    /// Returns the destination class; nil where it does not exist, or is the source class.
    func destination(_ options: Options) -> StorageClass? {
        options.sourceClass == options.destinationClass ? nil : storageClass(options.destinationClass)
    }
}
