import FoundationEssentials
import Kubernetes

/// Turns the protobuf in which kubectl sends a few requests into JSON, which is all that the simulated cluster reads.
///
/// kubectl offers no choice here: what it makes itself (`create configmap`, `auth can-i`) goes out as protobuf, what
/// comes from a file as JSON. Answers may be JSON all the same.
enum Protobuf {
    static let mediaType = "application/vnd.kubernetes.protobuf"

    /// What a field's number means.
    indirect enum Field: Sendable {
        case string, integer, bool
        /// Bytes, which JSON writes in base64.
        case bytes
        case message([Int: (name: String, field: Field)])
        /// A message of which JSON shows only the first field: a Quantity is its text.
        case inner(Field)
        case list(Field)
        case map(Field)
    }

    /// Reads a request's body: an envelope of the kind's name and the object itself (`runtime.Unknown`).
    ///
    /// - Returns: the object, or nil where it is of another kind than those below, has a field that is not listed, or is
    ///   no protobuf.
    static func object(_ body: Data) -> JSON? {
        // Kubernetes' own four bytes before the protobuf (apimachinery, `protobuf.go`).
        guard body.starts(with: [0x6b, 0x38, 0x73, 0]),
            let envelope = message(body.dropFirst(4), envelope),
            let kind = envelope[path: ["typeMeta", "kind"]]?.string, let fields = kinds[kind],
            let raw = envelope["raw"]?.string, let content = Data(base64Encoded: raw),
            var object = message(content, fields)
        else { return nil }
        object["apiVersion"] = envelope[path: ["typeMeta", "apiVersion"]]
        object["kind"] = .string(kind)
        return object
    }

    // MARK: The wire format (protobuf.dev, "Encoding")

    private static func message(_ data: Data, _ fields: [Int: (name: String, field: Field)]) -> JSON? {
        var object: [String: JSON] = [:]
        var rest = data
        while !rest.isEmpty {
            guard let key = varint(&rest), let (name, field) = fields[Int(key >> 3)] else { return nil }
            let value: JSON?
            switch key & 7 {
            case 0:
                guard let number = varint(&rest) else { return nil }
                value = scalar(number, field)
            case 2:
                guard let count = varint(&rest), count <= rest.count else { return nil }
                value = self.value(rest.prefix(Int(count)), field, before: object[name])
                rest = rest.dropFirst(Int(count))
            default: return nil
            }
            guard let value else { return nil }
            // Go's encoder writes empty fields too; in JSON they are left out.
            if value != "" && value != .object([:]) && value != 0 && value != false { object[name] = value }
        }
        return .object(object)
    }

