import Kubernetes

/// The Pod Security Standards, `baseline` and `restricted`, with the messages of the real admission plugin.
enum PodSecurity {
    static func violations(of spec: JSON?, level: String) -> [String] {
        guard let spec, level == "baseline" || level == "restricted" else { return [] }
        let pod = Subject(spec)
        let restricted = level == "restricted"
        var found: [String?] = []
        if restricted { found.append(allowPrivilegeEscalation(pod)) }
        found.append(restricted ? restrictedCapabilities(pod) : baselineCapabilities(pod))
        found.append(hostNamespaces(spec))
        if !restricted { found.append(hostPaths(spec)) }
        found.append(hostPorts(pod))
        found.append(
            named(pod.containers { $0["securityContext"]?["privileged"]?.bool == true }).map {
                "privileged (\($0) must not set securityContext.privileged=true)"
            }
        )
        if restricted {
            found.append(restrictedVolumes(spec))
            found.append(runAsNonRoot(pod))
            found.append(runAsUser(pod))
        }
        found.append(seccomp(pod, restricted: restricted))
        return found.compactMap { $0 }
    }

    private struct Subject {
        let context: JSON?
        let all: [JSON]

        init(_ spec: JSON) {
            context = spec["securityContext"]
            all = ["initContainers", "containers", "ephemeralContainers"].flatMap { spec[$0]?.array ?? [] }
        }

        func containers(where matches: (JSON) -> Bool) -> [String] {
            all.filter(matches).map { $0["name"]?.string ?? "" }
        }
    }

    private static func quoted(_ names: [String]) -> String {
        names.map { "\"\($0)\"" }.joined(separator: ", ")
    }

    private static func named(_ names: [String], _ noun: String = "container") -> String? {
        names.isEmpty ? nil : "\(noun)\(names.count > 1 ? "s" : "") \(quoted(names))"
    }

    private static func allowPrivilegeEscalation(_ pod: Subject) -> String? {
        named(pod.containers { $0["securityContext"]?["allowPrivilegeEscalation"]?.bool != false }).map {
            "allowPrivilegeEscalation != false (\($0) must set securityContext.allowPrivilegeEscalation=false)"
        }
    }

    private static func capabilities(_ container: JSON, _ field: String) -> [String] {
        (container["securityContext"]?["capabilities"]?[field]?.array ?? []).compactMap(\.string)
    }

    private static func restrictedCapabilities(_ pod: Subject) -> String? {
        var reasons: [String] = []
        if let names = named(pod.containers { !capabilities($0, "drop").contains("ALL") }) {
            reasons.append("\(names) must set securityContext.capabilities.drop=[\"ALL\"]")
        }
        let added = Set(pod.all.flatMap { capabilities($0, "add") }).subtracting(["NET_BIND_SERVICE"])
        if !added.isEmpty,
            let names = named(pod.containers { !added.isDisjoint(with: capabilities($0, "add")) })
        {
            reasons.append("\(names) must not include \(quoted(added.sorted())) in securityContext.capabilities.add")
        }
        return reasons.isEmpty ? nil : "unrestricted capabilities (\(reasons.joined(separator: "; ")))"
    }

    private static let defaultCapabilities: Set<String> = [
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    ]

    private static func baselineCapabilities(_ pod: Subject) -> String? {
        let added = Set(pod.all.flatMap { capabilities($0, "add") }).subtracting(defaultCapabilities)
        return named(pod.containers { !added.isDisjoint(with: capabilities($0, "add")) }).map {
            "non-default capabilities (\($0) must not include \(quoted(added.sorted())) in "
                + "securityContext.capabilities.add)"
        }
    }

    private static func hostNamespaces(_ spec: JSON) -> String? {
        let used = ["hostNetwork", "hostPID", "hostIPC"].filter { spec[$0]?.bool == true }
        return used.isEmpty ? nil : "host namespaces (\(used.map { $0 + "=true" }.joined(separator: ", ")))"
    }

    private static func hostPaths(_ spec: JSON) -> String? {
        let names = (spec["volumes"]?.array ?? []).filter { $0["hostPath"] != nil }.compactMap { $0["name"]?.string }
        return named(names, "volume").map { "hostPath volumes (\($0))" }
    }

    private static func hostPorts(_ pod: Subject) -> String? {
        func ports(_ container: JSON) -> [Int64] {
            (container["ports"]?.array ?? []).compactMap { $0["hostPort"]?.integer }.filter { $0 != 0 }
        }
        let used = pod.all.flatMap(ports).map(String.init).joined(separator: ", ")
        return named(pod.containers { !ports($0).isEmpty }).map { "hostPort (\($0) uses hostPort \(used))" }
    }

    private static func restrictedVolumes(_ spec: JSON) -> String? {
        let allowed: Set<String> = [
            "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
            "image", "name",
        ]
        let bad = (spec["volumes"]?.array ?? []).filter { volume in
            volume.object?.keys.contains { !allowed.contains($0) } ?? false
        }
        if bad.isEmpty { return nil }
        let types = Set(bad.flatMap { ($0.object ?? [:]).keys.filter { !allowed.contains($0) } }).sorted()
        let names = named(bad.compactMap { $0["name"]?.string }, "volume") ?? ""
        return
            "restricted volume types (\(names) \(bad.count > 1 ? "use" : "uses") restricted volume "
            + "type\(types.count > 1 ? "s" : "") \(quoted(types)))"
    }

    private static func runAsNonRoot(_ pod: Subject) -> String? {
        if pod.context?["runAsNonRoot"]?.bool == false {
            return "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"
        }
        let explicit = pod.containers { $0["securityContext"]?["runAsNonRoot"]?.bool == false }
        if let names = named(explicit) {
            return "runAsNonRoot != true (\(names) must not set securityContext.runAsNonRoot=false)"
        }
        if pod.context?["runAsNonRoot"]?.bool == true { return nil }
        return named(pod.containers { $0["securityContext"]?["runAsNonRoot"]?.bool != true }).map {
            "runAsNonRoot != true (pod or \($0) must set securityContext.runAsNonRoot=true)"
        }
    }

    private static func runAsUser(_ pod: Subject) -> String? {
        if pod.context?["runAsUser"]?.integer == 0 { return "runAsUser=0 (pod must not set runAsUser=0)" }
        return named(pod.containers { $0["securityContext"]?["runAsUser"]?.integer == 0 }).map {
            "runAsUser=0 (\($0) must not set runAsUser=0)"
        }
    }

    private static func seccomp(_ pod: Subject, restricted: Bool) -> String? {
        func type(_ context: JSON?) -> String? { context?["seccompProfile"]?["type"]?.string }
        let unconfined = pod.containers { type($0["securityContext"]) == "Unconfined" }
        if type(pod.context) == "Unconfined" || !unconfined.isEmpty {
            let who = type(pod.context) == "Unconfined" ? "pod" : named(unconfined) ?? ""
            return "seccompProfile (\(who) must not set securityContext.seccompProfile.type to \"Unconfined\")"
        }
        guard restricted, type(pod.context) == nil else { return nil }
        return named(pod.containers { type($0["securityContext"]) == nil }).map {
            "seccompProfile (pod or \($0) must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
                + "\"Localhost\")"
        }
    }
}
