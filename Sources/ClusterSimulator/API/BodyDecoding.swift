import FoundationEssentials
import Kubernetes

extension Cluster {
    /// Reads an object of a known kind from a request's body, as Go's decoder would take it.
    func decodeObject(_ context: inout RequestContext, as resource: Resource) throws(Refusal) -> JSON {
        let body = context.request.body ?? Data()
        let type = context.request.header("content-type")?.split(separator: ";").first.map(String.init)
        if let type, type != "application/json" {
            throw Refusal(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: application/json"
            )
        }
        let kind = resource.kind
        let unrecognized = "the object provided is unrecognized (must be of type \(kind)): couldn't get version/kind; "
        var object: JSON
        do {
            object = try JSON(parsing: body)
        } catch {
            throw .badRequest(unrecognized + "json parse error: \(Self.parseProblem(body)) (\(Self.hex(body)))")
        }
        guard object.object != nil else {
            throw .badRequest(
                unrecognized + "json parse error: json: cannot unmarshal \(Self.goKind(object)) into Go value of type "
                    + "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; "
                    + "Kind string \"json:\\\"kind,omitempty\\\"\" } (\(Self.hex(body)))"
            )
        }
        let ownKind = object["kind"]?.string ?? ""
        let ownVersion = object["apiVersion"]?.string ?? ""
        if !ownKind.isEmpty, ownKind != kind {
            let group = resource.group.isEmpty ? "core" : String(resource.group.prefix { $0 != "." })
            throw .badRequest(
                "\(ownKind) in version \"\(resource.version)\" cannot be handled as a \(kind): converting "
                    + "(\(resource.version).\(ownKind)) to (\(group).\(kind)): unknown conversion"
            )
        }
        if !ownVersion.isEmpty, ownVersion != resource.apiVersion {
            throw .badRequest(
                "the API version in the data (\(ownVersion)) does not match the expected API version "
                    + "(\(resource.apiVersion))"
            )
        }
        if let problem = Schema.typeProblem(object, resource) {
            throw .badRequest(
                "\(kind) in version \"\(resource.version)\" cannot be handled as a \(kind): \(problem)"
            )
        }
        object["kind"] = .string(kind)
        object["apiVersion"] = .string(resource.apiVersion)
        let unknown = Schema.prune(&object, resource)
        try context.report(unknown, in: resource)
        return object
    }

    /// The start of a body in hexadecimal, as such messages show it.
    private static func hex(_ body: Data) -> String {
        body.prefix(1024).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    private static func goKind(_ value: JSON) -> String {
        switch value {
        case .string: "string"
        case .array: "array"
        case .bool: "bool"
        default: "number"
        }
    }

    private static func parseProblem(_ body: Data) -> String {
        if body.isEmpty { return "unexpected end of JSON input" }
        if let first = body.first, !"{[\"".utf8.contains(first) {
            return "invalid character '\(Character(Unicode.Scalar(first)))' looking for beginning of value"
        }
        return "unexpected end of JSON input"
    }
}
