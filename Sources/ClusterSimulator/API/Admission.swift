import Kubernetes

extension Cluster {
    // MARK: Changing what comes in

    /// The mutating admission plugins.
    mutating func admit(_ object: inout JSON, _ resource: Resource) throws(Refusal) {
        switch resource {
        case .persistentVolumeClaims:
            addFinalizer("kubernetes.io/pvc-protection", to: &object)
            if object["spec"]?["storageClassName"] == nil, let name = defaultStorageClass() {
                object[path: ["spec", "storageClassName"]] = .string(name)
            }
        case .persistentVolumes: addFinalizer("kubernetes.io/pv-protection", to: &object)
        case .pods:
            if !behaviour.injectedContainers.isEmpty {
                let own = object["spec"]?["containers"]?.array ?? []
                object[path: ["spec", "containers"]] = .array(own + behaviour.injectedContainers)
            }
            try addServiceAccount(to: &object)
            applyLimitRangeDefaults(to: &object)
            addPriority(to: &object)
            addTolerations(to: &object)
        default: break
        }
    }

    private func addFinalizer(_ finalizer: String, to object: inout JSON) {
        let finalizers = object["metadata"]?["finalizers"]?.array ?? []
        if finalizers.contains(.string(finalizer)) { return }
        object[path: ["metadata", "finalizers"]] = .array(finalizers + [.string(finalizer)])
    }

    /// The newest class that is marked as default; the first by name among those of the same second.
    func defaultStorageClass() -> String? {
        let defaults = list(.storageClasses).filter { storageClass in
            let annotations = storageClass["metadata"]?["annotations"]
            return annotations?["storageclass.kubernetes.io/is-default-class"] == "true"
                || annotations?["storageclass.beta.kubernetes.io/is-default-class"] == "true"
        }
        func created(_ storageClass: JSON) -> String { storageClass["metadata"]?["creationTimestamp"]?.string ?? "" }
        return defaults.sorted { (created($1), $0.name) < (created($0), $1.name) }.first?.name
    }

