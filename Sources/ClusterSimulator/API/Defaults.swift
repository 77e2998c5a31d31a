import FoundationEssentials
import Kubernetes

/// Fills in what a type's defaults say, and writes values in their canonical form.
enum Defaults {
    static func apply(to object: inout JSON, _ resource: Resource) {
        guard resource.isBuiltIn else { return }
        tidy(&object)
        switch resource {
        case .pods: podSpec(&object, "spec", isTemplate: false)
        case .persistentVolumeClaims: claim(&object)
        case .persistentVolumes: volume(&object)
        case .storageClasses:
            set(&object, ["reclaimPolicy"], "Delete")
            set(&object, ["volumeBindingMode"], "Immediate")
        case .statefulSets: statefulSet(&object)
        case .deployments: deployment(&object)
        case .replicaSets, .replicationControllers: replicated(&object)
        case .daemonSets: daemonSet(&object)
        case .jobs: job(&object)
        case .cronJobs: cronJob(&object)
        case .secrets: secret(&object)
        case .events:
            set(&object, ["reportingComponent"], "")
            set(&object, ["reportingInstance"], "")
        case .services: service(&object)
        case .resourceQuotas: canonical(&object, ["spec", "hard"])
        default: break
        }
    }

    private static func set(_ object: inout JSON, _ path: [String], _ value: JSON) {
        if object[path: path] == nil { object[path: path] = value }
    }

    /// Leaves out what Go leaves out: nulls, empty lists, and empty maps of text.
    private static func tidy(_ value: inout JSON) {
        switch value {
        case .object(let members):
            for (key, member) in members {
                switch member {
                case .null: value[key] = nil
                case .array(let elements) where elements.isEmpty: value[key] = nil
                case .object(let inner) where inner.isEmpty && emptyMaps.contains(key): value[key] = nil
                case .object, .array:
                    var changed = member
                    tidy(&changed)
                    if changed != member { value[key] = changed }
                default: break
                }
            }
        case .array(var elements):
            for index in elements.indices { tidy(&elements[index]) }
            value = .array(elements)
        default: break
        }
    }

    private static let emptyMaps: Set<String> = [
        "labels", "annotations", "matchLabels", "nodeSelector", "data", "binaryData", "parameters", "requests",
        "limits", "capacity",
    ]

    /// Writes the quantities of a map in their canonical form.
    static func canonical(_ object: inout JSON, _ path: [String]) {
        guard let amounts = object[path: path]?.object else { return }
        for (key, value) in amounts {
            guard let text = value.string ?? value.integer.map(String.init), let amount = Amount(text) else { continue }
            let canonical = JSON.string(amount.description)
            if canonical != value { object[path: path + [key]] = canonical }
        }
    }

    private static func claim(_ claim: inout JSON) {
        set(&claim, ["status", "phase"], "Pending")
        claimSpec(&claim)
    }

    private static func claimSpec(_ claim: inout JSON) {
        set(&claim, ["spec", "volumeMode"], "Filesystem")
        set(&claim, ["spec", "resources"], [:])
        if let source = claim["spec"]?["dataSource"] { set(&claim, ["spec", "dataSourceRef"], source) }
        canonical(&claim, ["spec", "resources", "requests"])
        canonical(&claim, ["spec", "resources", "limits"])
        canonical(&claim, ["status", "capacity"])
    }

    private static func volume(_ volume: inout JSON) {
        set(&volume, ["spec", "persistentVolumeReclaimPolicy"], "Retain")
        set(&volume, ["spec", "volumeMode"], "Filesystem")
        set(&volume, ["status", "phase"], "Pending")
        canonical(&volume, ["spec", "capacity"])
        if volume["spec"]?["hostPath"] != nil { set(&volume, ["spec", "hostPath", "type"], "") }
        if volume["spec"]?["claimRef"] != nil {
            set(&volume, ["spec", "claimRef", "kind"], "PersistentVolumeClaim")
            set(&volume, ["spec", "claimRef", "apiVersion"], "v1")
        }
    }

    // MARK: Pods

