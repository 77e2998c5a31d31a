import Kubernetes

extension Discovery {
    /// Returns the obstacles of `--set-defaults`: a third class that is the default would stay so, and the API server
    /// chooses between two defaults by age.
    func thirdDefaults(_ options: Options) -> [Obstacle] {
        guard options.setDefaults else { return [] }
        let names = [options.sourceClass, options.destinationClass]
        return classes.filter { $0.isDefault && !names.contains($0.metadata.name) }.map {
            Obstacle(
                namespace: nil,
                resource: $0.title,
                message: "is the default class, and neither source nor destination; "
                    + "take that from it, or run without --set-defaults"
            )
        }
    }
}
