import FoundationEssentials
import Kubernetes

/// Which objects a list or watch is about, beside resource and namespace.
struct ListFilter: Sendable {
    var labels = LabelSelector()
    var fields = FieldSelector()
    private(set) var isEmpty = true

    init(_ query: [String: String], _ resource: Resource, name: String?) throws(Refusal) {
        if let text = query["labelSelector"], !text.isEmpty {
            labels = try LabelSelector(parsing: text)
            isEmpty = false
        }
        if let text = query["fieldSelector"], !text.isEmpty {
            fields = try FieldSelector(parsing: text, resource)
            isEmpty = false
        }
        if let name {
            fields = FieldSelector(name: name)
            isEmpty = false
        }
    }

    func matches(_ object: JSON) -> Bool {
        isEmpty || (labels.matches(object["metadata"]?["labels"]) && fields.matches(object))
    }
}

/// Where the next page of a list begins, as the real server writes it (base64url of JSON).
private struct ContinueToken {
    var version: Int
    /// The first key of the page, `namespace/name` or within one namespace `name`; it ends in a zero byte, so that it
    /// follows the last object of the page before.
    var start: String

    var text: String {
        let json: JSON = [
            "v": "meta.k8s.io/v1", "rv": .integer(Int64(version)), "start": .string(start),
        ]
        return json.compactText.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }

    init(version: Int, start: String) {
        self.version = version
        self.start = start
    }

    init(parsing text: String) throws(Refusal) {
        var base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        base64 += String(repeating: "=", count: (4 - base64.count % 4) % 4)
        guard let data = Data(base64Encoded: base64) else {
            throw .badRequest("invalid continue token: continue key is not valid: illegal base64 data at input byte 0")
        }
        // A real server answers in these words, without its parser's.
        guard let json = try? JSON(parsing: data) else {
            let scalar = Unicode.Scalar(data.first ?? 0)
            let character =
                scalar.value >= 0x80 && scalar.value < 0xa0
                ? "\\u00" + String(scalar.value, radix: 16) : String(Character(scalar))
            throw .badRequest(
                "invalid continue token: continue key is not valid: invalid character '\(character)' looking for "
                    + "beginning of value"
            )
        }
        guard json["v"]?.string == "meta.k8s.io/v1", let version = json["rv"]?.integer,
            let start = json["start"]?.string
        else {
            throw .badRequest(
                "invalid continue token: continue key is not valid: server does not recognize this encoded version"
            )
        }
        self.version = Int(version)
        self.start = start
    }
}

extension Cluster {
    func answerList(_ target: Target, _ context: RequestContext) throws(Refusal) -> Response {
        let query = context.info.query
        let resource = target.resource
        let filter = try ListFilter(query, resource, name: nil)
        let limit = query["limit"].flatMap { Int($0) } ?? 0
        var version = resourceVersion
        var start: String?
        var objects: [StoredObject]
        if let text = query["continue"], !text.isEmpty {
            let token = try ContinueToken(parsing: text)
            version = token.version
            start = token.start
            objects = try storedObjects(resource, namespace: target.namespace, at: version)
        } else {
            if let asked = query["resourceVersion"], !asked.isEmpty, asked != "0" {
                guard let asked = Int(asked) else {
                    throw .badRequest(
                        "Invalid value: \"\(asked)\": strconv.ParseUint: parsing \"\(asked)\": invalid syntax"
                    )
                }
                guard asked <= resourceVersion else {
                    throw .tooLarge(asked, resourceVersion)
                }
                if query["resourceVersionMatch"] == "Exact" { version = asked }
            }
            if version == resourceVersion, let name = filter.fields.name,
                target.namespace != nil || !resource.namespaced
            {
                // The real one reads no more than that object either.
                objects = [stored(ObjectKey(resource, target.namespace, name))].compactMap(\.self)
            } else {
                objects = try storedObjects(resource, namespace: target.namespace, at: version)
            }
        }
        func position(_ key: ObjectKey) -> String {
            target.namespace == nil && resource.namespaced ? (key.namespace ?? "") + "/" + key.name : key.name
        }
        if let start { objects.removeAll { position($0.key) < start } }
        if !filter.isEmpty { objects.removeAll { !filter.matches($0.json) } }
        guard limit > 0, objects.count > limit else {
            return listResponse(resource, objects, version: version, context)
        }
        let token = ContinueToken(version: version, start: position(objects[limit - 1].key) + "\0")
        return listResponse(
            resource,
            Array(objects.prefix(limit)),
            version: version,
            context,
            token: token.text,
            remaining: filter.isEmpty ? objects.count - limit : nil
        )
    }

    /// The objects as they were at a version, made from the present and the history.
    private func storedObjects(
        _ resource: Resource,
        namespace: String?,
        at version: Int
    ) throws(Refusal) -> [StoredObject] {
        let present = storedObjects(resource, namespace: namespace)
        if version >= resourceVersion { return present }
        guard let changes = history.changes(of: resource, after: version) else {
            throw Refusal(
                410,
                "Expired",
                "The provided continue parameter is too old to display a consistent list result. You can start a new "
                    + "list without the continue parameter, or use the continue token in this response to retrieve the "
                    + "remainder of the results. Continuing with the provided token results in an inconsistent list - "
                    + "objects that were created, modified, or deleted between the time the first chunk was returned "
                    + "and now may show up in the list."
            )
        }
        if changes.isEmpty { return present }
        var past = Dictionary(uniqueKeysWithValues: present.map { ($0.key, $0) })
        for change in changes.reversed() where namespace == nil || change.object.key.namespace == namespace {
            past[change.object.key] = change.previous
        }
        return past.values.sorted { ($0.key.namespace ?? "", $0.key.name) < ($1.key.namespace ?? "", $1.key.name) }
    }

    func listResponse(
        _ resource: Resource,
        _ objects: [StoredObject],
        version: Int,
        _ context: RequestContext,
        token: String? = nil,
        remaining: Int? = nil
    ) -> Response {
        var metadata: JSON = ["resourceVersion": .string(String(version))]
        if let token { metadata["continue"] = .string(token) }
        if let remaining { metadata["remainingItemCount"] = .integer(Int64(remaining)) }
        if context.wantsTable {
            var table = Table.table(of: objects.map(\.json), resource, version: version, in: self)
            table["metadata"] = metadata
            return .json(200, table)
        }
        var body = Data(
            "{\"kind\":\"\(resource.kind)List\",\"apiVersion\":\"\(resource.apiVersion)\",\"metadata\":".utf8
        )
        body.append(metadata.compactText)
        body.append(contentsOf: ",\"items\":[".utf8)
        for (index, object) in objects.enumerated() {
            if index > 0 { body.append(UInt8(ascii: ",")) }
            body.append(object.itemText)
        }
        body.append(contentsOf: "]}".utf8)
        return Response(status: 200, headers: [("Content-Type", "application/json")], body: body)
    }
}
