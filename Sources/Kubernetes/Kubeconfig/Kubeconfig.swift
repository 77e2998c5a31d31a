import FoundationEssentials
import YAML

/// One or several kubeconfig files, merged by kubectl's rules: the first to set something wins.
struct Kubeconfig {
    /// The entries of one kind, by name.
    struct Entries {
        /// `cluster`, `user` or `context`.
        var kind: String
        private(set) var byName: [String: KubeconfigNode] = [:]

        /// The names as a message lists them.
        var list: String { byName.isEmpty ? "none" : byName.keys.sorted().joined(separator: ", ") }

        init(_ kind: String) {
            self.kind = kind
        }

        mutating func merge(_ root: KubeconfigNode) throws(ConfigurationError) {
            var seen: Set<String> = []
            for entry in try root.elements("\(kind)s") {
                guard let name = try entry.string("name") else { throw entry.error("this \(kind) has no name") }
                guard seen.insert(name).inserted else {
                    throw entry.error("the \(kind) \"\(name)\" comes twice in this file")
                }
                let body = try entry.child(kind) ?? KubeconfigNode(value: entry.value.emptied, file: entry.file)
                guard body.value.object != nil else {
                    throw body.error("\(kind) must be a mapping, not \(body.value.kind)")
                }
                if byName[name] == nil { byName[name] = body }
            }
        }
    }

    /// The files that were read.
    private(set) var paths: [String] = []
    private(set) var clusters = Entries("cluster")
    private(set) var users = Entries("user")
    private(set) var contexts = Entries("context")
    /// The `current-context` of the first file that has one.
    private(set) var currentContext: KubeconfigNode?

    /// One without entries.
    init() {}

    /// Reads files and merges them.
    ///
    /// - Parameter skipMissing: Pass over files that do not exist, as kubectl does with those of `$KUBECONFIG`.
    init(paths: [String], skipMissing: Bool) throws(ConfigurationError) {
        for path in paths {
            let file = LocalFile(path: path)
            let text: Data
            do throws(LocalFile.Failure) {
                text = try file.read()
            } catch {
                if error.isMissing && skipMissing { continue }
                throw ConfigurationError(file: path, message: "the kubeconfig cannot be read: \(error.message)")
            }
            self.paths.append(path)
            try merge(text, of: file)
        }
        if self.paths.isEmpty {
            throw ConfigurationError(message: "no file of KUBECONFIG exists: \(paths.joined(separator: ", "))")
        }
        if contexts.byName.isEmpty && clusters.byName.isEmpty && users.byName.isEmpty {
            throw ConfigurationError(
                file: self.paths.joined(separator: ":"),
                message: "the kubeconfig is empty: it has no contexts, clusters or users"
            )
        }
    }

    private mutating func merge(_ text: Data, of file: LocalFile) throws(ConfigurationError) {
        let documents: [YAMLValue]
        do throws(YAMLError) {
            documents = try YAMLValue.documents(in: text)
        } catch {
            throw ConfigurationError(
                file: file.path,
                line: error.line,
                column: error.column,
                message: error.message
            )
        }
        // Like kubectl, take an empty file for one without entries, and only the first document of several.
        guard let document = documents.first, !document.isNull else { return }
        let root = KubeconfigNode(value: document, file: file)
        guard document.object != nil else {
            throw root.error("this is no kubeconfig: a mapping was expected, not \(document.kind)")
        }
        if let kind = try root.child("kind"), kind.value.string != "Config" {
            throw kind.error("this is no kubeconfig: its kind is \(kind.value.string ?? kind.value.kind), not Config")
        }
        if let version = try root.child("apiVersion"), version.value.string != "v1" {
            throw version.error("a kubeconfig's apiVersion must be v1")
        }
        try clusters.merge(root)
        try users.merge(root)
        try contexts.merge(root)
        if currentContext == nil, try root.string("current-context") != nil {
            currentContext = try root.child("current-context")
        }
    }
}

extension YAMLValue {
    /// A mapping without members at the same place.
    fileprivate var emptied: YAMLValue {
        var value = self
        value.content = .object([])
        return value
    }
}