    private static func varint(_ data: inout Data) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard let byte = data.popFirst() else { return nil }
            value |= UInt64(byte & 0x7f) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        return nil
    }

    private static func scalar(_ number: UInt64, _ field: Field) -> JSON? {
        switch field {
        case .integer: .integer(Int64(bitPattern: number))
        case .bool: .bool(number != 0)
        default: nil
        }
    }

    private static func value(_ data: Data, _ field: Field, before: JSON?) -> JSON? {
        switch field {
        case .string: return String(data: data, encoding: .utf8).map { .string($0) }
        case .bytes: return .string(data.base64EncodedString())
        case .message(let fields): return message(data, fields)
        case .inner(let field): return message(data, [1: ("inner", field)])?["inner"]
        case .list(let element):
            guard let value = value(data, element, before: nil) else { return nil }
            return .array((before?.array ?? []) + [value])
        case .map(let element):
            guard let entry = message(data, [1: ("key", .string), 2: ("value", element)]) else { return nil }
            var all = before ?? .object([:])
            all[entry["key"]?.string ?? ""] = entry["value"] ?? ""
            return all
        case .integer, .bool: return nil
        }
    }

    // MARK: The kinds (generated.proto of each API group)

    private static let envelope: [Int: (name: String, field: Field)] = [
        1: ("typeMeta", .message([1: ("apiVersion", .string), 2: ("kind", .string)])), 2: ("raw", .bytes),
        3: ("contentEncoding", .string), 4: ("contentType", .string),
    ]
    private static let metadata: (name: String, field: Field) = (
        "metadata",
        .message([
            1: ("name", .string), 2: ("generateName", .string), 3: ("namespace", .string), 4: ("selfLink", .string),
            5: ("uid", .string), 6: ("resourceVersion", .string), 7: ("generation", .integer),
            8: ("creationTimestamp", .message([:])), 11: ("labels", .map(.string)), 12: ("annotations", .map(.string)),
            14: ("finalizers", .list(.string)),
        ])
    )
    private static let podTemplate: Field = .message([
        1: metadata,
        2: (
            "spec",
            .message([
                2: (
                    "containers",
                    .list(
                        .message([
                            1: ("name", .string), 2: ("image", .string), 3: ("command", .list(.string)),
                            4: ("args", .list(.string)), 5: ("workingDir", .string), 8: ("resources", .message([:])),
                            13: ("terminationMessagePath", .string),
                            14: ("imagePullPolicy", .string), 16: ("stdin", .bool), 17: ("stdinOnce", .bool),
                            18: ("tty", .bool),
                            20: ("terminationMessagePolicy", .string),
                        ])
                    )
                ),
                3: ("restartPolicy", .string), 6: ("dnsPolicy", .string), 8: ("serviceAccountName", .string),
                9: ("deprecatedServiceAccount", .string), 10: ("nodeName", .string), 11: ("hostNetwork", .bool),
                12: ("hostPID", .bool), 13: ("hostIPC", .bool), 16: ("hostname", .string), 17: ("subdomain", .string),
                19: ("schedulerName", .string), 24: ("priorityClassName", .string),
            ])
        ),
    ])

    private static let kinds: [String: [Int: (name: String, field: Field)]] = [
        "ConfigMap": [
            1: metadata, 2: ("data", .map(.string)), 3: ("binaryData", .map(.bytes)), 4: ("immutable", .bool),
        ],
        "Secret": [
            1: metadata, 2: ("data", .map(.bytes)), 3: ("type", .string), 4: ("stringData", .map(.string)),
            5: ("immutable", .bool),
        ],
        "Namespace": [
            1: metadata, 2: ("spec", .message([1: ("finalizers", .list(.string))])),
            3: ("status", .message([1: ("phase", .string)])),
        ],
        "ServiceAccount": [1: metadata],
        "ResourceQuota": [
            1: metadata,
            2: ("spec", .message([1: ("hard", .map(.inner(.string))), 2: ("scopes", .list(.string))])),
            3: ("status", .message([:])),
        ],
        "Deployment": [
            1: metadata,
            2: (
                "spec",
                .message([
                    1: ("replicas", .integer), 2: ("selector", .message([1: ("matchLabels", .map(.string))])),
                    3: ("template", podTemplate), 4: ("strategy", .message([1: ("type", .string)])),
                    5: ("minReadySeconds", .integer), 7: ("paused", .bool),
                ])
            ),
            3: (
                "status",
                .message([
                    1: ("observedGeneration", .integer), 2: ("replicas", .integer), 3: ("updatedReplicas", .integer),
                    4: ("availableReplicas", .integer), 5: ("unavailableReplicas", .integer),
                    7: ("readyReplicas", .integer),
                ])
            ),
        ],
        "Job": [
            1: metadata,
            2: ("spec", .message([6: ("template", podTemplate)])),
            3: (
                "status",
                .message([
                    4: ("active", .integer), 5: ("succeeded", .integer), 6: ("failed", .integer),
                    7: ("completedIndexes", .string),
                ])
            ),
        ],
        "Eviction": [
            1: metadata,
            2: (
                "deleteOptions",
                .message([
                    1: ("gracePeriodSeconds", .integer),
                    2: ("preconditions", .message([1: ("uid", .string), 2: ("resourceVersion", .string)])),
                    3: ("orphanDependents", .bool), 4: ("propagationPolicy", .string), 5: ("dryRun", .list(.string)),
                ])
            ),
        ],
        "SelfSubjectReview": [
            1: metadata,
            2: ("status", .message([1: ("userInfo", .message([1: ("username", .string), 2: ("uid", .string)]))])),
        ],
        "SelfSubjectRulesReview": [
            1: metadata, 2: ("spec", .message([1: ("namespace", .string)])),
            3: ("status", .message([3: ("incomplete", .bool), 4: ("evaluationError", .string)])),
        ],
        "SelfSubjectAccessReview": [
            1: metadata,
            2: (
                "spec",
                .message([
                    1: (
                        "resourceAttributes",
                        .message([
                            1: ("namespace", .string), 2: ("verb", .string), 3: ("group", .string),
                            4: ("version", .string),
                            5: ("resource", .string), 6: ("subresource", .string), 7: ("name", .string),
                        ])
                    ),
                    2: ("nonResourceAttributes", .message([1: ("path", .string), 2: ("verb", .string)])),
                ])
            ),
            3: (
                "status",
                .message([
                    1: ("allowed", .bool), 2: ("reason", .string), 3: ("evaluationError", .string),
                    4: ("denied", .bool),
                ])
            ),
        ],
    ]
}
