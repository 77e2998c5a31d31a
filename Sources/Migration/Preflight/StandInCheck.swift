import Kubernetes

/// Checks that stand-ins can be made.
struct StandInCheck: Sendable {
    private let source: Client
    private let options: Options
    private let standIns: StandIns

    init(_ context: Context) {
        (source, options) = (context.source, context.options)
        standIns = StandIns(context)
    }

    /// Checks that the stand-in of `--copy-from` can be made of each source volume, as far as the API tells.
    func obstacles(_ discovery: Discovery) async throws -> [Obstacle] {
        guard options.makesPasses, options.copyFrom == .snapshot || options.copyFrom == .clone else { return [] }
        // A transfer has no source class.
        guard options.hasClasses else { return [] }
        let states = discovery.units.flatMap(\.claims).filter { $0.seal == nil }
        guard !states.isEmpty else { return [] }
        guard let sourceClass = discovery.storageClass(options.sourceClass) else {
            return [
                Obstacle(
                    namespace: nil,
                    resource: "StorageClass \(options.sourceClass)",
                    message: "does not exist, and a \(options.copyFrom.rawValue) of a volume is of its class; give "
                        + "--copy-from volume"
                )
            ]
        }
        let what = options.copyFrom == .snapshot ? "snapshots" : "clones"
        var obstacles = states.compactMap { state -> Obstacle? in
            let driver = state.source?.spec.csi?.driver
            guard driver == nil || driver != sourceClass.provisioner else { return nil }
            let why = driver.map { "is of the CSI driver \($0)" } ?? "is not of a CSI driver"
            return Obstacle(
                namespace: state.name.namespace,
                resource: state.title,
                message:
                    "its volume \(state.source?.metadata.name ?? "?") \(why), and the class \(options.sourceClass) of "
                    + "\(sourceClass.provisioner), so \(what) of it can't be copied from; give --copy-from volume"
            )
        }
        if options.copyFrom == .snapshot, obstacles.count < states.count {
            obstacles += try await self.obstacles(toSnapshotsBy: sourceClass.provisioner)
        }
        return obstacles
    }

    private func obstacles(toSnapshotsBy driver: String) async throws -> [Obstacle] {
        let resource = VolumeSnapshotClass.resource
        var message: String?
        if try await source.served(resource.kind, resource.apiVersion) == nil {
            message = "is not served (\(resource.apiVersion)): the cluster has no snapshot controller"
        } else {
            do {
                _ = try VolumeSnapshotClass.chosen(of: try await standIns.snapshotClasses(), for: driver)
            } catch let error as Refusal {
                message = error.description
            } catch let error as APIError where error.reason == .forbidden {
                // The check of permissions reports it.
            }
        }
        return message.map {
            [Obstacle(namespace: nil, resource: resource.kind, message: "\($0); --copy-from volume needs none")]
        } ?? []
    }
}
