/// A string that Kubernetes defines some values of. Newer versions may define more: another value is kept as it is.
public protocol TypedString: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible
where RawValue == String {
    init(rawValue: String)
}

extension TypedString {
    public var description: String { rawValue }
}

extension JSON {
    /// A manifest's way to say it.
    public init(_ value: some TypedString) { self = .string(value.rawValue) }
}

/// What becomes of a volume that its claim has released (core/v1, `PersistentVolumeReclaimPolicy`).
public struct ReclaimPolicy: TypedString {
    public static let retain = Self(rawValue: "Retain")
    public static let delete = Self(rawValue: "Delete")

    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// How many nodes or pods a volume can be mounted by, and for what (core/v1, `PersistentVolumeAccessMode`).
public struct AccessMode: TypedString {
    public static let readWriteOnce = Self(rawValue: "ReadWriteOnce")
    public static let readOnlyMany = Self(rawValue: "ReadOnlyMany")
    public static let readWriteMany = Self(rawValue: "ReadWriteMany")
    public static let readWriteOncePod = Self(rawValue: "ReadWriteOncePod")

    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// As what a pod gets a volume (core/v1, `PersistentVolumeMode`).
public struct VolumeMode: TypedString {
    public static let filesystem = Self(rawValue: "Filesystem")
    public static let block = Self(rawValue: "Block")

    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// When a claim of a class is bound (storage/v1, `VolumeBindingMode`).
public struct VolumeBindingMode: TypedString {
    public static let immediate = Self(rawValue: "Immediate")
    public static let waitForFirstConsumer = Self(rawValue: "WaitForFirstConsumer")

    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// How far a volume is (core/v1, `PersistentVolumePhase`).
public struct VolumePhase: TypedString {
    public static let pending = Self(rawValue: "Pending")
    public static let available = Self(rawValue: "Available")
    public static let bound = Self(rawValue: "Bound")
    public static let released = Self(rawValue: "Released")
    public static let failed = Self(rawValue: "Failed")

    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// How far a claim is (core/v1, `PersistentVolumeClaimPhase`).
public struct ClaimPhase: TypedString {
    public static let pending = Self(rawValue: "Pending")
    public static let bound = Self(rawValue: "Bound")
    public static let lost = Self(rawValue: "Lost")

    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// How far a pod is (core/v1, `PodPhase`).
public struct PodPhase: TypedString {
    public static let pending = Self(rawValue: "Pending")
    public static let running = Self(rawValue: "Running")
    public static let succeeded = Self(rawValue: "Succeeded")
    public static let failed = Self(rawValue: "Failed")
    public static let unknown = Self(rawValue: "Unknown")

    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}
