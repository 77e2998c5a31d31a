import Kubernetes

/// The end of a source volume whose claim's successor is bound.
enum Disposal: Equatable {
    /// It stays Released with Retain for a rollback, for reasons that nobody asked for.
    case keep([Reason])
    /// It gets its policy Delete back, and its storage is freed.
    case free
    /// Only the volume object goes. The storage is its owner's.
    case forget

    enum Reason: Equatable {
        /// No workload was seen ready on the new volume.
        case unready(String)
        /// Another volume object is the same storage.
        case shared
        /// Nothing has flushed the copy.
        case unflushed
    }
}

extension ClaimState {
    /// Decides what becomes of the source volume.
    ///
    /// - Parameters:
    ///   - readiness: The sighting of a ready workload on the new volume.
    ///   - keepsAll: True where the person asks to keep each source volume.
    func disposal(of volume: PersistentVolume, _ readiness: Sighting, keepsAll: Bool) -> Disposal {
        var reasons: [Disposal.Reason] = []
        if case .unseen(let why) = readiness { reasons.append(.unready(why)) }
        if transfer.sharesSource { reasons.append(.shared) }
        if volume.metadata.annotation(Marks.unflushed) != nil, !keepsAll { reasons.append(.unflushed) }
        if keepsAll || !reasons.isEmpty { return .keep(reasons) }
        return originalPolicy == .delete ? .free : .forget
    }
}

extension Disposal.Reason {
    /// Returns what a person is told of it.
    func inWords(_ volume: PersistentVolume) -> String {
        switch self {
        case .unready(let why): "no workload was seen ready on its new volume: \(why)"
        case .shared: "another volume object is the storage of \(volume.metadata.name), too; it is not freed"
        case .unflushed:
            "what was copied was not flushed, as the image has no shell: a node that fails now could lose it, so "
                + "\(volume.metadata.name) is not freed; `pvmigrate cleanup` frees it later"
        }
    }
}
