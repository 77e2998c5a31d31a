import Kubernetes

/// Compares a volume with the class that a retype is to give it. It is pure.
struct RetypeComparison {
    /// A difference that makes the claim's class a lie, as the volume stays as it is.
    struct Difference: Equatable {
        /// The name by which a person accepts it (`--accept`).
        var key: String
        var text: String
        /// True where it is between the classes, and so the same for every volume.
        var isOfClasses = false
    }

    let volume: PersistentVolume
    /// The source class; nil where it was deleted.
    let source: StorageClass?
    let destination: StorageClass

    /// Who made the volume object, as far as it says so. Some make it again when it is deleted, whatever its class is, such
    /// as the provisioner of local disks.
    private var maker: String? { volume.metadata.annotation(PersistentVolume.provisionedBy) }

    /// The reason why the class cannot have the volume at all; nil where it can.
    var refusal: String? {
        let name = destination.metadata.name
        let wanted = CSITranslation.driver(of: destination.provisioner)
        do {
            if let translation = try CSITranslation(of: volume), destination.provisioner == wanted {
                return translation.driver == wanted ? nil : other(translation.driver)
            }
        } catch {
            return "its volume \(volume.metadata.name) cannot become one of \(wanted): \(error)"
        }
        if let driver = volume.spec.csi?.driver {
            let isStatic = source?.provisioner == StorageClass.noProvisioner && maker == nil
            if driver == wanted || isStatic && wanted == StorageClass.noProvisioner { return nil }
            return other(driver)
        }
        guard let provisioner = maker ?? source?.provisioner else {
            return
                "nothing tells which driver its volume \(volume.metadata.name) belongs to, as its class does not exist; "
                + "so whether it can be of the class \(name) is not known. Run without --retype, which copies"
        }
        return provisioner == destination.provisioner ? nil : other(provisioner)
    }

    private func other(_ driver: String) -> String {
        "its volume \(volume.metadata.name) belongs to \(driver), and the class \(destination.metadata.name) to "
            + "\(destination.provisioner): no other driver can take it over. Run without --retype, which copies"
    }

    /// The differences, in an order of their own.
    var differences: [Difference] { parameters + secrets + mountOptions + fileSystem + topology }

    private static let fileSystemKeys: Set<String> = ["csi.storage.k8s.io/fstype", "fstype"]

    private static func isSecret(_ key: String) -> Bool {
        key.hasPrefix("csi.storage.k8s.io/") && key.contains("secret")
    }

    /// The parameters that differ. All matter only when a volume is provisioned.
    private var parameters: [Difference] {
        let (old, new) = (source?.parameters ?? [:], destination.parameters ?? [:])
        return Set(old.keys).union(new.keys).sorted().compactMap { key in
            guard old[key] != new[key], !Self.isSecret(key), !Self.fileSystemKeys.contains(key.lowercased()) else {
                return nil
            }
            func asked(_ value: String?) -> String {
                value.map { "for `\(key): \($0.shortened(to: 60))`" } ?? "for none"
            }
            let before = source.map { "\($0.metadata.name) \(asked(old[key]))" } ?? "the old class is gone"
            return Difference(
                key: key,
                text:
                    "asks \(new[key] == nil ? "for no `\(key)`" : asked(new[key])) (\(before)); the volumes stay as they "
                    + "were provisioned",
                isOfClasses: true
            )
        }
    }

    /// The secrets by which the driver is called. A volume names those of the class that it was provisioned by.
    private var secrets: [Difference] {
        let (old, new) = (source?.parameters ?? [:], destination.parameters ?? [:])
        let keys = Set(old.keys).union(new.keys).filter { Self.isSecret($0) && old[$0] != new[$0] }.sorted()
        guard !keys.isEmpty else { return [] }
        let names = keys.map { $0.split(separator: "/").last.map(String.init) ?? $0 }.joined(separator: ", ")
        return [
            Difference(
                key: "secrets",
                text: "names other secrets (\(names)); the volumes keep those that they were provisioned with",
                isOfClasses: true
            )
        ]
    }

    private var mountOptions: [Difference] {
        let (old, new) = (volume.spec.mountOptions ?? [], destination.mountOptions ?? [])
        guard old != new else { return [] }
        func words(_ options: [String]) -> String {
            options.isEmpty ? "none" : options.joined(separator: ",").shortened(to: 100)
        }
        return [
            Difference(
                key: "mountOptions",
                text:
                    "its volume keeps its mount options (\(words(old))), and the class \(destination.metadata.name) has "
                    + "others (\(words(new)))"
            )
        ]
    }

    private var fileSystem: [Difference] {
        let wanted = (destination.parameters ?? [:]).first { Self.fileSystemKeys.contains($0.key.lowercased()) }?.value
        guard let wanted, !wanted.isEmpty, volume.spec.volumeMode != .block else { return [] }
        guard let found = volume.fileSystem else { return [] }
        guard found.lowercased() != wanted.lowercased() else { return [] }
        return [
            Difference(
                key: "fsType",
                text: "its volume has the file system \(found), and the class \(destination.metadata.name) makes "
                    + wanted.shortened(to: 60)
            )
        ]
    }

    private var topology: [Difference] {
        let allowed = destination.allowedTopologies ?? []
        guard !allowed.isEmpty, !volume.isWithin(allowed) else { return [] }
        return [
            Difference(
                key: "allowedTopologies",
                text:
                    "its volume is not known to be in the topologies that the class \(destination.metadata.name) allows"
            )
        ]
    }
}

extension PersistentVolume {
    /// The file system that the volume names; nil where it names none.
    fileprivate var fileSystem: String? {
        let ofPlugins = [spec.awsElasticBlockStore, spec.gcePersistentDisk, spec.azureDisk].compactMap(\.self).first
        let named = spec.csi?.fsType ?? ofPlugins?["fsType"]?.string
        return named?.isEmpty == true ? nil : named
    }

    /// Returns true where each place of the volume is within one of a class's topologies.
    fileprivate func isWithin(_ allowed: [JSON]) -> Bool {
        let terms = spec.nodeAffinity?[path: ["required", "nodeSelectorTerms"]]?.array ?? []
        func values(_ expression: JSON) -> Set<String> { Set((expression["values"]?.array ?? []).compactMap(\.string)) }
        return !terms.isEmpty
            && terms.allSatisfy { term in
                let places = (term["matchExpressions"]?.array ?? []).filter { $0["operator"] == "In" }
                return allowed.contains { topology in
                    (topology["matchLabelExpressions"]?.array ?? []).allSatisfy { wanted in
                        places.contains { $0["key"] == wanted["key"] && values($0).isSubset(of: values(wanted)) }
                    }
                }
            }
    }
}
