import FoundationEssentials
public import Kubernetes

extension Cluster {
    /// Answers a request that is no stream: everything but watches and followed logs.
    ///
    /// - Parameter user: who sent it, unless it carries a bearer token, which then decides.
    public mutating func handle(_ request: Request, as user: User) -> Response {
        var context = RequestContext(request, user: user)
        do throws(Refusal) {
            context.user = try authenticate(request, as: user)
            let response = try answer(&context)
            guard !context.warnings.isEmpty else { return response }
            var warned = response
            for warning in context.warnings {
                warned.headers.append(("Warning", "299 - " + GoText.quote(warning)))
            }
            return warned
        } catch {
            return Response(error)
        }
    }

    /// Who sends a request.
    func authenticate(_ request: Request, as user: User) throws(Refusal) -> User {
        guard let header = request.header("authorization"), header.lowercased().hasPrefix("bearer ") else {
            return user
        }
        let token = header.dropFirst("bearer ".count).drop { $0 == " " }
        guard var user = tokens[String(token)] else { throw Refusal(401, "Unauthorized", "Unauthorized") }
        if !user.groups.contains("system:authenticated") { user.groups.append("system:authenticated") }
        return user
    }

    private mutating func answer(_ context: inout RequestContext) throws(Refusal) -> Response {
        let info = context.info
        if let response = try answerNonResource(context) { return response }
        if let response = try answerReview(&context) { return response }
        guard let target = Target(info.parts, in: resources) else { throw notServed(info) }
        let verb = try Self.verb(context.request.method, target, info)
        try authorize(context.user, verb, target)
        if let subresource = target.subresource, subresource != "status" {
            return try answerSubresource(subresource, target, &context)
        }
        // A dry run happens in a copy of the world.
        if verb != "get", verb != "list", try context.isDryRun() {
            var copy = self
            return try copy.answerObject(verb, target, &context)
        }
        return try answerObject(verb, target, &context)
    }

    private mutating func answerObject(
        _ verb: String,
        _ target: Target,
        _ context: inout RequestContext
    ) throws(Refusal) -> Response {
        switch verb {
        case "get":
            guard let object = stored(target.key) else { throw .notFound(target.resource, target.key.name) }
            return respond(object, context)
        case "list": return try answerList(target, context)
        case "create": return try answerCreate(target, &context)
        case "update": return try answerUpdate(target, &context)
        case "patch": return try answerPatch(target, &context)
        case "delete": return try answerDelete(target, context)
        default: return try answerDeleteCollection(target, context)
        }
    }

    static func verb(_ method: Request.Method, _ target: Target, _ info: RequestInfo) throws(Refusal) -> String {
        switch method {
        case .get:
            if target.name != nil, target.subresource != nil { return "get" }
            if info.flag("watch") { return "watch" }
            return target.name == nil ? "list" : "get"
        case .post where target.name == nil || target.subresource != nil: return "create"
        case .put where target.name != nil: return "update"
        case .patch where target.name != nil: return "patch"
        case .delete: return target.name == nil ? "deletecollection" : "delete"
        default:
            throw Refusal(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
                details: [:]
            )
        }
    }

    func notServed(_ info: RequestInfo) -> Refusal {
        let served = resources.all.contains {
            info.parts.starts(with: $0.group.isEmpty ? ["api", $0.version] : ["apis", $0.group, $0.version])
        }
        // A known group answers with a Status, an unknown one with the text of Go's HTTP server.
        return served
            ? Refusal(404, "NotFound", "the server could not find the requested resource", details: [:])
            : Refusal(404, "", "404 page not found\n")
    }

    // MARK: Verbs

    private mutating func answerCreate(_ target: Target, _ context: inout RequestContext) throws(Refusal) -> Response {
        let object = try decodeObject(&context, as: target.resource)
        if let name = target.namespace, let own = object["metadata"]?["namespace"]?.string, !own.isEmpty, own != name {
            throw .badRequest("the namespace of the provided object does not match the namespace sent on the request")
        }
        let created = try create(target.resource, namespace: target.namespace, object, as: context.user)
        context.warnings += warnings(for: created, target.resource)
        let key = ObjectKey(target.resource, target.namespace, created.name)
        noteOwnership(of: key, before: nil, after: created, context)
        return respond(key, created, context, status: 201)
    }

