public import Kubernetes

/// The claims of a StatefulSet and the directories on this computer that belong to them: `DIR/{ordinal}/{name}`, where the
/// name is that of a claim template, or the last part of a path that it is mounted at.
public struct TreeLayout: Sendable, Equatable {
    /// A claim and its directory, relative to the tree.
    public struct Part: Sendable, Equatable {
        public var claim: ObjectName
        public var path: String
    }

    /// The parts in the order of ordinals, and of names.
    public private(set) var parts: [Part] = []
    /// The reasons why the tree does not fit, each a phrase; none where it does.
    public private(set) var problems: [String] = []

    /// The claims of a StatefulSet, whether that exists or not.
    public struct Claims: Sendable {
        var set: ObjectName
        /// The names of the claims by claim template and ordinal.
        var names: [String: [Int32: ObjectName]] = [:]
        /// The paths at which containers mount each claim template.
        var mounts: [String: Set<String>] = [:]
        /// True where the StatefulSet itself names its claim templates.
        var isCertain = false

        var ordinals: Set<Int32> { Set(names.values.flatMap(\.keys)) }

        /// Finds the claims by their names, which are those of template, set and ordinal.
        ///
        /// - Parameters:
        ///   - set: The name of the StatefulSet.
        ///   - object: The StatefulSet, where it exists.
        ///   - claims: All claims of its namespace.
        public init(of set: ObjectName, _ object: WorkloadObject?, among claims: [ObjectName]) {
            self.set = set
            for template in object?.spec.volumeClaimTemplates ?? [] {
                guard let name = template.metadata.name else { continue }
                isCertain = true
                names[name] = [:]
            }
            let spec = object?.spec.template?.spec
            for container in (spec?.initContainers ?? []) + (spec?.containers ?? []) {
                for mount in container.volumeMounts ?? [] where names[mount.name] != nil {
                    mounts[mount.name, default: []].formUnion([mount.mountPath].compactMap(\.self))
                }
            }
            for claim in claims where claim.namespace == set.namespace {
                guard let end = claim.name.lastIndex(of: "-"),
                    let ordinal = Ordinals.number(claim.name[claim.name.index(after: end)...]),
                    claim.name[..<end].hasSuffix("-" + set.name)
                else { continue }
                let template = String(claim.name[..<end].dropLast(set.name.count + 1))
                guard !template.isEmpty, !isCertain || names[template] != nil else { continue }
                names[template, default: [:]][ordinal] = claim
            }
        }
    }

    /// Lays out the directories that a download makes.
    ///
    /// - Parameter ordinals: The chosen ones; nil for all.
    public init(downloading claims: Claims, _ ordinals: Ordinals?) {
        addMissing(ordinals, in: claims.ordinals, "no claim of \(claims.set)")
        for ordinal in claims.ordinals.sorted() where ordinals?.contains(ordinal) != false {
            for (template, names) in claims.names.sorted(by: { $0.key < $1.key }) {
                guard let claim = names[ordinal] else {
                    problems.append("the claim \(template)-\(claims.set.name)-\(ordinal) does not exist")
                    continue
                }
                parts.append(Part(claim: claim, path: "\(ordinal)/\(template)"))
            }
        }
        if parts.isEmpty, problems.isEmpty { problems.append("there are no claims of \(claims.set)") }
    }

    /// Finds for the directories of a tree the claims that they are for.
    ///
    /// - Parameters:
    ///   - tree: The names in the tree, each with those in it; nil for what is no directory.
    ///   - ordinals: The chosen ones; nil for all.
    public init(uploading tree: [String: [String]?], to claims: Claims, _ ordinals: Ordinals?) {
        var numbers: [Int32: [String]] = [:]
        for (name, inside) in tree.sorted(by: { $0.key < $1.key }) {
            if let ordinal = Ordinals.number(name), let inside {
                numbers[ordinal] = inside
            } else {
                problems.append("\(name) is no directory with an ordinal as its name")
            }
        }
        addMissing(ordinals, in: Set(numbers.keys), "no directory")
        let chosen = numbers.keys.filter { ordinals?.contains($0) != false }.sorted()
        for ordinal in chosen { add(ordinal, numbers[ordinal] ?? [], claims) }
        for ordinal in claims.ordinals.subtracting(numbers.keys).sorted() where ordinals == nil {
            problems.append("there is no directory \(ordinal), though \(claims.set) has claims of that ordinal")
        }
        if parts.isEmpty, problems.isEmpty { problems.append("there is no directory with an ordinal as its name") }
        if !problems.isEmpty, ordinals == nil, !parts.isEmpty {
            problems.append("--ordinals chooses some: --ordinals 0-2,5")
        }
    }

    private mutating func addMissing(_ ordinals: Ordinals?, in found: Set<Int32>, _ what: String) {
        for ordinal in ordinals?.missing(in: found) ?? [] {
            problems.append("--ordinals names \(ordinal), and there is \(what) of that ordinal")
        }
    }

    private mutating func add(_ ordinal: Int32, _ names: [String], _ claims: Claims) {
        guard claims.ordinals.contains(ordinal) else {
            problems.append("\(ordinal) is extra: \(claims.set) has no claim of that ordinal")
            return
        }
        /// The directories of each claim template.
        var found: [String: [String]] = [:]
        for name in names.sorted() {
            let readings = claims.readings(of: name)
            guard let reading = readings.first else {
                problems.append(
                    "\(ordinal)/\(name) is neither a claim template of \(claims.set) nor where one is mounted"
                )
                continue
            }
            guard readings.count == 1 else {
                let words = readings.map { claims.words(of: name, as: $0) }.joined(separator: ", or ")
                problems.append("\(ordinal)/\(name) may be \(words)")
                continue
            }
            found[reading, default: []].append(name)
        }
        for (template, names) in claims.names.sorted(by: { $0.key < $1.key }) {
            let claim = names[ordinal]
            switch (claim, found[template] ?? []) {
            case (let claim?, let directories) where directories.count == 1:
                parts.append(Part(claim: claim, path: "\(ordinal)/\(directories[0])"))
            case (let claim?, let directories) where directories.isEmpty:
                problems.append("there is no directory \(ordinal)/\(template) for the claim \(claim)")
            case (let claim?, let directories):
                problems.append(
                    "the claim \(claim) may be " + directories.map { "\(ordinal)/\($0)" }.joined(separator: ", or ")
                )
            case (nil, let directories) where directories.isEmpty: break
            case (nil, _):
                problems.append("the claim \(template)-\(claims.set.name)-\(ordinal) does not exist")
            }
        }
    }
}

extension TreeLayout.Claims {
    /// Returns the claim templates that a directory's name may mean.
    fileprivate func readings(of name: String) -> [String] {
        names.keys.filter { $0 == name || isMounted($0, at: name) }.sorted()
    }

    private func isMounted(_ template: String, at name: String) -> Bool {
        mounts[template]?.contains { $0.split(separator: "/").last.map(String.init) == name } == true
    }

    fileprivate func words(of name: String, as template: String) -> String {
        if template == name { return "the claim template \(template)" }
        let path = mounts[template]?.filter { $0.split(separator: "/").last.map(String.init) == name }.min() ?? "?"
        return "what the claim template \(template) is mounted at (\(path))"
    }
}
