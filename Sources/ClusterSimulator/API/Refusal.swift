public import Kubernetes

/// The API server's no, with the `Status` object that says why.
public struct Refusal: Error, Sendable, CustomStringConvertible {
    public var code: Int
    public var reason: String
    public var message: String
    public var details: JSON?
    /// `Retry-After`, in seconds.
    public var retryAfter: Int?

    init(_ code: Int, _ reason: String, _ message: String, details: JSON? = nil, retryAfter: Int? = nil) {
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retryAfter = retryAfter
    }

    public var description: String { message }

    /// The answer's body (`metav1.Status`).
    public var status: JSON {
        var status: JSON = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure",
            "message": .string(message), "code": .integer(Int64(code)),
        ]
        if !reason.isEmpty { status["reason"] = .string(reason) }
        if let details { status["details"] = details }
        return status
    }

    /// What `details` says of an object.
    static func details(_ resource: Resource, name: String?, kind: String? = nil) -> JSON {
        var details: JSON = ["kind": .string(kind ?? resource.plural)]
        if let name, !name.isEmpty { details["name"] = .string(name) }
        if !resource.group.isEmpty { details["group"] = .string(resource.group) }
        return details
    }

    static func notFound(_ resource: Resource, _ name: String) -> Refusal {
        Refusal(
            404,
            "NotFound",
            "\(resource.qualifiedName) \"\(name)\" not found",
            details: details(resource, name: name)
        )
    }

    static func alreadyExists(_ resource: Resource, _ name: String, beingDeleted: Bool) -> Refusal {
        let message = "\(resource.qualifiedName) \"\(name)\" already exists"
        return Refusal(
            409,
            "AlreadyExists",
            beingDeleted ? "object is being deleted: " + message : message,
            details: details(resource, name: name)
        )
    }

    static func conflict(_ resource: Resource, _ name: String, _ why: String? = nil) -> Refusal {
        let why =
            why ?? "the object has been modified; please apply your changes to the latest version and try again"
        return Refusal(
            409,
            "Conflict",
            "Operation cannot be fulfilled on \(resource.qualifiedName) \"\(name)\": \(why)",
            details: details(resource, name: name)
        )
    }

    static func forbidden(_ resource: Resource, _ name: String, _ why: String, causes: [JSON]? = nil) -> Refusal {
        var details = details(resource, name: name)
        if let causes { details["causes"] = .array(causes) }
        return Refusal(
            403,
            "Forbidden",
            "\(resource.qualifiedName)\(name.isEmpty ? "" : " \"\(name)\"") is forbidden: \(why)",
            details: details
        )
    }

    static func internalError(_ message: String) -> Refusal {
        Refusal(
            500,
            "InternalError",
            "Internal error occurred: " + message,
            details: ["causes": [["message": .string(message)]]]
        )
    }

    static func badRequest(_ message: String) -> Refusal { Refusal(400, "BadRequest", message) }

    static func invalid(_ resource: Resource, _ name: String, _ problems: [FieldProblem]) -> Refusal {
        // The same problem told twice is one in the message and two among the causes, as in the real one.
        var texts: [String] = []
        for problem in problems where !texts.contains(problem.text) { texts.append(problem.text) }
        let summary = texts.count == 1 ? texts[0] : "[" + texts.joined(separator: ", ") + "]"
        var details: JSON = ["name": .string(name), "kind": .string(resource.kind)]
        if !resource.group.isEmpty { details["group"] = .string(resource.group) }
        details["causes"] = .array(
            problems.map {
                [
                    "reason": .string($0.reason.rawValue), "message": .string($0.message), "field": .string($0.field),
                ]
            }
        )
        let kind = resource.group.isEmpty ? resource.kind : resource.kind + "." + resource.group
        return Refusal(422, "Invalid", "\(kind) \"\(name)\" is invalid: \(summary)", details: details)
    }
}

/// One thing that is wrong with a field (apimachinery's `field.Error`).
struct FieldProblem: Sendable {
    enum Reason: String, Sendable {
        case forbidden = "FieldValueForbidden"
        case invalid = "FieldValueInvalid"
        case required = "FieldValueRequired"
        case notSupported = "FieldValueNotSupported"
        case tooLong = "FieldValueTooLong"
        case duplicate = "FieldValueDuplicate"
        case notFound = "FieldValueNotFound"
    }

    var reason: Reason
    var field: String
    /// Without the field's name.
    var message: String

    var text: String { field + ": " + message }

    static func forbidden(_ field: String, _ why: String) -> FieldProblem {
        FieldProblem(reason: .forbidden, field: field, message: "Forbidden: " + why)
    }

    static func required(_ field: String, _ why: String = "") -> FieldProblem {
        FieldProblem(
            reason: .required,
            field: field,
            message: why.isEmpty ? "Required value" : "Required value: " + why
        )
    }

    /// `value` as Go writes it: text in quotation marks, say.
    static func invalid(_ field: String, _ value: String, _ why: String) -> FieldProblem {
        FieldProblem(reason: .invalid, field: field, message: "Invalid value: \(value): \(why)")
    }

    static func tooLong(_ field: String, _ why: String) -> FieldProblem {
        FieldProblem(reason: .tooLong, field: field, message: "Too long: " + why)
    }

    static func notSupported(_ field: String, _ value: String, _ supported: [String]) -> FieldProblem {
        let list = supported.map { "\"\($0)\"" }.joined(separator: ", ")
        return FieldProblem(
            reason: .notSupported,
            field: field,
            message: "Unsupported value: \"\(value)\": supported values: \(list)"
        )
    }
}