    private mutating func answerUpdate(_ target: Target, _ context: inout RequestContext) throws(Refusal) -> Response {
        let object = try decodeObject(&context, as: target.resource)
        let key = target.key
        if object.name != key.name {
            throw .badRequest(
                "the name of the object (\(object.name)) does not match the name on the URL (\(key.name))"
            )
        }
        guard let before = get(key) else {
            throw .notFound(target.resource, key.name)
        }
        if let uid = object["metadata"]?["uid"]?.string, !uid.isEmpty, uid != before.uid {
            throw .conflict(
                key.resource,
                key.name,
                "StorageError: invalid object, Code: 4, Key: \(storageKey(key)), ResourceVersion: 0, "
                    + "AdditionalErrorMsg: Precondition failed: UID in precondition: \(uid), UID in object meta: "
                    + before.uid
            )
        }
        let version = object["metadata"]?["resourceVersion"]?.string
        let updated = try update(
            key,
            subresource: target.subresource,
            expecting: version?.isEmpty == true ? nil : version,
            as: context.user
        ) { current in current = object }
        context.warnings += warnings(for: updated, target.resource)
        noteOwnership(of: key, before: before, after: updated, context)
        return respond(key, updated, context)
    }

    private func storageKey(_ key: ObjectKey) -> String {
        "/registry/" + ([key.resource.plural, key.namespace, key.name].compactMap { $0 }).joined(separator: "/")
    }

    private mutating func answerPatch(_ target: Target, _ context: inout RequestContext) throws(Refusal) -> Response {
        let key = target.key
        let type = context.request.header("content-type")?.split(separator: ";").first.map(String.init) ?? ""
        if type == "application/apply-patch+yaml" { return try answerApply(target, &context) }
        let patch = try Patch(type: type, body: context.request.body ?? Data(), target.resource)
        guard let before = get(key) else { throw .notFound(target.resource, key.name) }
        var unknown: [String] = []
        let updated = try update(key, subresource: target.subresource, as: context.user) {
            (object: inout JSON) throws(Refusal) in
            object = try patch.applied(to: object, key)
            let version = object["metadata"]?["resourceVersion"]?.string
            if let version, !version.isEmpty, version != before["metadata"]?["resourceVersion"]?.string {
                throw .conflict(key.resource, key.name)
            }
            unknown = Schema.prune(&object, key.resource)
        }
        try context.report(unknown, in: target.resource)
        context.warnings += warnings(for: updated, target.resource)
        noteOwnership(of: key, before: before, after: updated, context)
        return respond(key, updated, context)
    }

    private mutating func answerDelete(_ target: Target, _ context: RequestContext) throws(Refusal) -> Response {
        let options = try DeleteOptions(context)
        let key = target.key
        let object = try delete(
            key,
            preconditions: options.preconditions,
            propagation: options.propagation,
            gracePeriodSeconds: options.gracePeriodSeconds
        )
        if stored(key) == nil, !object.isBeingDeleted, !key.resource.returnsDeletedObject {
            var details = Refusal.details(key.resource, name: key.name)
            details["uid"] = .string(object.uid)
            return .json(
                200,
                [
                    "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "details": details,
                ]
            )
        }
        return respond(key, object, context)
    }

    private mutating func answerDeleteCollection(
        _ target: Target,
        _ context: RequestContext
    ) throws(Refusal) -> Response {
        let options = try DeleteOptions(context)
        let filter = try ListFilter(context.info.query, target.resource, name: nil)
        let found = storedObjects(target.resource, namespace: target.namespace).filter { filter.matches($0.json) }
        let version = resourceVersion
        for object in found where stored(object.key) != nil {
            try delete(
                object.key,
                preconditions: Preconditions(uid: object.json.uid),
                propagation: options.propagation,
                gracePeriodSeconds: options.gracePeriodSeconds
            )
        }
        return listResponse(target.resource, found, version: version, context)
    }

    // MARK: Answers

    func respond(_ object: StoredObject, _ context: RequestContext, status: Int = 200) -> Response {
        if context.wantsTable {
            return .json(status, Table.table(of: [object.json], object.key.resource, version: nil, in: self))
        }
        return Response(status: status, headers: [("Content-Type", "application/json")], body: object.fullText)
    }

    func respond(_ key: ObjectKey, _ json: JSON, _ context: RequestContext, status: Int = 200) -> Response {
        if let object = stored(key), object.json == json, !context.dryRun {
            return respond(object, context, status: status)
        }
        var json = json
        if context.dryRun, status == 201 { json["metadata"]?["resourceVersion"] = nil }
        return respond(StoredObject(key: key, json: json, resourceVersion: 0), context, status: status)
    }
}

