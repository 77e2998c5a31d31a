import Kubernetes

@testable import ClusterSimulator

/// Which of the recording's uids, generated names and versions stands for which of the simulator's.
struct NameMap {
    /// Recorded text to simulated text: uids, generated names, continue tokens.
    private var texts: [(recorded: String, actual: String)] = []
    private var versions: [String: String] = [:]
    /// What the recording tells of each uid.
    private var recordedObjects: [(uid: String, object: JSON)] = []
    private var mapped: Set<String> = []
    private var taken: Set<String> = []

    init(_ transcript: Transcript) {
        var seen: Set<String> = []
        // What is shown tells more than what is only referred to.
        let objects = transcript.objects
        for object in objects + objects.flatMap(Self.references) where seen.insert(object.uid).inserted {
            recordedObjects.append((object.uid, object))
        }
    }

    /// The objects that an object names with their uids.
    private static func references(in object: JSON) -> [JSON] {
        let references =
            [object["involvedObject"], object["spec"]?["claimRef"]].compactMap { $0 }
            + (object["metadata"]?["ownerReferences"]?.array ?? [])
        return references.filter { $0["uid"] != nil }.map { reference in
            var metadata: JSON = ["name": reference["name"] ?? "", "uid": reference["uid"] ?? ""]
            metadata["namespace"] = reference["namespace"] ?? object["metadata"]?["namespace"]
            return [
                "kind": reference["kind"] ?? "", "apiVersion": reference["apiVersion"] ?? "", "metadata": metadata,
            ]
        }
    }

    mutating func learn(recorded: String, actual: String) {
        taken.insert(actual)
        guard !recorded.isEmpty, mapped.insert(recorded).inserted, recorded != actual else { return }
        // Longer texts first: a pod's name begins with its ReplicaSet's.
        let index = texts.firstIndex { $0.recorded.utf8.count < recorded.utf8.count } ?? texts.endIndex
        texts.insert((recorded, actual), at: index)
    }

    mutating func learnVersion(recorded: String?, actual: String?) {
        if let recorded, let actual { versions[recorded] = actual }
    }

    /// Finds the simulator's objects for the recording's, as far as they exist by now.
    mutating func resolve(in cluster: Cluster) {
        // From the start again after each find: a pod is known by its ReplicaSet's name.
        while resolveNext(in: cluster) {}
    }

    private mutating func resolveNext(in cluster: Cluster) -> Bool {
        for (uid, object) in recordedObjects where !mapped.contains(uid) {
            guard
                let resource = cluster.resources.find(
                    apiVersion: object["apiVersion"]?.string ?? "",
                    kind: object["kind"]?.string ?? ""
                )
            else { continue }
            let namespace = object["metadata"]?["namespace"]?.string
            let actual: JSON?
            if let prefix = Self.generatedPrefix(object) {
                let candidates = cluster.storedObjects(resource, namespace: namespace)
                    .sorted {
                        ($0.json["metadata"]?["creationTimestamp"]?.string ?? "", $0.resourceVersion) < (
                            $1.json["metadata"]?["creationTimestamp"]?.string ?? "", $1.resourceVersion
                        )
                    }
                    .map(\.json)
                actual = candidates.first {
                    !taken.contains($0.uid) && $0.name.hasPrefix(text(prefix)) && Self.generatedPrefix($0) != nil
                }
            } else {
                actual = cluster.get(ObjectKey(resource, namespace, text(object.name)))
            }
            guard let actual, !taken.contains(actual.uid) else { continue }
            learn(recorded: uid, actual: actual.uid)
            if object.name != actual.name { learn(recorded: object.name, actual: actual.name) }
            return true
        }
        return false
    }

    /// What a generated name begins with; nil for a name that somebody chose.
    private static func generatedPrefix(_ object: JSON) -> String? {
        if let prefix = object["metadata"]?["generateName"]?.string { return prefix }
        let owner = object["metadata"]?["ownerReferences"]?.array?.first
        if object["kind"] == "ReplicaSet" || object["kind"] == "Job", let name = owner?["name"]?.string {
            return name + "-"
        }
        if object["kind"] == "ReplicaSet", let end = object.name.lastIndex(of: "-") {
            return String(object.name[...end])
        }
        if object["kind"] == "Event" { return (object["involvedObject"]?["name"]?.string ?? "") + "." }
        return nil
    }

    /// Recorded text with the simulator's names in it.
    func text(_ recorded: String) -> String {
        var text = recorded
        for pair in texts where text.utf8.count >= pair.recorded.utf8.count {
            text = text.replacing(pair.recorded, with: pair.actual)
        }
        return text
    }

    /// A recorded value with the simulator's names and versions in it.
    func value(_ recorded: JSON, key: String = "") -> JSON {
        switch recorded {
        case .string(let string):
            if key == "resourceVersion" { return .string(versions[string] ?? string) }
            var text = text(string)
            if text.contains("in the precondition") {
                for (recorded, actual) in versions { text = text.replacing("(\(recorded))", with: "(\(actual))") }
            }
            return .string(text)
        case .array(let elements): return .array(elements.map { value($0) })
        case .object(let members):
            return .object(
                Dictionary(members.map { (text($0.key), value($0.value, key: $0.key)) }, uniquingKeysWith: { $1 })
            )
        default: return recorded
        }
    }
}
