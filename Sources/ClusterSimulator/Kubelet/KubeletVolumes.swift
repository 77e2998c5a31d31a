import FoundationEssentials
import Kubernetes

/// Finds out what a pod's volumes are, and what its containers are to run with.
enum KubeletVolumes {
    /// Why a pod's volumes cannot be mounted now, or nil. It is tried again by itself only where nothing else would
    /// wake the kubelet.
    static func problem(_ pod: JSON, node: String, _ cluster: Cluster) -> (message: String?, retries: Bool)? {
        for volume in pod.list("spec", "volumes") {
            if let claim = claimName(volume, pod) {
                let key = ObjectKey(.persistentVolumeClaims, pod.namespace, claim)
                let prefix =
                    "Unable to attach or mount volumes: unmounted volumes=[\(volume.name_)], unattached volumes=[], "
                    + "failed to process volumes=[\(volume.name_)]: error processing PVC \(pod.namespace)/\(claim): "
                guard let found = cluster.get(key) else {
                    return (
                        prefix + "failed to fetch PVC from API server: persistentvolumeclaims \"\(claim)\" not found",
                        false
                    )
                }
                if found.isBeingDeleted { return (prefix + "PVC is being deleted", false) }
                if found.text("status", "phase") != "Bound" { return (prefix + "PVC is not bound", false) }
                let mode = found.at("spec", "volumeMode")?.string ?? "Filesystem"
                let wrong = mode == "Block" ? "volumeMounts" : "volumeDevices"
                let containers = pod.list("spec", "initContainers") + pod.list("spec", "containers")
                if containers.contains(where: { $0.list(wrong).contains { $0.name_ == volume.name_ } }) {
                    let why = "volume \(volume.name_) has volumeMode \(mode), but is specified in \(wrong)"
                    return (prefix + why, false)
                }
            }
            for (field, resource, name) in [
                ("configMap", Resource.configMaps, "name"), ("secret", .secrets, "secretName"),
            ] {
                guard let source = volume[field], source["optional"] != true else { continue }
                if cluster.get(ObjectKey(resource, pod.namespace, source.text(name))) == nil {
                    return (
                        "MountVolume.SetUp failed for volume \"\(volume.name_)\" : \(resource.singular) "
                            + "\"\(source.text(name))\" not found", true
                    )
                }
            }
        }
        let detached = AttachDetachController.volumes(of: pod, cluster).contains {
            let attachment = cluster.get(AttachDetachController.key($0, node))
            return attachment?.at("status", "attached") != true || attachment?.isBeingDeleted == true
        }
        return detached ? (nil, false) : nil
    }

    private static func claimName(_ volume: JSON, _ pod: JSON) -> String? {
        if volume["ephemeral"] != nil { return "\(pod.name)-\(volume.name_)" }
        return volume.at("persistentVolumeClaim", "claimName")?.string
    }

    /// What a container runs with.
    static func run(_ container: JSON, _ pod: JSON, _ id: ContainerID, node: String, _ cluster: Cluster) -> ContainerRun
    {
        let environment = environment(container, pod, node, cluster)
        let words = (container.list("command") + container.list("args")).compactMap(\.string).map { word in
            environment.reduce(word) { $0.replacing("$(\($1.key))", with: $1.value) }
        }
        let mounts =
            container.list("volumeMounts").map { ($0, $0.text("mountPath")) }
            + container.list("volumeDevices").map { ($0, $0.text("devicePath")) }
        func user(_ field: String) -> Int {
            (container.at("securityContext", field) ?? pod.at("spec", "securityContext", field))
                .map { Int($0.integer ?? 0) } ?? 0
        }
        let fsGroup = pod.at("spec", "securityContext", "fsGroup")?.integer.map { Int($0) }
        let supplemental = pod.list("spec", "securityContext", "supplementalGroups").compactMap(\.integer).map {
            Int($0)
        }
        return ContainerRun(
            id: id,
            node: node,
            command: words.isEmpty ? ["sh"] : words,
            environment: environment,
            workingDirectory: container["workingDir"]?.string ?? "/",
            mounts: mounts.compactMap { mount, path in
                guard let volume = pod.list("spec", "volumes").first(where: { $0.name_ == mount.name_ }) else {
                    return nil
                }
                let readOnly = mount["readOnly"] == true || volume.at("persistentVolumeClaim", "readOnly") == true
                let bound = boundVolume(volume, pod, cluster)
                return Mount(
                    path: path,
                    storage: storage(volume, bound, pod, cluster),
                    subPath: mount.text("subPath"),
                    readOnly: readOnly,
                    deviceSize: mount["devicePath"] == nil
                        ? nil : bound.map { Int64(bytes($0.text("spec", "capacity", "storage"))) },
                    // Not for directories of a node.
                    group: bound?.at("spec", "csi") == nil ? nil : fsGroup
                )
            },
            user: user("runAsUser"),
            group: user("runAsGroup"),
            groups: [fsGroup].compactMap(\.self) + supplemental,
            capabilities: capabilities(container),
            hasReadOnlyRoot: container.at("securityContext", "readOnlyRootFilesystem") == true
        )
    }