/// A request with what was found out about it.
struct RequestContext {
    let request: Request
    let info: RequestInfo
    var user: User
    var dryRun = false
    var warnings: [String] = []
    let wantsTable: Bool

    init(_ request: Request, user: User) {
        self.request = request
        info = RequestInfo(request.target)
        self.user = user
        wantsTable = request.header("accept")?.contains("as=Table") ?? false
    }

    mutating func isDryRun() throws(Refusal) -> Bool {
        var value = info.query["dryRun"]
        // A body that is none is refused where the options are read.
        if value == nil, request.method == .delete, let body = request.body, !body.isEmpty,
            let options = try? JSON(parsing: body), let list = options["dryRun"]?.array
        {
            value = list.first?.string
        }
        guard let value else { return false }
        guard value == "All" else {
            throw Refusal(
                422,
                "Invalid",
                " \"\" is invalid: dryRun: Unsupported value: \"\(value)\": supported values: \"All\""
            )
        }
        dryRun = true
        return true
    }

    /// Refuses or warns of unknown fields, as `fieldValidation` asks.
    mutating func report(_ unknown: [String], in resource: Resource) throws(Refusal) {
        guard !unknown.isEmpty else { return }
        switch info.query["fieldValidation"] {
        case "Ignore": return
        case "Strict":
            let list = unknown.map { "unknown field \"\($0)\"" }.joined(separator: ", ")
            throw .badRequest(
                "\(resource.kind) in version \"\(resource.version)\" cannot be handled as a \(resource.kind): "
                    + "strict decoding error: \(list)"
            )
        default: warnings += unknown.map { "unknown field \"\($0)\"" }
        }
    }
}

extension Response {
    static func json(_ status: Int, _ body: JSON) -> Response {
        Response(status: status, headers: [("Content-Type", "application/json")], body: body.compactText)
    }

    static func text(_ status: Int, _ body: String) -> Response {
        Response(
            status: status,
            headers: [("Content-Type", "text/plain; charset=utf-8")],
            body: Data(body.utf8)
        )
    }

    init(_ refusal: Refusal) {
        if refusal.code == 404, refusal.reason.isEmpty {
            self = .text(404, refusal.message)
            return
        }
        self = .json(refusal.code, refusal.status)
        if let seconds = refusal.retryAfter { headers.append(("Retry-After", String(seconds))) }
    }
}

/// How something is deleted, from the body and the query.
struct DeleteOptions {
    var preconditions = Preconditions()
    var propagation: Propagation?
    var gracePeriodSeconds: Int?

    init(_ context: RequestContext) throws(Refusal) {
        var options: JSON = [:]
        if let body = context.request.body, !body.isEmpty {
            // A real server answers in these words, without its parser's.
            guard let parsed = try? JSON(parsing: body), parsed.object != nil else {
                throw .badRequest("the body of the request is no DeleteOptions object")
            }
            options = parsed
        }
        preconditions.uid = options["preconditions"]?["uid"]?.string
        preconditions.resourceVersion = options["preconditions"]?["resourceVersion"]?.string
        gracePeriodSeconds =
            options["gracePeriodSeconds"]?.integer.map(Int.init)
            ?? context.info.query["gracePeriodSeconds"].flatMap { Int($0) }
        if let policy = options["propagationPolicy"]?.string ?? context.info.query["propagationPolicy"] {
            guard let value = Propagation(rawValue: policy) else {
                throw Refusal(
                    422,
                    "Invalid",
                    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"\(policy)\": "
                        + "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
                )
            }
            propagation = value
        } else if options["orphanDependents"]?.bool == true {
            propagation = .orphan
        }
    }
}

extension Resource {
    /// Whether a deletion that is complete at once answers with the object, not with a Status.
    var returnsDeletedObject: Bool {
        group == "storage.k8s.io"
            || [.pods, .persistentVolumes, .persistentVolumeClaims, .resourceQuotas, .serviceAccounts, .podTemplates]
                .contains(self)
    }

    /// Whether the API server knows the type itself, as opposed to a custom resource.
    var isBuiltIn: Bool { Self.builtInSet.contains(self) }

    private static let builtInSet = Set(builtIn)
}
