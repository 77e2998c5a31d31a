import FoundationEssentials
import Kubernetes
import Migration

extension PlanDocument {
    /// The plan as a person reviews it: YAML, with the origin of each value that is chosen.
    func text(_ options: Options) throws -> String {
        var text = PlanText(origins: spec.cluster.origins(options))
        text.lines = [
            "# What `pvmigrate apply` is to do, as pvmigrate \(version) planned it on \(Date.now.formatted(.iso8601)).",
            "# apply refuses, and names each difference, where the cluster is no longer so.",
        ]
        text.write(try json(), .object(Schemas.plan), at: "", indent: 0)
        return text.lines.joined(separator: "\n") + "\n"
    }
}

/// YAML in the order of a shape, with comments.
private struct PlanText {
    /// The comments of values, by their paths.
    let origins: [String: String]
    var lines: [String] = []

    /// Writes a value below its key.
    mutating func write(_ value: JSON, _ shape: Shape, at path: String, indent: Int) {
        switch shape {
        case .object(let members): write(value, members, at: path, indent: indent)
        case .list(let item):
            for (index, value) in (value.array ?? []).enumerated() {
                let start = lines.count
                write(value, item, at: "\(path)[\(index)]", indent: indent + 2)
                // The first line of an item bears the dash.
                guard start < lines.count else { continue }
                lines[start] = String(repeating: " ", count: indent) + "- " + lines[start].dropFirst(indent + 2)
            }
        case .optional(let shape): write(value, shape, at: path, indent: indent)
        case .text, .integer, .number, .boolean, .oneOf:
            lines.append(String(repeating: " ", count: indent) + value.inText + comment(at: path))
        }
    }

    private mutating func write(_ value: JSON, _ members: [Shape.Member], at path: String, indent: Int) {
        let space = String(repeating: " ", count: indent)
        for member in members {
            guard let its = value[member.name], its != .null else { continue }
            let place = path.isEmpty ? member.name : "\(path).\(member.name)"
            switch its {
            case .object, .array:
                if !member.meaning.isEmpty { lines.append("\(space)# \(member.meaning)") }
                guard its.array?.isEmpty != true else {
                    lines.append("\(space)\(member.name): []")
                    continue
                }
                lines.append("\(space)\(member.name):")
                write(its, member.shape, at: place, indent: indent + 2)
            default: lines.append("\(space)\(member.name): \(its.inText)\(comment(at: place))")
            }
        }
    }

    private func comment(at path: String) -> String { origins[path].map { "  # \($0)" } ?? "" }
}

extension JSON {
    /// The value as YAML has it, too: JSON's texts and numbers.
    fileprivate var inText: String { String(decoding: text, as: UTF8.self) }
}

extension Plan {
    /// The origins of the values that are chosen, by their paths in the document.
    fileprivate func origins(_ options: Options) -> [String: String] {
        var origins: [String: String] = [:]
        for (index, claim) in claims.enumerated() {
            let path = "spec.cluster.claims[\(index)]"
            origins["\(path).volume"] = "the claim's volume"
            origins["\(path).size"] = "the volume's capacity, or the claim's request where that is larger"
            origins["\(path).destination.storageClass"] = claim.originOfClass(options)
            origins["\(path).destination.size"] =
                claim.size == claim.destination.size
                ? "as the source has it"
                : options.destinationSize == nil ? "the claim's annotation" : "--dest-size, or the claim's annotation"
            guard let handover = options.handover else { continue }
            origins["\(path).destination.namespace"] = "--to-namespace"
            origins["\(path).destination.name"] = handover.names[claim.source] == nil ? "the claim's own" : "--pvc"
        }
        for index in workloads.indices {
            origins["spec.cluster.workloads[\(index)].replicas"] = "its scale, which it gets back"
        }
        return origins
    }
}

extension Plan.Claim {
    fileprivate func originOfClass(_ options: Options) -> String {
        guard let handover = options.handover else {
            return options.pipeline.goesToKept ? "--source-sc" : "--dest-sc"
        }
        if storageClass.flatMap({ handover.classes[$0] }) != nil { return "--class" }
        return handover.storageClass == nil ? "the claim's own" : "--dest-sc"
    }
}
