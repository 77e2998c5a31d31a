/// A list as the API server answers it.
struct List<Object: KubernetesObject>: Decodable, Sendable {
    struct Metadata: Decodable, Sendable {
        var resourceVersion: String?
        var `continue`: String?
    }

    var kind = "List"
    var metadata: Metadata
    var items: [Object] = []
    /// The items of which some field is not what the API says.
    var unread: [Unread] = []
    /// False for a page that others follow.
    var isLast: Bool { (metadata.continue ?? "").isEmpty }

    init(metadata: Metadata) { self.metadata = metadata }

    private enum CodingKeys: CodingKey { case kind, metadata, items }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        kind = try container.decode(String.self, forKey: .kind)
        metadata = try container.decode(Metadata.self, forKey: .metadata)
        for item in try container.decodeIfPresent([Item<Object>].self, forKey: .items) ?? [] {
            switch item {
            case .object(let object): items.append(object)
            case .unread(let unread): self.unread.append(unread)
            }
        }
    }

    func unreadable(of resource: APIResource) -> [Unreadable] {
        unread.map { Unreadable(resource: resource, name: $0.name, why: $0.why) }
    }

    /// The items, where all could be read.
    func whole(of resource: APIResource, in namespace: String?) throws(APIError) -> [Object] {
        guard let first = unreadable(of: resource).first else { return items }
        throw APIError(
            reason: .protocolError,
            request: Client.listing(resource, namespace),
            message: "\(first.title) can't be read: \(first.why)",
            code: 200
        )
    }
}

/// What could be read of a list, and what could not.
public struct Readable<Object: KubernetesObject>: Sendable {
    public var items: [Object] = []
    public var unreadable: [Unreadable] = []

    init(items: [Object], unreadable: [Unreadable]) { (self.items, self.unreadable) = (items, unreadable) }

    /// Nothing.
    public init() {}

    public static func += (left: inout Readable, right: Readable) {
        left.items += right.items
        left.unreadable += right.unreadable
    }
}

/// An object of which some field is not what the API says. Others are listed all the same.
public struct Unreadable: Sendable, Hashable {
    public var resource: APIResource
    public var name: ObjectName
    /// The field, and what is wrong with it.
    public var why: String

    public init(resource: APIResource, name: ObjectName, why: String) {
        (self.resource, self.name, self.why) = (resource, name, why)
    }

    /// The kind with namespace and name, as messages name an object.
    public var title: String { "\(resource.kind) \(name)" }
}

/// What is known of an object that can't be read.
struct Unread: Sendable {
    var name: ObjectName
    var resourceVersion: String?
    var why: String

    private struct Object: Decodable {
        struct Metadata: Decodable { var name, namespace, resourceVersion: String? }
        var metadata: Metadata
    }

    /// - Throws: `DecodingError` where the object has not even a name.
    init(from decoder: any Decoder, _ error: any Error) throws {
        let metadata = try Object(from: decoder).metadata
        name = ObjectName(metadata.name ?? "?", in: metadata.namespace)
        resourceVersion = metadata.resourceVersion
        why = (error as? DecodingError)?.inWords(below: decoder.codingPath.count) ?? "\(error)"
    }
}

/// An object, as far as it can be read.
enum Item<Object: KubernetesObject>: Decodable {
    case object(Object)
    case unread(Unread)

    init(from decoder: any Decoder) throws {
        do { self = .object(try Object(from: decoder)) } catch {
            self = .unread(try Unread(from: decoder, error))
        }
    }
}

extension DecodingError {
    /// The field of an object, and what is wrong with it: `spec.replicas: Expected Int but found a string`.
    fileprivate func inWords(below depth: Int) -> String {
        let context: Context
        var path: [any CodingKey]
        switch self {
        case .keyNotFound(let key, let its): (context, path) = (its, its.codingPath + [key])
        case .typeMismatch(_, let its), .valueNotFound(_, let its), .dataCorrupted(let its):
            (context, path) = (its, its.codingPath)
        @unknown default: return "\(self)".shortened(to: 200)
        }
        path = Array(path.dropFirst(depth))
        let field = path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        return "\(field): \(context.debugDescription)".shortened(to: 300)
    }
}
