import Kubernetes

/// A VolumeAttributesClass, by whose parameters a driver modifies a volume in place.
struct VolumeAttributesClass: KubernetesObject {
    static let resource = APIResource(
        group: "storage.k8s.io",
        kind: "VolumeAttributesClass",
        plural: "volumeattributesclasses",
        namespaced: false
    )

    var metadata: ObjectMeta
    var driverName: String
    var parameters: [String: String]?
}

/// Tells of ways that need no copy, or no migration at all.
struct Advice: Sendable {
    private let client: Client
    private let options: Options
    private let journal: Journal

    init(_ context: Context) { (client, options, journal) = (context.destination, context.options, context.journal) }

    /// Gives the advice. It stops nothing.
    func give(_ discovery: Discovery) async throws {
        guard options.pipeline.method != .kept, options.hasClasses else { return }
        for text in options.ways(discovery, try await attributesClasses()) {
            journal.info("StorageClass \(options.destinationClass)", text)
        }
    }

    /// The VolumeAttributesClasses; none where the server is older than 1.34, or they may not be listed.
    private func attributesClasses() async throws -> [VolumeAttributesClass] {
        do {
            return try await client.list(VolumeAttributesClass.self)
        } catch let error as APIError where error.reason == .forbidden || error.reason == .notFound {
            return []
        }
    }
}

extension Options {
    /// Returns the ways that the claims of a discovery have besides a copy.
    func ways(_ discovery: Discovery, _ attributesClasses: [VolumeAttributesClass]) -> [String] {
        guard let destination = discovery.storageClass(destinationClass) else { return [] }
        let source = discovery.storageClass(sourceClass)
        let states = discovery.units.flatMap(\.claims).filter { $0.seal == nil && $0.source != nil }
        let comparisons = states.compactMap(\.source).map {
            RetypeComparison(volume: $0, source: source, destination: destination)
        }
        guard let first = states.first, comparisons.allSatisfy({ $0.refusal == nil }) else {
            return discovery.waysOfStorage(destination)
        }
        let differences = Set(comparisons.flatMap(\.differences).map(\.key)).sorted()
        var ways: [String] = []
        if let found = attributesClasses.first(where: { $0.makes(differences, of: destination) }) {
            ways.append(
                "its driver can modify the volumes in place, while they are in use: `kubectl patch pvc -n "
                    + "\(first.name.namespace ?? "default") \(first.name.name) --type merge -p "
                    + "'{\"spec\":{\"volumeAttributesClassName\":\"\(found.metadata.name)\"}}'`, for each claim"
            )
        }
        if !pipeline.retypes {
            ways.append(
                "the volumes can be of it as they are, without a copy: --retype"
                    + differences.map { " --accept \($0)" }.joined()
                    + (differences.isEmpty ? "" : ", where they may stay as they were provisioned")
            )
        }
        return ways + discovery.waysOfStorage(destination)
    }
}

extension VolumeAttributesClass {
    /// Returns true where the class gives a volume just what a StorageClass asks for besides.
    fileprivate func makes(_ differences: [String], of storageClass: StorageClass) -> Bool {
        let wanted = storageClass.parameters ?? [:]
        return driverName == storageClass.provisioner && !differences.isEmpty
            && differences.allSatisfy { wanted[$0] != nil && parameters?[$0] == wanted[$0] }
            && (parameters ?? [:]).allSatisfy { wanted[$0.key] == $0.value }
    }
}

extension Discovery {
    /// The drivers whose storage moves volumes itself, each with the way.
    private static let waysOfDrivers = [
        "csi.vsphere.vmware.com":
            "vCenter moves container volumes between datastores itself (Container Volumes, Migrate), while they are in use",
        "csi-powermax.dellemc.com":
            "PowerMax changes the service level and the pool of volumes itself (Unisphere, storage groups), while they are in "
            + "use",
    ]

    /// The ways in which a storage system moves volumes itself.
    fileprivate func waysOfStorage(_ destination: StorageClass) -> [String] {
        var ways: [String] = []
        let drivers = Set(units.flatMap(\.claims).compactMap { $0.source?.spec.csi?.driver })
        if drivers == [destination.provisioner], let way = Self.waysOfDrivers[destination.provisioner] {
            ways.append(way + "; --retype then gives them the class")
        }
        let isKubeVirts = units.contains { unit in
            unit.workloads.contains { $0.resource.group == "kubevirt.io" }
                || unit.obstacles.contains { $0.message.contains("VirtualMachine") }
        }
        if isKubeVirts {
            ways.append(
                "KubeVirt moves the volumes of running virtual machines itself: set updateVolumesStrategy: Migration in the "
                    + "VirtualMachine, and name claims of this class in it"
            )
        }
        return ways
    }
}
