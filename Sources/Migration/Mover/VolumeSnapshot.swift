import Kubernetes

/// A snapshot of a claim's volume (kubernetes-csi, external-snapshotter).
struct VolumeSnapshot: KubernetesObject {
    static let resource = APIResource(
        group: "snapshot.storage.k8s.io",
        kind: "VolumeSnapshot",
        plural: "volumesnapshots"
    )

    struct Status: Decodable, Sendable {
        struct Problem: Decodable, Sendable { var message: String? }
        var readyToUse: Bool?
        /// The smallest size of a claim that is made from it.
        var restoreSize: JSON?
        var error: Problem?
    }

    struct Spec: Decodable, Sendable {
        struct Source: Decodable, Sendable { var persistentVolumeClaimName: String? }
        var source: Source?
    }

    var metadata: ObjectMeta
    var spec: Spec?
    var status: Status?

    var restoreSize: Quantity? { status?.restoreSize?.string.flatMap { Quantity($0) } }
}

/// The way in which a driver takes snapshots.
struct VolumeSnapshotClass: KubernetesObject, Equatable {
    static let resource = APIResource(
        group: "snapshot.storage.k8s.io",
        kind: "VolumeSnapshotClass",
        plural: "volumesnapshotclasses",
        namespaced: false
    )

    var metadata: ObjectMeta
    var driver: String
    var deletionPolicy: String

    private var isDefault: Bool { metadata.annotation("snapshot.storage.kubernetes.io/is-default-class") == "true" }

    /// Returns the class for a driver's snapshots: its default one, or else the only one. A class that keeps the
    /// storage of deleted snapshots does not count.
    ///
    /// - Throws: `Refusal` with what is missing.
    static func chosen(of classes: [VolumeSnapshotClass], for driver: String) throws(Refusal) -> VolumeSnapshotClass {
        let fitting = classes.filter { $0.driver == driver && $0.deletionPolicy == "Delete" }
        let defaults = fitting.filter(\.isDefault)
        if let only = defaults.count == 1 ? defaults.first : fitting.count == 1 ? fitting.first : nil { return only }
        guard !fitting.isEmpty else {
            throw Refusal("there is no VolumeSnapshotClass of the driver \(driver) with the deletionPolicy Delete")
        }
        throw Refusal(
            "the VolumeSnapshotClasses of the driver \(driver) are \(fitting.map(\.metadata.name).sorted().joined(separator: ", ")); "
                + "make one of them the default one"
        )
    }
}
