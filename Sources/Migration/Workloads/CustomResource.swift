public import Kubernetes

/// The way to pause a custom resource that cannot be scaled: `--pause 'KIND/NAME=PATCH'`.
public struct Pause: Sendable, Equatable {
    public var kind: String
    public var name: String
    /// The merge patch that pauses the resource.
    public var patch: JSON

    /// Reads `KIND/NAME=PATCH`; nil where the text has another form, or the patch is no JSON object.
    public init?(_ text: String) {
        guard let equals = text.firstIndex(of: "="),
            let patch = JSON(parsingLeniently: String(text[text.index(after: equals)...])),
            case .object(let members) = patch, !members.isEmpty
        else { return nil }
        let parts = text[..<equals].split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        (kind, name, self.patch) = (String(parts[0]), String(parts[1]), patch)
    }

    /// Returns true where the object is meant. Kinds are compared as kubectl does, regardless of case.
    func isOf(_ kind: String, _ name: String) -> Bool {
        self.kind.lowercased() == kind.lowercased() && self.name == name
    }
}

extension APIResource {
    /// The groups of Kubernetes itself that are named like those of custom resources.
    private static let ownGroups: Set<String> = Set(
        [
            "admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization",
            "certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "internal.apiserver",
            "networking", "node", "rbac.authorization", "resource", "scheduling", "storage", "storagemigration",
        ].map { $0 + ".k8s.io" }
    )

    /// Returns true where a group is one of custom resources.
    static func isCustom(group: String) -> Bool { group.contains(".") && !ownGroups.contains(group) }

    var isCustom: Bool { Self.isCustom(group: group) }
}

extension Workload {
    /// Reads a custom resource that a merge patch pauses, together with all that it owns.
    init(_ resource: APIResource, _ metadata: ObjectMeta, _ object: JSON, pausedBy patch: JSON) {
        self.init(
            resource: resource,
            metadata: metadata,
            brake: .pause(patch: patch, inverse: object.inverse(of: patch)),
            replicas: object.isUnchanged(by: patch) ? 0 : 1,
            claimNames: []
        )
    }
}

extension Workloads {
    /// Reads a custom resource that is stopped by its scale, or paused.
    func currentCustomResource(_ workload: Workload) async throws -> Workload? {
        var now = workload
        do {
            let object = try await client.get(workload.resource, workload.name)
            now.metadata = try await client.get(MetadataObject.self, of: workload.resource, workload.name).metadata
            guard now.metadata.uid == workload.metadata.uid else { return nil }
            if case .pause(let patch, let inverse) = workload.brake {
                now.replicas = object.isUnchanged(by: patch) ? 0 : 1
                // The present values are restored later, unless the resource is paused already.
                let kept = now.replicas == 0 ? inverse : object.inverse(of: patch)
                now.brake = .pause(patch: patch, inverse: kept)
            } else {
                let scale = try await client.get(workload.resource, workload.name, subresource: "scale")
                // The API leaves out a scale of 0 (transcript custom_scale).
                now.replicas = Int(clamping: scale[path: ["spec", "replicas"]]?.integer ?? 0)
            }
        } catch let error as APIError where error.reason == .notFound {
            return nil
        }
        return now
    }

    /// Sets the scale of a custom resource in the version that was read.
    func setScale(of workload: Workload, to scale: Int) async throws {
        try await client.patch(
            workload.resource,
            workload.name,
            subresource: "scale",
            .merge(onto: workload.metadata, ["spec": ["replicas": .integer(Int64(scale))]])
        )
    }
}
