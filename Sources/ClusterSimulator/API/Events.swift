import Kubernetes

extension Cluster {
    /// Records an Event about an object; the same one again only raises its count.
    ///
    /// - Parameters:
    ///   - host: the node, for the kubelet's events.
    ///   - fieldPath: the part of the object: `spec.containers{main}`.
    ///   - action: what was being done, for components that write events of the newer form, as the scheduler does.
    mutating func recordEvent(
        about object: JSON,
        type: String = "Normal",
        reason: String,
        message: String,
        component: String,
        host: String? = nil,
        fieldPath: String? = nil,
        action: String? = nil
    ) {
        let namespace = object.namespace.isEmpty ? "default" : object.namespace
        // Nobody can write into a namespace that goes away; the real recorders only log it.
        guard let home = get(ObjectKey(.namespaces, nil, namespace)), !home.isBeingDeleted else { return }
        var involved: JSON = [:]
        for field in ["kind", "apiVersion"] { involved[field] = object[field] }
        for field in ["namespace", "name", "uid", "resourceVersion"] { involved[field] = object["metadata"]?[field] }
        if let fieldPath { involved["fieldPath"] = .string(fieldPath) }
        let identity = [object.uid, reason, message, component, fieldPath ?? ""].joined(separator: "\n")
        do {
            if let name = recordedEvents[identity], get(ObjectKey(.events, namespace, name)) != nil {
                let moment = JSON.string(timestamp)
                try update(ObjectKey(.events, namespace, name)) { event in
                    event["count"] = .integer((event["count"]?.integer ?? 1) + 1)
                    event["lastTimestamp"] = moment
                }
                return
            }
            var source: JSON = ["component": .string(component)]
            if let host { source["host"] = .string(host) }
            // Named by the moment in nanoseconds, as the real ones, so that a list shows them in order.
            eventNumber += 1
            let (seconds, attoseconds) = now.components
            let moment = (epoch + Int(seconds)) * 1_000_000_000 + Int(attoseconds / 1_000_000_000) + eventNumber
            let prefix = object.name.prefix(230)
            let trimmed = prefix.prefix(
                upTo: prefix.lastIndex { $0 != "-" && $0 != "." }.map(prefix.index(after:)) ?? prefix.endIndex
            )
            let name = trimmed + "." + String(moment, radix: 16)
            recordedEvents[identity] = String(name)
            var event: JSON = [
                "metadata": ["name": .string(String(name))], "involvedObject": involved,
                "reason": .string(reason), "message": .string(message), "type": .string(type),
                "reportingComponent": .string(component), "reportingInstance": .string(host ?? ""),
            ]
            if let action {
                event["action"] = .string(action)
                event["eventTime"] = .string(microTimestamp)
                event["source"] = [:]
                event["reportingInstance"] = .string(component + "-simulated")
            } else {
                event["source"] = source
                event["firstTimestamp"] = .string(timestamp)
                event["lastTimestamp"] = .string(timestamp)
                event["count"] = 1
            }
            try create(.events, namespace: namespace, event)
        } catch {
            // Real recorders log it and go on; nothing depends on an event.
        }
    }
}
