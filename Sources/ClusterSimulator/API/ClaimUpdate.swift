import Kubernetes

/// The checks of a changed claim, with the difference as the API server shows it.
enum ClaimUpdate {
    static func problems(_ old: JSON, _ new: JSON) -> [FieldProblem] {
        let (before, after) = (old["spec"], new["spec"])
        var problems = Validation.claimSpec(after, "spec")
        // The binder may fill in the volume of an unbound claim; sizes are looked at below.
        let isBinding = (before?["volumeName"]?.string ?? "").isEmpty
        let bound = old["status"]?["phase"]?.string == "Bound"
        var mutable = ["resources", "volumeAttributesClassName"]
        if isBinding { mutable.append("volumeName") }
        if !bound { mutable.removeAll { $0 == "resources" } }
        let (fixedBefore, fixedAfter) = (Validation.without(mutable, before), Validation.without(mutable, after))
        if fixedBefore != fixedAfter, !isDefaulting(fixedBefore, fixedAfter) {
            problems.append(
                .forbidden(
                    "spec",
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                        + "bound claims\n" + difference(before, after)
                )
            )
            return problems
        }
        guard bound, let size = amount(after), let previous = amount(before), size < previous else { return problems }
        if let capacity = old["status"]?["capacity"]?["storage"]?.string.flatMap(Amount.init), size >= capacity {
            return problems
        }
        problems.append(
            .forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
        )
        return problems
    }

    /// A claim without any class may be given one later (retroactive default StorageClass).
    private static func isDefaulting(_ before: JSON?, _ after: JSON?) -> Bool {
        before?["storageClassName"] == nil && Validation.without(["storageClassName"], after) == before
    }

    private static func amount(_ spec: JSON?) -> Amount? {
        spec?["resources"]?["requests"]?["storage"]?.string.flatMap(Amount.init)
    }

    /// The difference as go-cmp prints it: two unchanged fields around what changed, the others counted.
    private static func difference(_ before: JSON?, _ after: JSON?) -> String {
        let names = [
            "AccessModes", "Selector", "Resources", "VolumeName", "StorageClassName", "VolumeMode", "DataSource",
            "DataSourceRef", "VolumeAttributesClassName",
        ]
        let values = names.map { ($0, text(before, $0), text(after, $0)) }
        let changed = values.indices.filter { field(before, names[$0]) != field(after, names[$0]) }
        var shown = Set<Int>()
        for index in changed { shown.formUnion(max(0, index - 2)...min(values.count - 1, index + 2)) }
        // A gap of one is shown: a line that says so would be as long.
        for index in values.indices where !shown.contains(index) {
            let alone =
                (index == 0 || shown.contains(index - 1)) && (index == values.count - 1 || shown.contains(index + 1))
            if alone { shown.insert(index) }
        }
        let width = (shown.map { names[$0].count }.max() ?? 0) + 2
        var lines = ["  core.PersistentVolumeClaimSpec{"]
        var hidden = 0
        func flush() {
            if hidden > 0 { lines.append("  \t... // \(hidden) identical fields") }
            hidden = 0
        }
        for index in values.indices {
            guard shown.contains(index) else {
                hidden += 1
                continue
            }
            flush()
            let (name, old, new) = values[index]
            let label = name + ":" + String(repeating: " ", count: width - name.count - 1)
            if changed.contains(index) {
                lines.append("- \t\(label)\(old),")
                lines.append("+ \t\(label)\(new),")
            } else {
                lines.append("  \t\(label)\(old),")
            }
        }
        flush()
        lines.append("  }\n")
        return lines.joined(separator: "\n")
    }

    private static func field(_ spec: JSON?, _ name: String) -> JSON? {
        spec?[name.prefix(1).lowercased() + name.dropFirst()]
    }

    private static func text(_ spec: JSON?, _ name: String) -> String {
        let value = field(spec, name)
        switch name {
        case "AccessModes":
            return "{" + (value?.array ?? []).compactMap(\.string).map { "\"\($0)\"" }.joined(separator: ", ") + "}"
        case "Resources":
            return "{Requests: {s\"storage\": {i: {...}, Format: \"BinarySI\"}}}"
        case "VolumeName": return "\"\(value?.string ?? "")\""
        case "Selector", "DataSource", "DataSourceRef": return value == nil ? "nil" : "&{...}"
        default: return value?.string.map { "&\"\($0)\"" } ?? "nil"
        }
    }
}