    private mutating func addServiceAccount(to pod: inout JSON) throws(Refusal) {
        let namespace = pod.namespace
        let name = pod["spec"]?["serviceAccountName"]?.string ?? "default"
        pod[path: ["spec", "serviceAccountName"]] = .string(name)
        pod[path: ["spec", "serviceAccount"]] = .string(name)
        guard let account = get(ObjectKey(.serviceAccounts, namespace, name)) else {
            throw .forbidden(
                .pods,
                pod.name,
                "error looking up service account \(namespace)/\(name): serviceaccount \"\(name)\" not found"
            )
        }
        let mounts =
            pod["spec"]?["automountServiceAccountToken"]?.bool ?? account["automountServiceAccountToken"]?.bool ?? true
        guard mounts else { return }
        let path = "/var/run/secrets/kubernetes.io/serviceaccount"
        let volume = JSON.string("kube-api-access-" + makeSuffix())
        var isMounted = false
        for list in ["initContainers", "containers"] {
            guard case .array(var containers)? = pod["spec"]?[list] else { continue }
            for index in containers.indices {
                let mounts = containers[index]["volumeMounts"]?.array ?? []
                if mounts.contains(where: { $0["mountPath"]?.string == path }) { continue }
                containers[index]["volumeMounts"] = .array(
                    mounts + [["name": volume, "readOnly": true, "mountPath": .string(path)]]
                )
                isMounted = true
            }
            pod[path: ["spec", list]] = .array(containers)
        }
        guard isMounted else { return }
        let token: JSON = [
            "name": volume,
            "projected": [
                "defaultMode": 420,
                "sources": [
                    ["serviceAccountToken": ["expirationSeconds": 3607, "path": "token"]],
                    ["configMap": ["name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]]]],
                    [
                        "downwardAPI": [
                            "items": [
                                [
                                    "path": "namespace",
                                    "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.namespace"],
                                ]
                            ]
                        ]
                    ],
                ],
            ],
        ]
        pod[path: ["spec", "volumes"]] = .array((pod["spec"]?["volumes"]?.array ?? []) + [token])
    }

    private func addPriority(to pod: inout JSON) {
        var priority: JSON = 0
        if let name = pod["spec"]?["priorityClassName"]?.string,
            let found = get(ObjectKey(.priorityClasses, nil, name))
        {
            priority = found["value"] ?? 0
        }
        pod[path: ["spec", "priority"]] = priority
        if pod["spec"]?["preemptionPolicy"] == nil {
            pod[path: ["spec", "preemptionPolicy"]] = "PreemptLowerPriority"
        }
    }

    private func addTolerations(to pod: inout JSON) {
        var tolerations = pod["spec"]?["tolerations"]?.array ?? []
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] as [JSON] {
            let isTolerated = tolerations.contains {
                ($0["key"] == key || $0["key"] == nil) && ($0["effect"] == "NoExecute" || $0["effect"] == nil)
            }
            if isTolerated { continue }
            tolerations.append(
                ["key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300])
        }
        pod[path: ["spec", "tolerations"]] = .array(tolerations)
    }

    private func applyLimitRangeDefaults(to pod: inout JSON) {
        for limit in limits(in: pod.namespace) where limit["type"] == "Container" {
            for list in ["containers", "initContainers"] {
                guard case .array(var containers)? = pod["spec"]?[list] else { continue }
                for index in containers.indices {
                    for (kind, field) in [("limits", "default"), ("requests", "defaultRequest")] {
                        for (name, value) in limit[field]?.object ?? [:]
                        where containers[index]["resources"]?[kind]?[name] == nil {
                            containers[index][path: ["resources", kind, name]] = value
                        }
                    }
                }
                pod[path: ["spec", list]] = .array(containers)
            }
        }
    }

    private func limits(in namespace: String) -> [JSON] {
        list(.limitRanges, namespace: namespace).flatMap { $0["spec"]?["limits"]?.array ?? [] }
    }

    // MARK: Refusing

    /// The validating admission plugins.
    mutating func checkAdmission(of object: JSON, _ resource: Resource) throws(Refusal) {
        switch resource {
        case .pods:
            try checkLimitRanges(ofPod: object)
            try checkPodSecurity(of: object)
        case .persistentVolumeClaims: try checkLimitRanges(ofClaim: object)
        default: break
        }
        if resource.namespaced { try checkQuota(for: object, resource) }
    }

    private func checkLimitRanges(ofClaim claim: JSON) throws(Refusal) {
        guard let request = claim["spec"]?["resources"]?["requests"]?["storage"]?.string.flatMap(Amount.init) else {
            return
        }
        for limit in limits(in: claim.namespace) where limit["type"] == "PersistentVolumeClaim" {
            if let least = limit["min"]?["storage"]?.string.flatMap(Amount.init), request < least {
                throw .forbidden(
                    .persistentVolumeClaims,
                    claim.name,
                    "minimum storage usage per PersistentVolumeClaim is \(least), but request is \(request)"
                )
            }
            if let most = limit["max"]?["storage"]?.string.flatMap(Amount.init), request > most {
                throw .forbidden(
                    .persistentVolumeClaims,
                    claim.name,
                    "maximum storage usage per PersistentVolumeClaim is \(most), but request is \(request)"
                )
            }
        }
    }

    private func checkLimitRanges(ofPod pod: JSON) throws(Refusal) {
        for limit in limits(in: pod.namespace) where limit["type"] == "Container" {
            for container in pod["spec"]?["containers"]?.array ?? [] {
                for (name, value) in (limit["max"]?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
                    guard let most = value.string.flatMap(Amount.init) else { continue }
                    guard let amount = container["resources"]?["limits"]?[name]?.string.flatMap(Amount.init) else {
                        throw .forbidden(
                            .pods,
                            pod.name,
                            "maximum \(name) usage per Container is \(most).  No limit is specified"
                        )
                    }
                    if amount > most {
                        throw .forbidden(
                            .pods,
                            pod.name,
                            "maximum \(name) usage per Container is \(most), but limit is \(amount)"
                        )
                    }
                }
                for (name, value) in (limit["min"]?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
                    guard let least = value.string.flatMap(Amount.init) else { continue }
                    guard let amount = container["resources"]?["requests"]?[name]?.string.flatMap(Amount.init) else {
                        throw .forbidden(
                            .pods,
                            pod.name,
                            "minimum \(name) usage per Container is \(least).  No request is specified"
                        )
                    }
                    if amount < least {
                        throw .forbidden(
                            .pods,
                            pod.name,
                            "minimum \(name) usage per Container is \(least), but request is \(amount)"
                        )
                    }
                }
            }
        }
    }

    private func checkPodSecurity(of pod: JSON) throws(Refusal) {
        guard let labels = get(ObjectKey(.namespaces, nil, pod.namespace))?["metadata"]?["labels"],
            let level = labels["pod-security.kubernetes.io/enforce"]?.string
        else { return }
        let violations = PodSecurity.violations(of: pod["spec"], level: level)
        if violations.isEmpty { return }
        let version = labels["pod-security.kubernetes.io/enforce-version"]?.string ?? "latest"
        throw .forbidden(
            .pods,
            pod.name,
            "violates PodSecurity \"\(level):\(version)\": \(violations.joined(separator: ", "))"
        )
    }

    /// What the server warns of without refusing it.
    func warnings(for object: JSON, _ resource: Resource) -> [String] {
        let spec: JSON?
        switch resource {
        case .pods: spec = object["spec"]
        case .deployments, .statefulSets, .daemonSets, .replicaSets, .jobs, .replicationControllers:
            spec = object["spec"]?["template"]?["spec"]
        default: return []
        }
        guard let labels = get(ObjectKey(.namespaces, nil, object.namespace))?["metadata"]?["labels"],
            let level = labels["pod-security.kubernetes.io/warn"]?.string
        else { return [] }
        let violations = PodSecurity.violations(of: spec, level: level)
        if violations.isEmpty { return [] }
        let version = labels["pod-security.kubernetes.io/warn-version"]?.string ?? "latest"
        return ["would violate PodSecurity \"\(level):\(version)\": \(violations.joined(separator: ", "))"]
    }

    /// A claim may grow only where its class allows it.
    func checkResize(from old: JSON, to new: JSON, _ resource: Resource) throws(Refusal) {
        guard resource == .persistentVolumeClaims,
            let before = old["spec"]?["resources"]?["requests"]?["storage"]?.string.flatMap(Amount.init),
            let after = new["spec"]?["resources"]?["requests"]?["storage"]?.string.flatMap(Amount.init),
            after > before, old["status"]?["phase"]?.string == "Bound"
        else { return }
        let name = old["spec"]?["storageClassName"]?.string ?? ""
        if get(ObjectKey(.storageClasses, nil, name))?["allowVolumeExpansion"]?.bool == true { return }
        throw .forbidden(
            resource,
            old.name,
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                + "support resize"
        )
    }
}
