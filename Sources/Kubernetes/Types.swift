// Only the fields that are read, and only for reading: these types are not Encodable on purpose, so that no object can
// be sent back with the fields that we don't know left out. Properties are named as their JSON keys.

/// An object that can be read from the API server.
public protocol KubernetesObject: Decodable, Sendable {
    static var resource: APIResource { get }
    var metadata: ObjectMeta { get }
}

extension KubernetesObject {
    public var name: ObjectName { ObjectName(metadata.name, in: metadata.namespace) }
    /// The kind with namespace and name, as messages name an object: `PersistentVolumeClaim shop/data`.
    public var title: String { "\(Self.resource.kind) \(name)" }
}

/// The metadata of an object, as far as it is read.
public struct ObjectMeta: Decodable, Sendable, Equatable {
    public var name: String
    public var namespace: String?
    public var uid: String
    public var resourceVersion: String
    public var generation: Int64?
    public var creationTimestamp: String?
    public var deletionTimestamp: String?
    public var labels: [String: String]?
    public var annotations: [String: String]?
    public var finalizers: [String]?
    public var ownerReferences: [OwnerReference]?

    public init(name: String, namespace: String?, uid: String, resourceVersion: String) {
        self.name = name
        self.namespace = namespace
        self.uid = uid
        self.resourceVersion = resourceVersion
    }

    /// The owner that manages this object, where one does.
    public var controller: OwnerReference? { ownerReferences?.first { $0.controller == true } }
    /// True once somebody has asked for the object's deletion.
    public var isTerminating: Bool { deletionTimestamp != nil }

    public func annotation(_ key: String) -> String? { annotations?[key] }
}

public struct OwnerReference: Decodable, Sendable, Equatable {
    public var apiVersion: String
    public var kind: String
    public var name: String
    public var uid: String
    public var controller: Bool?
}

/// An amount of each of several resources, of which only that of storage is read: what else there is may be of another
/// unit, and anybody may have written it.
public struct Amounts: Decodable, Sendable, Equatable {
    private var storage: Quantity?

    public subscript(_ resource: String) -> Quantity? { resource == "storage" ? storage : nil }
}

public struct PersistentVolumeClaim: KubernetesObject, Equatable {
    public static let resource = APIResource.claims

    public struct Spec: Decodable, Sendable, Equatable {
        public struct Resources: Decodable, Sendable, Equatable {
            public var requests: Amounts?
        }

        public var accessModes: [AccessMode]?
        public var storageClassName: String?
        public var volumeMode: VolumeMode?
        public var volumeName: String?
        public var volumeAttributesClassName: String?
        public var resources: Resources?
    }

    public struct Status: Decodable, Sendable, Equatable {
        public var phase: ClaimPhase?
        public var capacity: Amounts?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var phase: ClaimPhase { status?.phase ?? .pending }
    public var volumeMode: VolumeMode { spec.volumeMode ?? .filesystem }
    /// The annotation by which old manifests name the class.
    public static let betaClassAnnotation = "volume.beta.kubernetes.io/storage-class"
    /// The class, which old manifests name in an annotation.
    public var storageClassName: String? { spec.storageClassName ?? metadata.annotation(Self.betaClassAnnotation) }
}

public struct PersistentVolume: KubernetesObject, Equatable {
    public static let resource = APIResource.volumes

    public struct ClaimReference: Decodable, Sendable, Equatable {
        public var namespace: String?
        public var name: String?
        public var uid: String?
    }

    public struct Spec: Decodable, Sendable, Equatable {
        /// The kinds of source that matter: those that are bound to a node without saying so, and the ones that carry
        /// a handle by which their owner finds the storage again.
        public struct Path: Decodable, Sendable, Equatable { public var path: String }
        public struct CSI: Decodable, Sendable, Equatable {
            public var driver: String
            public var volumeHandle: String
            public var fsType: String?
            public var volumeAttributes: [String: String]?
            public var controllerPublishSecretRef: SecretReference?
            public var controllerExpandSecretRef: SecretReference?
            public var nodeStageSecretRef: SecretReference?
            public var nodePublishSecretRef: SecretReference?
            public var nodeExpandSecretRef: SecretReference?
        }
        public struct SecretReference: Decodable, Sendable, Equatable {
            public var name: String?
            public var namespace: String?
        }
        public struct NFS: Decodable, Sendable, Equatable {
            public var server: String
            public var path: String
        }

        public var capacity: Amounts?
        public var accessModes: [AccessMode]?
        public var claimRef: ClaimReference?
        public var persistentVolumeReclaimPolicy: ReclaimPolicy?
        public var storageClassName: String?
        public var volumeMode: VolumeMode?
        public var volumeAttributesClassName: String?
        public var mountOptions: [String]?
        public var nodeAffinity: JSON?
        public var hostPath: Path?
        public var local: Path?
        public var csi: CSI?
        public var nfs: NFS?
        /// Sources of Kubernetes' own drivers.
        public var awsElasticBlockStore, azureDisk, azureFile, cephfs, cinder, fc, gcePersistentDisk, glusterfs, iscsi,
            portworxVolume, rbd, vsphereVolume: JSON?
    }

    public struct Status: Decodable, Sendable, Equatable {
        public var phase: VolumePhase?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?

