import Kubernetes

extension Cluster {
    /// Refuses what would exceed a ResourceQuota of its namespace.
    func checkQuota(for object: JSON, _ resource: Resource) throws(Refusal) {
        let quotas = storedObjects(.resourceQuotas, namespace: object.namespace)
        if quotas.isEmpty || resource == .resourceQuotas || resource == .events { return }
        let requested = Self.charges(of: object, resource)
        for quota in quotas {
            guard let hard = quota.json["spec"]?["hard"]?.object else { continue }
            let used = usage(of: object.namespace, Array(hard.keys))
            if resource == .pods { try checkCompute(of: object, quota.json.name, hard) }
            var exceeded: [(String, Amount, Amount, Amount)] = []
            for (name, value) in hard.sorted(by: { $0.key < $1.key }) {
                guard let limit = value.string.flatMap(Amount.init), let more = requested[name], more > .zero else {
                    continue
                }
                let before = used[name] ?? .zero
                if before + more > limit { exceeded.append((name, more, before, limit)) }
            }
            if exceeded.isEmpty { continue }
            func list(_ amount: ((String, Amount, Amount, Amount)) -> Amount) -> String {
                exceeded.map { "\($0.0)=\(amount($0))" }.joined(separator: ",")
            }
            throw .forbidden(
                resource,
                object.name,
                "exceeded quota: \(quota.json.name), requested: \(list(\.1)), used: \(list(\.2)), limited: "
                    + "\(list(\.3))"
            )
        }
    }

    /// A quota of computing resources demands that every container says what it needs.
    private func checkCompute(of pod: JSON, _ quota: String, _ hard: [String: JSON]) throws(Refusal) {
        var missing: [String] = []
        for name in ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"]
        where hard[name] != nil {
            let kind = name.hasPrefix("limits.") ? "limits" : "requests"
            let plain = name.split(separator: ".").last.map(String.init) ?? name
            let containers = ["containers", "initContainers"].flatMap { pod["spec"]?[$0]?.array ?? [] }
            let without = containers.filter { $0["resources"]?[kind]?[plain] == nil }
            if without.isEmpty { continue }
            missing.append("\(name) for: \(without.compactMap { $0["name"]?.string }.joined(separator: ","))")
        }
        if missing.isEmpty { return }
        throw .forbidden(.pods, pod.name, "failed quota: \(quota): must specify \(missing.joined(separator: "; "))")
    }

    /// What one object counts against quotas, by the quota's names.
    private static func charges(of object: JSON, _ resource: Resource) -> [String: Amount] {
        var charges = ["count/" + resource.qualifiedName: Amount(1)]
        if resource.group.isEmpty { charges[resource.plural] = Amount(1) }
        switch resource {
        case .persistentVolumeClaims:
            let size = object["spec"]?["resources"]?["requests"]?["storage"]?.string.flatMap(Amount.init) ?? .zero
            charges["requests.storage"] = size
            if let name = object["spec"]?["storageClassName"]?.string {
                charges[name + ".storageclass.storage.k8s.io/requests.storage"] = size
                charges[name + ".storageclass.storage.k8s.io/persistentvolumeclaims"] = Amount(1)
            }
        case .pods:
            let phase = object["status"]?["phase"]?.string
            if phase == "Succeeded" || phase == "Failed" { return ["count/pods": Amount(1)] }
            for container in object["spec"]?["containers"]?.array ?? [] {
                for kind in ["requests", "limits"] {
                    for (name, value) in container["resources"]?[kind]?.object ?? [:] {
                        let amount = value.string.flatMap(Amount.init) ?? .zero
                        charges[kind + "." + name] = (charges[kind + "." + name] ?? .zero) + amount
                        if kind == "requests" { charges[name] = (charges[name] ?? .zero) + amount }
                    }
                }
            }
        default: break
        }
        return charges
    }

    private func usage(of namespace: String, _ names: [String]) -> [String: Amount] {
        var used: [String: Amount] = [:]
        for (resource, store) in stores where resource.namespaced && resource != .events {
            for object in store.objects(in: namespace) {
                for (name, amount) in Self.charges(of: object.json, resource) where names.contains(name) {
                    used[name] = (used[name] ?? .zero) + amount
                }
            }
        }
        return used
    }

    /// Brings the quotas of a namespace up to date after something in it changed.
    mutating func refreshQuotas(_ namespace: String?) {
        guard let namespace, stores[.resourceQuotas]?.objects(in: namespace).isEmpty == false else { return }
        for quota in storedObjects(.resourceQuotas, namespace: namespace) {
            guard let hard = quota.json["spec"]?["hard"]?.object else { continue }
            let used = usage(of: namespace, Array(hard.keys))
            var status: JSON = ["hard": .object(hard), "used": [:]]
            for name in hard.keys { status[path: ["used", name]] = .string((used[name] ?? .zero).description) }
            do {
                try update(quota.key, subresource: "status") { $0["status"] = status }
            } catch {
                preconditionFailure("a quota's status was refused: \(error)")
            }
        }
    }
}
