import Kubernetes

/// The capabilities of the containers of a copy.
enum Capabilities {
    /// The capabilities that container runtimes give to root by default.
    private static let given = [
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
        "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    ]

    /// Creates a pod that drops all capabilities and adds some.
    ///
    /// OpenShift's SecurityContextConstraint `anyuid` admits root but no added capabilities. There the pod has the
    /// runtime's defaults, without those that it did not ask for.
    static func admitted<Created>(
        _ manifest: JSON,
        by create: (JSON) async throws -> Created
    ) async throws -> Created {
        do {
            return try await create(manifest)
        } catch let error as APIError where error.message.contains("capability may not be added") {
            return try await create(addingNone(manifest))
        }
    }

    private static func addingNone(_ manifest: JSON) -> JSON {
        var manifest = manifest
        for list in ["initContainers", "containers"] {
            guard let containers = manifest[path: ["spec", list]]?.array else { continue }
            manifest[path: ["spec", list]] = .array(
                containers.map { container in
                    let path = ["securityContext", "capabilities"]
                    guard let added = container[path: path + ["add"]]?.array else { return container }
                    var container = container
                    container[path: path] = [
                        "drop": .array(given.map(JSON.string).filter { !added.contains($0) })
                    ]
                    return container
                }
            )
        }
        return manifest
    }
}