    /// What is left of the capabilities where a container drops all of them; others keep theirs.
    private static func capabilities(_ container: JSON) -> Set<String>? {
        func names(_ field: String) -> [String] {
            container.list("securityContext", "capabilities", field).compactMap(\.string)
        }
        return names("drop").contains("ALL") ? Set(names("add")) : nil
    }

    private static func boundVolume(_ volume: JSON, _ pod: JSON, _ cluster: Cluster) -> JSON? {
        guard let name = claimName(volume, pod) else { return nil }
        let claim = cluster.get(ObjectKey(.persistentVolumeClaims, pod.namespace, name))
        return cluster.get(ObjectKey(.persistentVolumes, nil, claim?.text("spec", "volumeName") ?? ""))
    }

    private static func storage(_ volume: JSON, _ bound: JSON?, _ pod: JSON, _ cluster: Cluster) -> Storage {
        if let bound { return VolumeMatching.storage(of: bound, cluster.behaviour) }
        if let path = volume.at("hostPath", "path")?.string { return .node(handle: path) }
        if let source = volume["configMap"] {
            let map = cluster.get(ObjectKey(.configMaps, pod.namespace, source.text("name")))
            return files(of: source, (map?["data"]?.object ?? [:]).compactMapValues(\.string))
        }
        if let source = volume["secret"] {
            let secret = cluster.get(ObjectKey(.secrets, pod.namespace, source.text("secretName")))
            return files(of: source, (secret?["data"]?.object ?? [:]).compactMapValues { decoded($0.string) })
        }
        return volume["emptyDir"] == nil ? .files([:]) : .pod(name: volume.name_)
    }

    /// The files that a pod sees of a ConfigMap or Secret: all, or those that it asks for.
    private static func files(of source: JSON, _ all: [String: String]) -> Storage {
        let items = source.list("items").map { ($0.text("path"), all[$0.text("key")] ?? "") }
        return .files(
            items.isEmpty ? all : Dictionary(items) { $1 },
            mode: source["defaultMode"]?.integer.map { Int($0) } ?? 0o644
        )
    }

    /// Adds what a container reaches the API server with, where it can: its address, and in the volume that admission adds
    /// the token of the pod's ServiceAccount.
    static func addServiceAccount(to run: inout ContainerRun, _ container: JSON, _ pod: JSON, _ cluster: inout Cluster)
    {
        guard let server = cluster.behaviour.serverOfContainers else { return }
        run.environment.merge(
            ["KUBERNETES_SERVICE_HOST": server.host, "KUBERNETES_SERVICE_PORT": "\(server.port)"]
        ) { own, _ in own }
        let tokens = pod.list("spec", "volumes").filter { volume in
            (volume.at("projected", "sources")?.array ?? []).contains { $0["serviceAccountToken"] != nil }
        }.map(\.name_)
        for mount in container.list("volumeMounts") where tokens.contains(mount.name_) {
            guard let index = run.mounts.firstIndex(where: { $0.path == mount.text("mountPath") }) else { continue }
            let token = cluster.issueToken(for: pod.text("spec", "serviceAccountName"), in: pod.namespace)
            run.mounts[index].storage = .files(
                ["token": token, "ca.crt": server.authority, "namespace": pod.namespace]
            )
        }
    }

    private static func environment(_ container: JSON, _ pod: JSON, _ node: String, _ cluster: Cluster) -> [String:
        String]
    {
        var result = ["HOSTNAME": pod.name]
        for variable in container.list("env") {
            var value = variable["value"]?.string
            if let field = variable.at("valueFrom", "fieldRef", "fieldPath")?.string {
                let fields = [
                    "metadata.name": pod.name, "metadata.namespace": pod.namespace, "metadata.uid": pod.uid,
                    "spec.nodeName": node, "status.podIP": cluster.controllers.pods[pod.uid]?.address ?? "",
                ]
                value = fields[field]
            } else if let source = variable.at("valueFrom", "configMapKeyRef") {
                value = cluster.get(ObjectKey(.configMaps, pod.namespace, source.text("name")))?.text(
                    "data",
                    source.text("key")
                )
            } else if let source = variable.at("valueFrom", "secretKeyRef") {
                let secret = cluster.get(ObjectKey(.secrets, pod.namespace, source.text("name")))
                value = decoded(secret?.text("data", source.text("key")))
            }
            result[variable.name_] = value ?? ""
        }
        return result
    }

    private static func decoded(_ text: String?) -> String? {
        text.flatMap { Data(base64Encoded: $0) }.map { String(decoding: $0, as: UTF8.self) }
    }
}
