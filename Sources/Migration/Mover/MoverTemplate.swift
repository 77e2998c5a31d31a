public import Kubernetes

/// A person's partial pod manifest, merged into every pod of ours that mounts a claim.
///
/// Objects merge, and the template's values take precedence. Lists are appended to ours. Its only container, which
/// needs no name, is merged into each of ours. The server refuses fields that Kubernetes does not know.
public struct MoverTemplate: Sendable, Equatable {
    private let pod: JSON
    private let container: JSON

    /// The metadata that is ours: a mover is found by its name and marks, and must disappear when it is deleted.
    private static let ownMetadata = [
        "name", "generateName", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers",
    ]
    /// The fields that the copy and its safety depend on.
    private static let ownSpec = ["restartPolicy", "initContainers", "ephemeralContainers"]
    private static let ownContainer = ["command", "args", "restartPolicy"]

    /// - Throws: `Refusal` where the template would break the copy.
    public init(_ manifest: JSON) throws(Refusal) {
        for (field, value) in [("apiVersion", "v1"), ("kind", "Pod")] where manifest[field] ?? .null != .null {
            guard manifest[field]?.string == value else { throw Refusal("\(field) must be \(value)") }
        }
        let metadata = try Self.object(manifest, ["metadata"])
        try Self.refuse(Self.ownMetadata, in: metadata, at: "metadata")
        for map in ["annotations", "labels"] {
            let marks = try Self.object(manifest, ["metadata", map]).keys.filter { $0.hasPrefix(Marks.claim) }
            try Self.refuse(marks.sorted(), in: metadata[map]?.object ?? [:], at: "metadata.\(map)")
        }
        let spec = try Self.object(manifest, ["spec"])
        try Self.refuse(Self.ownSpec, in: spec, at: "spec")
        for (index, volume) in (spec["volumes"]?.array ?? []).enumerated() {
            try Self.refuse(volume, ["name"], at: "spec.volumes[\(index)]") { MoverPod.volumes.contains($0) }
        }
        let containers = spec["containers"]?.array ?? []
        guard containers.count <= 1 else {
            throw Refusal("spec.containers may have one element, which is merged into each of the mover's containers")
        }
        var container = try Self.object(containers.first ?? [:], [])
        try Self.refuse(Self.ownContainer, in: container, at: "spec.containers[0]")
        if container["image"] ?? .null != .null { throw Refusal("the image is given with --rsync-image") }
        for list in ["volumeMounts", "volumeDevices"] {
            for (index, mount) in (container[list]?.array ?? []).enumerated() {
                let place = "spec.containers[0].\(list)[\(index)]"
                try Self.refuse(mount, ["name"], at: place) { MoverPod.volumes.contains($0) }
                try Self.refuse(mount, ["mountPath", "devicePath"], at: place) { path in
                    path.split(separator: "/").first.map { MoverPod.volumes.contains(String($0)) } ?? true
                }
            }
        }
        container["name"] = nil
        self.container = .object(container)
        var pod = manifest
        pod[path: ["spec", "containers"]] = nil
        self.pod = pod
    }

    /// False where it makes the mover run as a user other than root.
    var leavesRoot: Bool {
        let user =
            container[path: ["securityContext", "runAsUser"]] ?? pod[path: ["spec", "securityContext", "runAsUser"]]
        return (user?.integer ?? 0) == 0
    }

    /// Returns the pod with the template merged into it.
    func applied(to pod: JSON) -> JSON {
        var merged = Self.merge(self.pod, into: pod)
        // The terms of the list are alternatives. Appended, they would let the mover run where its volumes are not.
        let terms = [
            "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms",
        ]
        if let ours = pod[path: terms]?.array, let theirs = self.pod[path: terms]?.array, !theirs.isEmpty {
            merged[path: terms] = .array(ours.flatMap { our in theirs.map { Self.merge($0, into: our) } })
        }
        for list in ["initContainers", "containers"] {
            guard let containers = merged[path: ["spec", list]]?.array else { continue }
            merged[path: ["spec", list]] = .array(containers.map { Self.merge(container, into: $0) })
        }
        return merged
    }

    private static func merge(_ value: JSON, into base: JSON) -> JSON {
        switch (base, value) {
        case (.object(var members), .object(let new)):
            for (key, value) in new where value != .null {
                members[key] = members[key].map { merge(value, into: $0) } ?? value
            }
            return .object(members)
        case (.array(let elements), .array(let more)): return .array(elements + more)
        default: return value
        }
    }

    // MARK: Refusing

    /// Returns the object at a path; an empty one where there is none, or only a key.
    private static func object(_ manifest: JSON, _ path: [String]) throws(Refusal) -> [String: JSON] {
        let value = path.isEmpty ? manifest : manifest[path: path] ?? .null
        if value == .null { return [:] }
        guard let object = value.object else {
            throw Refusal("\(path.isEmpty ? "spec.containers[0]" : path.joined(separator: ".")) must be a mapping")
        }
        return object
    }

    private static func refuse(_ fields: [String], in object: [String: JSON], at place: String) throws(Refusal) {
        for field in fields where object[field] ?? .null != .null {
            throw Refusal("\(place).\(field) can't be set: the copy and its safety depend on it")
        }
    }

    /// Refuses an element of a list that has one of our names or places.
    private static func refuse(
        _ element: JSON,
        _ fields: [String],
        at place: String,
        where isOurs: (String) -> Bool
    ) throws(Refusal) {
        for field in fields {
            guard let text = element[field]?.string, isOurs(text) else { continue }
            throw Refusal("\(place).\(field) can't be \(text), which is of the claims that are copied")
        }
    }
}
