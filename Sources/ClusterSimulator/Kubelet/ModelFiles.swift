/// The modelled volumes as one container sees them through its mounts.
struct ModelFiles: Sendable {
    /// Which content belongs to a mount: per node where the volume is of one node.
    enum Key: Hashable, Sendable {
        case node(handle: String, node: String)
        case shared(handle: String)
        case pod(uid: String, name: String)

        /// Nil for what is no storage.
        init?(_ storage: Storage, node: String, pod: String) {
            switch storage {
            case .node(let handle): self = .node(handle: handle, node: node)
            case .shared(let handle): self = .shared(handle: handle)
            case .pod(let name): self = .pod(uid: pod, name: name)
            case .files: return nil
            }
        }
    }

    /// A path of the container within a volume.
    struct Place: Sendable {
        var key: Key
        /// Empty for the volume's own directory, else with a slash at its end.
        var prefix: String
        var readOnly: Bool
    }

    var contents: [Key: Content]
    let run: ContainerRun
    let now: Duration

    init(_ contents: [Key: Content], _ run: ContainerRun, now: Duration) {
        self.contents = contents
        self.run = run
        self.now = now
    }

    /// The volume and path behind a path of the container; nil where nothing is mounted.
    func place(_ path: String) -> Place? {
        let path = path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
        let mounted = run.mounts.compactMap { mount -> (Mount, String)? in
            let root = mount.path.split(separator: "/").joined(separator: "/")
            if path == root { return (mount, "") }
            guard path.hasPrefix(root + "/") else { return nil }
            return (mount, String(path.dropFirst(root.count + 1)))
        }.max { $0.0.path.count < $1.0.path.count }
        guard let (mount, rest) = mounted, let key = Key(mount.storage, node: run.node, pod: run.id.pod) else {
            return nil
        }
        let prefix = [mount.subPath, rest].filter { !$0.isEmpty }.joined(separator: "/")
        return Place(key: key, prefix: prefix.isEmpty ? "" : prefix + "/", readOnly: mount.readOnly)
    }

    func isDirectory(_ path: String) -> Bool {
        guard let place = place(path) else { return false }
        return place.prefix.isEmpty || contents[place.key]?[String(place.prefix.dropLast())]?.kind == .directory
            || run.mounts.contains { $0.path == path }
    }

    /// The paths below a place, without its prefix, in order.
    func paths(below place: Place) -> [String] {
        (contents[place.key] ?? [:]).keys.filter { $0.hasPrefix(place.prefix) }
            .map { String($0.dropFirst(place.prefix.count)) }.sorted()
    }

    func file(_ place: Place, _ path: String) -> File? { contents[place.key]?[place.prefix + path] }

    /// Writes or, with nil, removes a file.
    ///
    /// - Returns: false where the mount is read-only.
    mutating func write(_ place: Place, _ path: String, _ file: File?) -> Bool {
        if place.readOnly { return false }
        contents[place.key, default: [:]][place.prefix + path] = file
        return true
    }

    /// The first name of a file with several names.
    func firstName(_ place: Place, _ path: String, _ file: File) -> String {
        guard let number = file.hardLink else { return path }
        return paths(below: place).first { self.file(place, $0)?.hardLink == number } ?? path
    }

    /// Reads a file by the container's path.
    subscript(path: String) -> File? {
        guard let place = place(path), !place.prefix.isEmpty else { return nil }
        return contents[place.key]?[String(place.prefix.dropLast())]
    }

    /// Writes a file by the container's path; nothing is kept of what is written outside of volumes.
    ///
    /// - Returns: false where the mount is read-only.
    mutating func write(_ path: String, _ file: File) -> Bool {
        guard var place = place(path), !place.prefix.isEmpty else { return true }
        let name = String(place.prefix.dropLast())
        place.prefix = ""
        return write(place, name, file)
    }
}
