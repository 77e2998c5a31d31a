import Kubernetes

/// Kubernetes' rules for names (apimachinery's `validation` package).
enum Names {
    private static func isLower(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLower(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func isLabel(_ text: some Collection<UInt8>) -> Bool {
        guard let first = text.first, isLower(first) else { return false }
        var last = first
        for byte in text {
            guard isLower(byte) || byte == UInt8(ascii: "-") else { return false }
            last = byte
        }
        return isLower(last)
    }

    static func subdomainProblem(_ name: String) -> String? {
        if name.utf8.count > 253 { return "must be no more than 253 characters" }
        let parts = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        if parts.allSatisfy(isLabel) { return nil }
        return
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            + "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    }

    static func labelProblem(_ name: String) -> String? {
        if name.utf8.count > 63 { return "must be no more than 63 characters" }
        if isLabel(name.utf8) { return nil }
        return
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
            + "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
            + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    }

    /// A label's value.
    static func valueProblem(_ value: String) -> String? {
        if value.utf8.count > 63 { return "must be no more than 63 characters" }
        if value.isEmpty || isQualified(value) { return nil }
        return
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            + "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
            + "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    }

    /// A label's or annotation's key.
    static func keyProblem(_ key: String) -> String? {
        let parts = key.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if parts.count > 2 { return "a qualified name " + keyRule }
        if parts.count == 2, let problem = subdomainProblem(parts[0]) { return "prefix part " + problem }
        let name = parts[parts.count - 1]
        if name.isEmpty { return "name part must be non-empty" }
        if name.utf8.count > 63 { return "name part must be no more than 63 characters" }
        return isQualified(name) ? nil : "name part " + keyRule
    }

    private static let keyRule =
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
        + "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
        + "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

    private static func isQualified(_ text: String) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last, isAlphanumeric(first), isAlphanumeric(last)
        else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || "-_.".utf8.contains($0) }
    }
}

extension Validation {
    private static let annotationsLimit = 256 * 1024

    static func metadata(_ object: JSON, _ resource: Resource, isUpdate: Bool = false) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let metadata = object["metadata"]
        let name = object.name
        if name.isEmpty {
            problems.append(.required("metadata.name", "name or generateName is required"))
        } else if !isUpdate {
            let problem: String?
            switch resource {
            case .namespaces, .services: problem = Names.labelProblem(name)
            case .roles, .roleBindings, .clusterRoles, .clusterRoleBindings:
                problem = name.contains("/") || name.contains("%") ? "may not contain '/' or '%'" : nil
            default: problem = Names.subdomainProblem(name)
            }
            if let problem { problems.append(.invalid("metadata.name", "\"\(name)\"", problem)) }
        }
        for (key, value) in (metadata?["labels"]?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
            if let problem = Names.keyProblem(key) {
                problems.append(.invalid("metadata.labels", "\"\(key)\"", problem))
            }
            let text = value.string ?? ""
            if let problem = Names.valueProblem(text) {
                problems.append(.invalid("metadata.labels", "\"\(text)\"", problem))
            }
        }
        var size = 0
        for (key, value) in metadata?["annotations"]?.object ?? [:] {
            size += key.utf8.count + (value.string ?? "").utf8.count
            if let problem = Names.keyProblem(key.lowercased()) {
                problems.append(.invalid("metadata.annotations", "\"\(key)\"", problem))
            }
        }
        if size > annotationsLimit {
            problems.append(.tooLong("metadata.annotations", "may not be more than \(annotationsLimit) bytes"))
        }
        for (index, reference) in (metadata?["ownerReferences"]?.array ?? []).enumerated() {
            for field in ["apiVersion", "kind", "name", "uid"] where (reference[field]?.string ?? "").isEmpty {
                problems.append(
                    .invalid("metadata.ownerReferences[\(index)].\(field)", "\"\"", "\(field) must not be empty")
                )
            }
        }
        return problems + finalizers(metadata?["finalizers"]?.array ?? [], resource)
    }

    private static func finalizers(_ finalizers: [JSON], _ resource: Resource) -> [FieldProblem] {
        let names = finalizers.map { $0.string ?? "" }
        var problems = names.compactMap { name in
            Names.keyProblem(name).map { FieldProblem.invalid("metadata.finalizers", "\"\(name)\"", $0) }
        }
        // Custom resources may have any.
        guard resource.isBuiltIn else { return problems }
        let known = ["kubernetes", "orphan", "foregroundDeletion"]
        for (index, name) in names.enumerated() where !name.contains("/") && !known.contains(name) {
            problems.append(
                .invalid(
                    "metadata.finalizers[\(index)]",
                    "\"\(name)\"",
                    "name is neither a standard finalizer name nor is it fully qualified"
                )
            )
        }
        return problems
    }
}
