import Kubernetes

/// What is known of the fields of the built-in types: which there are, and which hold quantities or numbers.
///
/// Enough to find the slips of a client; where nothing is said of a field's inside, everything is taken.
indirect enum Schema: Sendable {
    case anything
    case quantities
    case integer
    case object([String: Schema])
    case list(Schema)

    /// Takes away the fields that the type does not have.
    ///
    /// - Returns: their paths, as messages name them.
    static func prune(_ object: inout JSON, _ resource: Resource) -> [String] {
        guard let schema = schemas[resource.kind], resource.isBuiltIn else { return [] }
        var unknown: [String] = []
        schema.prune(&object, "", &unknown)
        return unknown.sorted()
    }

    /// The first value of a wrong type, in the words of Go's decoder.
    static func typeProblem(_ object: JSON, _ resource: Resource) -> String? {
        guard let schema = schemas[resource.kind], resource.isBuiltIn else { return nil }
        return schema.problem(object, "", resource.kind)
    }

    private func prune(_ value: inout JSON, _ path: String, _ unknown: inout [String]) {
        switch (self, value) {
        case (.object(let fields), .object(let members)):
            for (key, member) in members {
                let inner = path.isEmpty ? key : path + "." + key
                guard let schema = fields[key] else {
                    unknown.append(inner)
                    value[key] = nil
                    continue
                }
                if case .anything = schema { continue }
                var member = member
                let before = unknown.count
                schema.prune(&member, inner, &unknown)
                if unknown.count > before { value[key] = member }
            }
        case (.list(let schema), .array(var elements)):
            let before = unknown.count
            for index in elements.indices { schema.prune(&elements[index], "\(path)[\(index)]", &unknown) }
            if unknown.count > before { value = .array(elements) }
        default: break
        }
    }

    private func problem(_ value: JSON, _ path: String, _ type: String) -> String? {
        switch (self, value) {
        case (_, .null): return nil
        case (.object(let fields), .object(let members)):
            for key in members.keys.sorted() {
                guard let schema = fields[key], let member = members[key] else { continue }
                if let problem = schema.problem(member, path.isEmpty ? key : path + "." + key, type) { return problem }
            }
            return nil
        case (.object, _), (.list, .object), (.list, .string), (.list, .integer):
            return "json: cannot unmarshal \(Self.goName(value)) into Go struct field \(type).\(path)"
        case (.list(let schema), .array(let elements)):
            for element in elements {
                if let problem = schema.problem(element, path, type) { return problem }
            }
            return nil
        case (.quantities, .object(let members)):
            for value in members.values {
                guard let text = value.string ?? value.integer.map(String.init), Amount(text) != nil else {
                    return
                        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                }
            }
            return nil
        case (.integer, .string), (.integer, .bool), (.integer, .object), (.integer, .array):
            return "json: cannot unmarshal \(Self.goName(value)) into Go struct field \(type).\(path) of type int32"
        default: return nil
        }
    }

    private static func goName(_ value: JSON) -> String {
        switch value {
        case .string: "string"
        case .array: "array"
        case .bool: "bool"
        case .object: "object"
        default: "number"
        }
    }

    private static func fields(_ names: String, _ more: [String: Schema] = [:]) -> Schema {
        var fields = more
        for name in names.split(whereSeparator: \.isWhitespace) { fields[String(name)] = .anything }
        return .object(fields)
    }

    private static func top(_ names: String, _ more: [String: Schema] = [:]) -> Schema {
        guard case .object(var all) = fields("apiVersion kind " + names, more) else { return .anything }
        all["metadata"] = metadata
        return .object(all)
    }

    private static let metadata = fields(
        """
        annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation \
        labels managedFields name namespace ownerReferences resourceVersion selfLink uid
        """
    )
    private static let claimSpec = fields(
        """
        accessModes dataSource dataSourceRef selector storageClassName volumeAttributesClassName volumeMode volumeName
        """,
        ["resources": fields("", ["requests": .quantities, "limits": .quantities])]
    )
    private static let nodeSelectorTerms = Schema.list(
        fields(
            "",
            [
                "matchExpressions": .list(fields("key operator values")),
                "matchFields": .list(fields("key operator values")),
            ]
        )
    )
    private static let nodeAffinity = fields(
        "",
        [
            "requiredDuringSchedulingIgnoredDuringExecution": fields("", ["nodeSelectorTerms": nodeSelectorTerms]),
            "preferredDuringSchedulingIgnoredDuringExecution": .list(fields("preference weight")),
        ]
    )
    private static let securityContext = fields(
        """
        allowPrivilegeEscalation appArmorProfile privileged procMount readOnlyRootFilesystem runAsNonRoot \
        seLinuxOptions windowsOptions
        """,
        [
            "capabilities": fields("add drop"), "seccompProfile": fields("localhostProfile type"),
            "runAsUser": .integer, "runAsGroup": .integer,
        ]
    )
    private static let podSecurityContext = fields(
        """
        appArmorProfile fsGroupChangePolicy runAsNonRoot seLinuxChangePolicy seLinuxOptions supplementalGroups \
        supplementalGroupsPolicy sysctls windowsOptions
        """,
        [
            "seccompProfile": fields("localhostProfile type"), "runAsUser": .integer, "runAsGroup": .integer,
            "fsGroup": .integer,
        ]
    )
    private static let container = fields(
        """
        args command envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy \
        restartPolicy startupProbe stdin stdinOnce targetContainerName terminationMessagePath \
        terminationMessagePolicy tty workingDir
        """,
        [
            "env": .list(fields("name value valueFrom")), "securityContext": securityContext,
            "volumeDevices": .list(fields("devicePath name")),
            "resources": fields("claims", ["requests": .quantities, "limits": .quantities]),
            "volumeMounts": .list(
                fields("mountPath mountPropagation name readOnly recursiveReadOnly subPath subPathExpr")
            ),
        ]
    )
    private static let podSpec = fields(
        """
        activeDeadlineSeconds automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks hostAliases \
        hostIPC hostNetwork hostPID hostUsers hostname nodeName nodeSelector os overhead \
        preemptionPolicy priority priorityClassName readinessGates resourceClaims resources restartPolicy \
        runtimeClassName schedulerName schedulingGates serviceAccount serviceAccountName setHostnameAsFQDN \
        shareProcessNamespace subdomain terminationGracePeriodSeconds \
        topologySpreadConstraints
        """,
        [
            "containers": .list(container), "initContainers": .list(container),
            "ephemeralContainers": .list(container), "securityContext": podSecurityContext,
            "affinity": fields("podAffinity podAntiAffinity", ["nodeAffinity": nodeAffinity]),
            "imagePullSecrets": .list(fields("name")),
            "tolerations": .list(fields("effect key operator tolerationSeconds value")),
            "volumes": .list(
                fields(
                    """
                    awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir \
                    ephemeral fc flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath image iscsi name nfs \
                    persistentVolumeClaim photonPersistentDisk portworxVolume projected quobyte rbd scaleIO secret \
                    storageos vsphereVolume
                    """
                )
            ),
        ]
    )
    private static let template = fields("", ["metadata": metadata, "spec": podSpec])
    private static let jobSpec = fields(
        """
        activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode managedBy manualSelector \
        maxFailedIndexes podFailurePolicy podReplacementPolicy selector successPolicy suspend ttlSecondsAfterFinished
        """,
        ["parallelism": .integer, "completions": .integer, "template": template]
    )

    private static let schemas: [String: Schema] = [
        "PersistentVolumeClaim": top("status", ["spec": claimSpec]),
        "PersistentVolume": top(
            "status",
            [
                "spec": fields(
                    """
                    accessModes awsElasticBlockStore azureDisk azureFile cephfs cinder claimRef csi fc flexVolume \
                    flocker gcePersistentDisk glusterfs hostPath iscsi local mountOptions nfs nodeAffinity \
                    persistentVolumeReclaimPolicy photonPersistentDisk portworxVolume quobyte rbd scaleIO \
                    storageClassName storageos volumeAttributesClassName volumeMode vsphereVolume
                    """,
                    ["capacity": .quantities]
                )
            ]
        ),
        "Pod": top("status", ["spec": podSpec]),
        "StatefulSet": top(
            "status",
            [
                "spec": fields(
                    """
                    minReadySeconds ordinals persistentVolumeClaimRetentionPolicy podManagementPolicy \
                    revisionHistoryLimit selector serviceName updateStrategy
                    """,
                    [
                        "replicas": .integer, "template": template,
                        "volumeClaimTemplates": .list(top("status", ["spec": claimSpec])),
                    ]
                )
            ]
        ),
        "Deployment": top(
            "status",
            [
                "spec": fields(
                    "minReadySeconds paused progressDeadlineSeconds revisionHistoryLimit selector strategy",
                    ["replicas": .integer, "template": template]
                )
            ]
        ),
        "ReplicaSet": top(
            "status",
            ["spec": fields("minReadySeconds selector", ["replicas": .integer, "template": template])]
        ),
        "ReplicationController": top(
            "status",
            ["spec": fields("minReadySeconds selector", ["replicas": .integer, "template": template])]
        ),
        "DaemonSet": top(
            "status",
            ["spec": fields("minReadySeconds revisionHistoryLimit selector updateStrategy", ["template": template])]
        ),
        "Job": top("status", ["spec": jobSpec]),
        "CronJob": top(
            "status",
            [
                "spec": fields(
                    """
                    concurrencyPolicy failedJobsHistoryLimit schedule startingDeadlineSeconds \
                    successfulJobsHistoryLimit suspend timeZone
                    """,
                    ["jobTemplate": fields("", ["metadata": metadata, "spec": jobSpec])]
                )
            ]
        ),
        "ConfigMap": top("binaryData data immutable"),
        "Secret": top("data immutable stringData type"),
        "Namespace": top("spec status"),
        "ServiceAccount": top("automountServiceAccountToken imagePullSecrets secrets"),
        "Service": top("spec status"),
        "StorageClass": top(
            """
            allowVolumeExpansion allowedTopologies mountOptions parameters provisioner reclaimPolicy volumeBindingMode
            """
        ),
        "Lease": top(
            "",
            [
                "spec": fields(
                    """
                    acquireTime holderIdentity leaseDurationSeconds leaseTransitions preferredHolder renewTime strategy
                    """
                )
            ]
        ),
        "Role": top("rules"),
        "ClusterRole": top("aggregationRule rules"),
        "RoleBinding": top("roleRef subjects"),
        "ClusterRoleBinding": top("roleRef subjects"),
        "ResourceQuota": top("status", ["spec": fields("scopeSelector scopes", ["hard": .quantities])]),
    ]
}
