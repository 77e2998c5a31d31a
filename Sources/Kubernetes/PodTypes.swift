// Only the fields that are read, and only for reading: these types are not Encodable on purpose, so that no object can
// be sent back with the fields that we don't know left out. Properties are named as their JSON keys.

public struct PodSpec: Decodable, Sendable, Equatable {
    public struct Volume: Decodable, Sendable, Equatable {
        public struct ClaimSource: Decodable, Sendable, Equatable { public var claimName: String }
        public var name: String
        public var persistentVolumeClaim: ClaimSource?
        public var ephemeral: JSON?
    }

    /// Of a pod or of one of its containers.
    public struct SecurityContext: Decodable, Sendable, Equatable {
        public var runAsUser: Int64?
        public var runAsGroup: Int64?
        public var fsGroup: Int64?
        public var supplementalGroups: [Int64]?
    }

    public struct Container: Decodable, Sendable, Equatable {
        public struct VolumeUse: Decodable, Sendable, Equatable {
            public var name: String
            public var mountPath: String?
        }
        public var volumeMounts: [VolumeUse]?
        public var volumeDevices: [VolumeUse]?
        public var securityContext: SecurityContext?
    }

    public struct Toleration: Decodable, Sendable, Equatable {
        public var key: String?
        public var `operator`: String?
        public var value: String?
        public var effect: String?
        public var tolerationSeconds: Int64?
    }

    public var volumes: [Volume]?
    public var initContainers: [Container]?
    public var containers: [Container]?
    public var securityContext: SecurityContext?
    public var nodeName: String?
    public var nodeSelector: [String: String]?
    public var affinity: JSON?
    public var tolerations: [Toleration]?
    public var terminationGracePeriodSeconds: Int64?

    /// The names of the claims that a pod of this spec mounts; the claim of a generic ephemeral volume is named after
    /// pod and volume.
    public func claimNames(ofPod pod: String?) -> [String] { (volumes ?? []).claimNames(ofPod: pod) }
}

extension [PodSpec.Volume] {
    fileprivate func claimNames(ofPod pod: String?) -> [String] {
        compactMap { volume in
            if let claim = volume.persistentVolumeClaim { return claim.claimName }
            guard volume.ephemeral != nil, let pod else { return nil }
            return "\(pod)-\(volume.name)"
        }
    }
}

/// A pod, as far as it is read.
public protocol PodObject: KubernetesObject {
    var phase: PodPhase { get }
    /// Where it runs, or is to run.
    var nodeName: String? { get }
    /// The names of the claims that the pod mounts, all in its own namespace.
    var claimNames: [String] { get }
}

extension PodObject {
    public static var resource: APIResource { .pods }
    public var isFinished: Bool { phase == .succeeded || phase == .failed }
    /// True of a pod that is being deleted and has no node: it never gets one (`BindingREST`), so it never mounts anything,
    /// and holds no claim (the controller behind the finalizer `pvc-protection`), however long finalizers keep it.
    public var neverRuns: Bool { metadata.isTerminating && (nodeName ?? "").isEmpty }
}

/// A pod, as far as what it mounts goes. All pods of a namespace are looked at for the few that mount a claim, again and
/// again: this takes a third of the time that `Pod` does.
public struct MountingPod: PodObject {
    public struct Spec: Decodable, Sendable {
        public var nodeName: String?
        public var volumes: [PodSpec.Volume]?
    }
    public struct Status: Decodable, Sendable { public var phase: PodPhase? }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var phase: PodPhase { status?.phase ?? .pending }
    public var nodeName: String? { spec.nodeName }
    public var claimNames: [String] { (spec.volumes ?? []).claimNames(ofPod: metadata.name) }
}

public struct Pod: PodObject, Equatable {
    public struct Condition: Decodable, Sendable, Equatable {
        public var type: String
        public var status: String
        public var reason: String?
        public var message: String?
    }

    public struct ContainerStatus: Decodable, Sendable, Equatable {
        public struct State: Decodable, Sendable, Equatable {
            public struct Waiting: Decodable, Sendable, Equatable {
                public var reason: String?
                public var message: String?
            }
            public struct Running: Decodable, Sendable, Equatable { public var startedAt: String? }
            public struct Terminated: Decodable, Sendable, Equatable {
                public var exitCode: Int
                public var reason: String?
                public var message: String?
            }
            public var waiting: Waiting?
            public var running: Running?
            public var terminated: Terminated?
        }
        public var name: String
        public var state: State?
        public var restartCount: Int?
    }

    public struct Status: Decodable, Sendable, Equatable {
        public var phase: PodPhase?
        public var reason: String?
        public var message: String?
        public var conditions: [Condition]?
        public var podIP: String?
        public var initContainerStatuses: [ContainerStatus]?
        public var containerStatuses: [ContainerStatus]?
    }

    public var metadata: ObjectMeta
    public var spec: PodSpec
    public var status: Status?

    public var phase: PodPhase { status?.phase ?? .pending }
    public var nodeName: String? { spec.nodeName }
    public var isReady: Bool { status?.conditions?.contains { $0.type == "Ready" && $0.status == "True" } ?? false }
    public var claimNames: [String] { spec.claimNames(ofPod: metadata.name) }
    /// The state of a container, be it an init container or not.
    public func state(of container: String) -> ContainerStatus.State? {
        ((status?.initContainerStatuses ?? []) + (status?.containerStatuses ?? []))
            .first { $0.name == container }?.state
    }
}
