import FoundationEssentials
import Kubernetes

/// What a request asks for, read from its method, path and query.
struct RequestInfo {
    var path: String
    /// By name; the last one where there are several of a name.
    var query: [String: String]
    /// The parameters of the query in their order.
    private let parameters: [(name: String, value: String)]

    /// The path's parts, decoded.
    var parts: [String]

    init(_ target: String) {
        let halves = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(halves[0])
        parts = path.split(separator: "/").map { Self.decode(String($0), plus: false) }
        parameters =
            halves.dropFirst().first?.split(separator: "&").map { pair in
                let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (
                    Self.decode(String(sides[0]), plus: true),
                    sides.count > 1 ? Self.decode(String(sides[1]), plus: true) : ""
                )
            } ?? []
        query = Dictionary(parameters.map { ($0.name, $0.value) }) { $1 }
    }

    /// All values of a query parameter that may come several times.
    func values(_ name: String) -> [String] { parameters.filter { $0.name == name }.map(\.value) }

    /// Whether a query parameter is set to something true, as Go reads it.
    func flag(_ name: String) -> Bool {
        guard let value = query[name] else { return false }
        return ["1", "t", "T", "true", "TRUE", "True"].contains(value)
    }

    private static func decode(_ text: String, plus: Bool) -> String {
        // Most parts hold nothing to decode.
        if !text.utf8.contains(UInt8(ascii: "%")), !plus || !text.utf8.contains(UInt8(ascii: "+")) { return text }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "+"), plus {
                bytes.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%"), let value = UInt8(String(rest.prefix(2)) ?? "", radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The object or collection that a path names.
struct Target: Sendable {
    var resource: Resource
    var namespace: String?
    var name: String?
    var subresource: String?
    /// What follows the subresource: the path behind `nodes/NAME/proxy`.
    var rest: [String] = []

    /// - Parameter parts: a path's parts, from `api` or `apis` on.
    /// - Returns: nil where the path names nothing that is served.
    init?(_ parts: [String], in resources: ResourceTable) {
        let group: String
        let version: String
        var rest: ArraySlice<String>
        if parts.first == "api", parts.count >= 3 {
            group = ""
            version = parts[1]
            rest = parts[2...]
        } else if parts.first == "apis", parts.count >= 4 {
            group = parts[1]
            version = parts[2]
            rest = parts[3...]
        } else {
            return nil
        }
        // `namespaces/NAME/status` and `/finalize` are the namespace's own; all else below a namespace is in it.
        if rest.first == "namespaces", rest.count >= 3,
            !(group.isEmpty && rest.count == 3 && ["status", "finalize"].contains(rest[rest.startIndex + 2]))
        {
            namespace = rest[rest.startIndex + 1]
            rest = rest.dropFirst(2)
        }
        guard let plural = rest.popFirst(),
            let resource = resources.find(group: group, version: version, plural: plural),
            resource.namespaced || namespace == nil
        else { return nil }
        self.resource = resource
        name = rest.popFirst()
        if resource.namespaced, name != nil, namespace == nil { return nil }
        subresource = rest.popFirst()
        self.rest = Array(rest)
        if let subresource, !resource.subresources.contains(subresource) { return nil }
    }

    var key: ObjectKey { ObjectKey(resource, namespace, name ?? "") }
}
