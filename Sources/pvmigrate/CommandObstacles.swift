import Kubernetes
import Migration

/// What stands in a run's way as soon as everything is discovered.
extension Command {
    /// Without the destination nothing can be done, preflight or not; and a workload whose mark can't be read could be
    /// stopped but not started again.
    func obstacles(_ discovery: Discovery) -> [Obstacle] {
        // A rollback makes no new volumes, and a class that was deleted has none to make.
        var names = options.pipeline.goesToKept ? [] : [options.destinationClass]
        // Each claim of a transfer has its own classes.
        if options.handover != nil || options.tree != nil {
            names = []
        } else if !options.skipSourceValidation {
            names.insert(options.sourceClass, at: 0)
        }
        let missing = names.filter { discovery.storageClass($0) == nil }.map {
            Obstacle(
                namespace: nil,
                resource: "StorageClass \($0)",
                message: "does not exist" + discovery.classes.map(\.metadata.name).didYouMean($0)
            )
        }
        return missing + discovery.unmatched + unreadableScales(discovery)
    }

    func unreadableScales(_ discovery: Discovery) -> [Obstacle] {
        discovery.forgotten.compactMap { workload in
            do {
                _ = try workload.markedScale()
                return nil
            } catch {
                return Obstacle(
                    namespace: workload.name.namespace,
                    resource: workload.title,
                    message: "\(error); correct or remove it"
                )
            }
        }
    }

    func unreadableAccessModes(_ discovery: Discovery) -> [Obstacle] {
        discovery.units.flatMap(\.claims).compactMap { state in
            do {
                _ = try state.accessModes()
                return nil
            } catch {
                return Obstacle(
                    namespace: state.name.namespace,
                    resource: "PersistentVolumeClaim \(state.name)",
                    message: "\(error)"
                )
            }
        }
    }
}
