import Kubernetes

extension APIResource {
    static let resourceQuotas = APIResource(kind: "ResourceQuota", plural: "resourcequotas")
}

struct ResourceQuota: KubernetesObject {
    static let resource = APIResource.resourceQuotas

    struct Status: Decodable, Sendable {
        // Only the amounts that matter here are read: others are written in other units.
        var hard: [String: JSON]?
        var used: [String: JSON]?
    }

    var metadata: ObjectMeta
    var status: Status?

    /// What is left of a resource; nil where the quota doesn't limit it.
    func left(of resource: String) -> Int64? {
        guard let hard = Self.amount(status?.hard?[resource]) else { return nil }
        return max(0, hard - (Self.amount(status?.used?[resource]) ?? 0))
    }

    private static func amount(_ value: JSON?) -> Int64? {
        // Anybody who answers for the server may say less than nothing, which must not overflow.
        (value?.integer ?? value?.string.flatMap { Quantity($0) }?.bytes).map { max(0, $0) }
    }
}

extension Migrator {
    /// Adds up what the staging claims take from their namespaces' quotas.
    ///
    /// Quotas that may not be read are left to the dry runs; the check of permissions says so.
    func checkQuotas(_ discovery: Discovery) async throws -> [Obstacle] {
        do {
            let quotas = try await client.list(ResourceQuota.self, in: options.selection)
            return quotas.flatMap {
                Self.shortages(of: $0, units: discovery.units, staged: discovery.claimsToStage, options: options)
            }
        } catch let error as APIError where error.reason == .forbidden {
            return []
        }
    }

    /// What a quota lacks.
    ///
    /// Units go one after the other, and a unit's staging claims are gone when it is done: so the largest unit counts
    /// for what is limited in general. What is limited for the destination class stays taken: so all units count.
    static func shortages(
        of quota: ResourceQuota,
        units: [Unit],
        staged: [ClaimState],
        options: Options
    ) -> [Obstacle] {
        /// Sizes are what anybody may write: the sum stops at the largest number.
        func sum(_ left: Int64, _ right: Int64) -> Int64 { left > .max - right ? .max : left + right }
        let sizes = Dictionary(staged.map { ($0.name, $0.size?.bytes ?? 0) }, uniquingKeysWith: { $1 })
        let demands = units.map { unit in
            unit.claims.filter { $0.name.namespace == quota.metadata.namespace }.compactMap { sizes[$0.name] }
        }
        let counts = demands.map { Int64($0.count) }
        let bytes = demands.map { $0.reduce(0, sum) }
        let ofClass = "\(options.destinationClass).storageclass.storage.k8s.io/"
        let limited: [(resource: String, needed: Int64, isSize: Bool)] = [
            ("persistentvolumeclaims", counts.max() ?? 0, false),
            ("count/persistentvolumeclaims", counts.max() ?? 0, false),
            ("requests.storage", bytes.max() ?? 0, true),
            (ofClass + "persistentvolumeclaims", counts.reduce(0, +), false),
            (ofClass + "requests.storage", bytes.reduce(0, sum), true),
        ]
        return limited.compactMap { resource, needed, isSize in
            guard needed > 0, let left = quota.left(of: resource), needed > left else { return nil }
            func words(_ amount: Int64) -> String { isSize ? amount.inBytes : String(amount) }
            return Obstacle(
                namespace: quota.metadata.namespace,
                resource: quota.title,
                message: "leaves \(words(left)) of \(resource), but the staging claims need \(words(needed)) at a time"
            )
        }
    }
}