    public var phase: VolumePhase { status?.phase ?? .pending }
    public var reclaimPolicy: ReclaimPolicy { spec.persistentVolumeReclaimPolicy ?? .retain }
    /// The namespace and name of the claim that the volume is bound to or reserved for.
    public var claim: ObjectName? {
        guard let reference = spec.claimRef, let name = reference.name else { return nil }
        return ObjectName(name, in: reference.namespace)
    }
    /// By what the storage behind the volume can be found again.
    public var handle: String {
        if let csi = spec.csi { return "\(csi.driver) \(csi.volumeHandle)" }
        if let nfs = spec.nfs { return "nfs \(nfs.server):\(nfs.path)" }
        if let path = spec.hostPath ?? spec.local { return path.path }
        return metadata.name
    }
}

public struct StorageClass: KubernetesObject {
    public static let resource = APIResource.storageClasses
    /// The annotation that makes a class the default one.
    public static let defaultAnnotation = "storageclass.kubernetes.io/is-default-class"
    /// Its older name, which the API server still honours.
    public static let betaDefaultAnnotation = "storageclass.beta.kubernetes.io/is-default-class"

    public var metadata: ObjectMeta
    public var provisioner: String
    public var reclaimPolicy: ReclaimPolicy?
    public var volumeBindingMode: VolumeBindingMode?
    public var allowedTopologies: [JSON]?
    public var parameters: [String: String]?
    public var mountOptions: [String]?

    public var isDefault: Bool {
        metadata.annotation(Self.defaultAnnotation) == "true"
            || metadata.annotation(Self.betaDefaultAnnotation) == "true"
    }
    public var waitsForFirstConsumer: Bool { volumeBindingMode == .waitForFirstConsumer }
}

public struct PodTemplate: Decodable, Sendable {
    public var metadata: TemplateMeta?
    public var spec: PodSpec
}

/// The metadata of a template, which has no identity of its own.
public struct TemplateMeta: Decodable, Sendable {
    public var name: String?
    public var labels: [String: String]?
    public var annotations: [String: String]?
}

/// What owns pods, as far as it is read: every kind of workload of Kubernetes' own.
public struct WorkloadObject: KubernetesObject {
    /// None: it is given wherever such an object is asked for.
    public static let resource = APIResource(kind: "workload", plural: "workloads")

    public struct Spec: Decodable, Sendable {
        public struct Ordinals: Decodable, Sendable { public var start: Int? }
        public struct ClaimTemplate: Decodable, Sendable {
            public struct Spec: Decodable, Sendable { public var storageClassName: String? }
            public var metadata: TemplateMeta
            public var spec: Spec?
        }
        public struct RetentionPolicy: Decodable, Sendable {
            public var whenDeleted: String?
            public var whenScaled: String?
        }
        public struct JobTemplate: Decodable, Sendable {
            public struct Spec: Decodable, Sendable { public var template: PodTemplate }
            public var spec: Spec
        }
        public var replicas: Int?
        public var suspend: Bool?
        public var template: PodTemplate?
        public var jobTemplate: JobTemplate?
        public var ordinals: Ordinals?
        public var volumeClaimTemplates: [ClaimTemplate]?
        public var persistentVolumeClaimRetentionPolicy: RetentionPolicy?
    }
    public struct Status: Decodable, Sendable {
        public var observedGeneration: Int64?
        public var readyReplicas: Int?
        public var availableReplicas: Int?
        /// Of a DaemonSet: how many nodes are to run its pod, and how many do.
        public var desiredNumberScheduled: Int?
        public var numberAvailable: Int?
        public var conditions: [Pod.Condition]?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?
}

/// What every object has.
public struct MetadataObject: KubernetesObject {
    /// None: it is given wherever such an object is asked for.
    public static let resource = APIResource(kind: "object", plural: "objects")
    public var metadata: ObjectMeta
}

public struct Node: KubernetesObject {
    public static let resource = APIResource.nodes

    public struct Taint: Decodable, Sendable, Equatable {
        public var key: String
        public var value: String?
        public var effect: String

        public init(key: String, value: String? = nil, effect: String) {
            (self.key, self.value, self.effect) = (key, value, effect)
        }
    }

    public struct Spec: Decodable, Sendable {
        public var unschedulable: Bool?
        public var taints: [Taint]?
    }
    public struct Status: Decodable, Sendable {
        public struct Image: Decodable, Sendable { public var names: [String]? }
        public var conditions: [Pod.Condition]?
        /// Some of the images that are there: the 50 largest, unless the kubelet is configured otherwise.
        public var images: [Image]?
    }

    public var metadata: ObjectMeta
    public var spec: Spec?
    public var status: Status?

    /// True where new pods come to run.
    public var takesPods: Bool {
        spec?.unschedulable != true
            && status?.conditions?.contains { $0.type == "Ready" && $0.status != "True" } != true
    }
}

public struct VolumeAttachment: KubernetesObject {
    public static let resource = APIResource.volumeAttachments

    public struct Spec: Decodable, Sendable {
        public struct Source: Decodable, Sendable { public var persistentVolumeName: String? }
        public var nodeName: String
        public var source: Source
    }
    public struct Status: Decodable, Sendable {
        public struct Problem: Decodable, Sendable { public var message: String? }
        public var detachError: Problem?
    }

    public var metadata: ObjectMeta
    public var spec: Spec
    public var status: Status?
}

public struct Event: KubernetesObject {
    public static let resource = APIResource.events

    public struct Reference: Decodable, Sendable {
        public var kind: String?
        public var name: String?
        public var uid: String?
    }
    public var metadata: ObjectMeta
    public var involvedObject: Reference
    public var type: String?
    public var reason: String?
    public var message: String?
}
