import FoundationEssentials
import Kubernetes

/// What the controllers of pods have in common.
struct Workload {
    let key: ObjectKey
    let object: JSON
    let component: String

    /// Nil where the object is gone.
    init?(_ key: ObjectKey, component: String, _ cluster: Cluster) {
        guard let object = cluster.get(key) else { return nil }
        self.key = key
        self.object = object
        self.component = component
    }

    var replicas: Int { object.at("spec", "replicas") == nil ? 1 : object.number("spec", "replicas") }

    /// A name for a template that only changes with it, in the letters of generated names.
    static func hash(_ template: JSON?) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in (template ?? .null).compactText { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let letters = Array("bcdfghjklmnpqrstvwxz2456789")
        var text = ""
        for _ in 0..<10 {
            text.append(letters[Int(hash % UInt64(letters.count))])
            hash /= UInt64(letters.count)
        }
        return text
    }

    /// The pods that this object controls, after it has taken those that match and belong to nobody.
    func ownedPods(_ cluster: inout Cluster) -> [JSON] {
        adopt(.pods, &cluster)
        // In its own namespace: a reference from another one is only text.
        return cluster.dependents(of: object.uid).filter { $0.resource == .pods && $0.namespace == key.namespace }
            .compactMap { cluster.get($0) }
            .filter { $0.controllerReference?.text("uid") == object.uid }
    }

    /// Takes the objects that the selector matches and nobody controls.
    func adopt(_ resource: Resource, _ cluster: inout Cluster) {
        let selector = Selector(of: object)
        if object.isBeingDeleted || selector.isEmpty { return }
        for stored in cluster.storedObjects(resource, namespace: key.namespace) {
            let candidate = stored.json
            guard candidate.controllerReference == nil, !candidate.isBeingDeleted, !candidate.isOver,
                selector.matches(candidate.at("metadata", "labels"))
            else { continue }
            if key.resource == .statefulSets, resource == .pods, !candidate.name.hasPrefix(key.name + "-") { continue }
            let owners = candidate.list("metadata", "ownerReferences") + [object.ownerReference(key.resource)]
            cluster.write(stored.key) { $0.put(.array(owners), "metadata", "ownerReferences") }
        }
    }

    /// A pod of the template, controlled by this object; without a name its name is generated.
    func pod(_ template: JSON?, name: String? = nil) -> JSON {
        var metadata: JSON = [
            "generateName": .string(key.name + "-"), "ownerReferences": [object.ownerReference(key.resource)],
        ]
        if let name { metadata["name"] = .string(name) }
        for field in ["labels", "annotations", "finalizers"] {
            if let value = template?.at("metadata", field) { metadata[field] = value }
        }
        return ["apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template?["spec"] ?? [:]]
    }

    /// Creates a pod; where it is refused says so in an Event and tries again later.
    ///
    /// - Returns: the pod, or nil.
    @discardableResult
    func create(_ pod: JSON, _ again: Work, _ cluster: inout Cluster) -> JSON? {
        do {
            return try cluster.create(.pods, namespace: key.namespace, pod)
        } catch {
            event("Warning", "FailedCreate", "Error creating: \(error)", &cluster)
            cluster.enqueue(again, after: .seconds(5))
            return nil
        }
    }

    func delete(_ pod: JSON, _ cluster: inout Cluster) {
        cluster.remove(ObjectKey(.pods, key.namespace, pod.name), uid: pod.uid)
    }

    func event(_ reason: String, _ message: String, _ cluster: inout Cluster) {
        event("Normal", reason, message, &cluster)
    }

    func event(_ type: String, _ reason: String, _ message: String, _ cluster: inout Cluster) {
        cluster.recordEvent(about: object, type: type, reason: reason, message: message, component: component)
    }

    /// Writes the status where it differs.
    func setStatus(_ status: JSON, _ cluster: inout Cluster) {
        if object["status"] != status { cluster.writeStatus(key, status) }
    }

    /// A number in a status; zero is left out as the API's `omitempty` does.
    static func count(_ number: Int) -> JSON? { number == 0 ? nil : JSON(number) }
}
