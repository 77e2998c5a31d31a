import Kubernetes

/// The usage of a claim's volume.
enum VolumeUsage: Sendable, Equatable {
    case bytes(Int64)
    /// The usage is unknown, for a reason.
    case unknown(String)
}

/// A kubelet's report on the volumes of its pods.
struct KubeletAnswer: Sendable {
    var node: String
    var statistics: NodeStatistics?
    var failure = ""

    func usage(of state: ClaimState) -> VolumeUsage {
        guard let statistics else { return .unknown(failure) }
        let volume = statistics.pods.lazy.flatMap { $0.volume ?? [] }.first {
            $0.pvcRef.map { ObjectName($0.name, in: $0.namespace) } == state.name
        }
        guard let used = volume?.usedBytes else { return .unknown("the kubelet of \(node) does not measure it") }
        let capacity = state.source?.spec.capacity?["storage"]?.bytes ?? 0
        // A file system that is much larger than the volume also holds other data (a directory of an NFS server).
        guard let size = volume?.capacityBytes, size / 5 <= capacity / 4 else {
            return used <= state.size?.bytes ?? 0
                ? .bytes(used) : .unknown("it shares its file system with others, which hold \(used.inBytes) together")
        }
        return .bytes(used)
    }
}

extension ClaimState {
    /// Returns the reason why the source volume's contents do not fit on the destination; nil where they do, or where
    /// their size is unknown and the destination is not smaller.
    func misfit(_ usage: VolumeUsage) -> String? {
        guard let size, let sourceSize else { return nil }
        if isToShrink, claim?.volumeMode == .block {
            return
                "is a block device, which can't become smaller (\(size) instead of \(sourceSize)); ask for \(sourceSize) or more"
        }
        let advice = "or without a size (--dest-size, the annotation \(Marks.size))"
        switch usage {
        case .unknown(let why):
            // An earlier run that staged it has checked it too. By now its pods may be stopped.
            guard isToShrink, ownStaging == nil || unfitStaging != nil else { return nil }
            return "is to be \(size) instead of \(sourceSize), but how much it holds is not known (\(why)); ask for "
                + "\(sourceSize) or more, \(advice)"
        case .bytes(let used):
            // A file system needs some of its room for itself.
            let limit = isToShrink ? size.bytes - size.bytes / 10 : size.bytes
            guard used > limit else { return nil }
            return isToShrink
                ? "holds \(used.inBytes), and is to be \(size) instead of \(sourceSize): a tenth has to stay free; ask for "
                    + "more, \(advice)"
                : "holds \(used.inBytes), which is more than the \(size) of its destination; ask for more (--dest-size, or "
                    + "the annotation \(Marks.size))"
        }
    }
}