    private static func podSpec(_ object: inout JSON, _ field: String, isTemplate: Bool) {
        guard var spec = object[field], spec.object != nil else { return }
        set(&spec, ["restartPolicy"], "Always")
        set(&spec, ["terminationGracePeriodSeconds"], 30)
        set(&spec, ["dnsPolicy"], "ClusterFirst")
        set(&spec, ["securityContext"], [:])
        set(&spec, ["schedulerName"], "default-scheduler")
        if let account = spec["serviceAccountName"] ?? spec["serviceAccount"] {
            spec["serviceAccountName"] = account
            spec["serviceAccount"] = account
        }
        if !isTemplate { set(&spec, ["enableServiceLinks"], true) }
        for list in ["containers", "initContainers"] {
            guard case .array(var containers)? = spec[list] else { continue }
            for index in containers.indices { container(&containers[index], isTemplate: isTemplate) }
            spec[list] = .array(containers)
        }
        if case .array(var volumes)? = spec["volumes"] {
            for index in volumes.indices { podVolume(&volumes[index]) }
            spec["volumes"] = .array(volumes)
        }
        object[field] = spec
    }

    private static func container(_ container: inout JSON, isTemplate: Bool) {
        set(&container, ["terminationMessagePath"], "/dev/termination-log")
        set(&container, ["terminationMessagePolicy"], "File")
        set(&container, ["resources"], [:])
        let image = container["image"]?.string ?? ""
        let tag = image.split(separator: "/").last?.split(separator: ":").dropFirst().first
        let pinned = image.contains("@") || (tag != nil && tag != "latest")
        set(&container, ["imagePullPolicy"], pinned ? "IfNotPresent" : "Always")
        canonical(&container, ["resources", "requests"])
        canonical(&container, ["resources", "limits"])
        if !isTemplate, let limits = container["resources"]?["limits"]?.object {
            for (key, value) in limits { set(&container, ["resources", "requests", key], value) }
        }
        if case .array(var ports)? = container["ports"] {
            for index in ports.indices { set(&ports[index], ["protocol"], "TCP") }
            container["ports"] = .array(ports)
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] where container[probe] != nil {
            for (key, value) in [
                ("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3),
            ] as [(String, Int64)] { set(&container, [probe, key], .integer(value)) }
        }
        if case .array(var variables)? = container["env"] {
            for index in variables.indices where variables[index]["valueFrom"]?["fieldRef"] != nil {
                set(&variables[index], ["valueFrom", "fieldRef", "apiVersion"], "v1")
            }
            container["env"] = .array(variables)
        }
    }

    private static func podVolume(_ volume: inout JSON) {
        for source in ["configMap", "secret", "downwardAPI", "projected"] where volume[source] != nil {
            set(&volume, [source, "defaultMode"], 420)
        }
        if volume["hostPath"] != nil { set(&volume, ["hostPath", "type"], "") }
        if case .object(var template)? = volume["ephemeral"]?["volumeClaimTemplate"] {
            var claim = JSON.object(template)
            claimSpec(&claim)
            template = claim.object ?? template
            volume[path: ["ephemeral", "volumeClaimTemplate"]] = .object(template)
        }
        if volume.object?.count == 1 { volume["emptyDir"] = [:] }
    }

    // MARK: Workloads

    private static func template(_ object: inout JSON) {
        guard var template = object["spec"]?["template"] else { return }
        podSpec(&template, "spec", isTemplate: true)
        object[path: ["spec", "template"]] = template
    }

    private static func replicated(_ object: inout JSON) {
        set(&object, ["spec", "replicas"], 1)
        set(&object, ["status", "replicas"], 0)
        template(&object)
    }

    private static func statefulSet(_ object: inout JSON) {
        set(&object, ["spec", "replicas"], 1)
        set(&object, ["spec", "podManagementPolicy"], "OrderedReady")
        set(&object, ["spec", "updateStrategy", "type"], "RollingUpdate")
        if object["spec"]?["updateStrategy"]?["type"] == "RollingUpdate" {
            set(&object, ["spec", "updateStrategy", "rollingUpdate", "partition"], 0)
        }
        set(&object, ["spec", "revisionHistoryLimit"], 10)
        set(&object, ["spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"], "Retain")
        set(&object, ["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"], "Retain")
        set(&object, ["status", "replicas"], 0)
        set(&object, ["status", "availableReplicas"], 0)
        template(&object)
        guard case .array(var claims)? = object["spec"]?["volumeClaimTemplates"] else { return }
        for index in claims.indices {
            set(&claims[index], ["kind"], "PersistentVolumeClaim")
            set(&claims[index], ["apiVersion"], "v1")
            claim(&claims[index])
        }
        object[path: ["spec", "volumeClaimTemplates"]] = .array(claims)
    }

    private static func deployment(_ object: inout JSON) {
        set(&object, ["spec", "replicas"], 1)
        set(&object, ["spec", "strategy", "type"], "RollingUpdate")
        if object["spec"]?["strategy"]?["type"] == "RollingUpdate" {
            set(&object, ["spec", "strategy", "rollingUpdate", "maxUnavailable"], "25%")
            set(&object, ["spec", "strategy", "rollingUpdate", "maxSurge"], "25%")
        }
        set(&object, ["spec", "revisionHistoryLimit"], 10)
        set(&object, ["spec", "progressDeadlineSeconds"], 600)
        set(&object, ["status"], [:])
        template(&object)
    }

    private static func daemonSet(_ object: inout JSON) {
        set(&object, ["spec", "updateStrategy", "type"], "RollingUpdate")
        if object["spec"]?["updateStrategy"]?["type"] == "RollingUpdate" {
            set(&object, ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"], 1)
            set(&object, ["spec", "updateStrategy", "rollingUpdate", "maxSurge"], 0)
        }
        set(&object, ["spec", "revisionHistoryLimit"], 10)
        for field in ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"] {
            set(&object, ["status", field], 0)
        }
        template(&object)
    }

    private static func job(_ object: inout JSON) {
        if object["spec"]?["completions"] == nil, object["spec"]?["parallelism"] == nil {
            set(&object, ["spec", "completions"], 1)
        }
        set(&object, ["spec", "parallelism"], 1)
        set(&object, ["spec", "backoffLimit"], 6)
        set(&object, ["spec", "completionMode"], "NonIndexed")
        set(&object, ["spec", "suspend"], false)
        set(&object, ["spec", "podReplacementPolicy"], "TerminatingOrFailed")
        set(&object, ["spec", "manualSelector"], false)
        set(&object, ["status"], [:])
        // The job's pods take its template's labels, its own come from the template where it has none.
        if object["metadata"]?["labels"] == nil, let labels = object[path: ["spec", "template", "metadata", "labels"]] {
            object[path: ["metadata", "labels"]] = labels
        }
        template(&object)
    }

    private static func cronJob(_ object: inout JSON) {
        set(&object, ["spec", "concurrencyPolicy"], "Allow")
        set(&object, ["spec", "suspend"], false)
        set(&object, ["spec", "successfulJobsHistoryLimit"], 3)
        set(&object, ["spec", "failedJobsHistoryLimit"], 1)
        set(&object, ["status"], [:])
        guard var jobTemplate = object["spec"]?["jobTemplate"] else { return }
        template(&jobTemplate)
        object[path: ["spec", "jobTemplate"]] = jobTemplate
    }

    private static func secret(_ object: inout JSON) {
        set(&object, ["type"], "Opaque")
        for (key, value) in object["stringData"]?.object ?? [:] {
            guard let text = value.string else { continue }
            object[path: ["data", key]] = .string(Data(text.utf8).base64EncodedString())
        }
        object["stringData"] = nil
    }

    private static func service(_ object: inout JSON) {
        set(&object, ["spec", "type"], "ClusterIP")
        set(&object, ["spec", "sessionAffinity"], "None")
        set(&object, ["spec", "clusterIP"], "None")
        set(&object, ["status", "loadBalancer"], [:])
        if case .array(var ports)? = object["spec"]?["ports"] {
            for index in ports.indices {
                set(&ports[index], ["protocol"], "TCP")
                if let port = ports[index]["port"] { set(&ports[index], ["targetPort"], port) }
            }
            object[path: ["spec", "ports"]] = .array(ports)
        }
    }
}
