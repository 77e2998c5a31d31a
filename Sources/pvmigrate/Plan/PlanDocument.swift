import FoundationEssentials
import Kubernetes
import Migration

/// The file of `pvmigrate plan`: a command, and the cluster for which it was planned.
struct PlanDocument: Codable, Equatable {
    static let apiVersion = "pvmigrate/v1"
    static let kind = "Plan"

    struct Spec: Codable, Equatable {
        var command: [String]
        var cluster: Plan
    }

    var apiVersion = Self.apiVersion
    var kind = Self.kind
    var spec: Spec

    init(command: [String], cluster: Plan) { spec = Spec(command: command, cluster: cluster) }

    /// Reads a file.
    ///
    /// - Throws: `UsageError` where it is no plan, or holds what no plan has.
    init(readFrom path: String) throws(UsageError) {
        let manifest: JSON
        do {
            manifest = try ManifestFile.read(path)
        } catch {
            throw UsageError("the plan cannot be used: \(error)")
        }
        guard manifest["apiVersion"] == .string(Self.apiVersion), manifest["kind"] == .string(Self.kind) else {
            throw UsageError("\(path) is no plan: its apiVersion and kind must be \(Self.apiVersion) and \(Self.kind)")
        }
        let read: JSON
        do {
            self = try JSONDecoder().decode(Self.self, from: manifest.text)
            read = try json()
        } catch let error as DecodingError {
            throw UsageError("\(path) is no plan: \(error.inWords)")
        } catch {
            throw UsageError("\(path) is no plan: \(error)")
        }
        if let unknown = manifest.firstKey(besides: read) {
            throw UsageError("\(path) is no plan: it has the key \(unknown), which no plan has")
        }
    }

    /// The document as it is printed with `--output json`. Such a file is a plan, too.
    func json() throws -> JSON {
        Shape.object(Schemas.plan).completed(try JSON(parsing: JSONEncoder().encode(self)))
    }
}

extension JSON {
    /// Returns the path of the first key that another value lacks; nil where it has all.
    fileprivate func firstKey(besides other: JSON, at path: String = "") -> String? {
        if let members = object {
            for (key, value) in members.sorted(by: { $0.key < $1.key }) where value != .null {
                let place = path.isEmpty ? key : "\(path).\(key)"
                guard let its = other[key] else { return place }
                if let found = value.firstKey(besides: its, at: place) { return found }
            }
        }
        for (index, (value, its)) in zip(array ?? [], other.array ?? []).enumerated() {
            if let found = value.firstKey(besides: its, at: "\(path)[\(index)]") { return found }
        }
        return nil
    }
}

extension DecodingError {
    /// The place and the reason, for people.
    fileprivate var inWords: String {
        switch self {
        case .keyNotFound(let key, let context): "it lacks \((context.codingPath + [key]).inWords)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            "\(context.codingPath.inWords) is of another type than it must be"
        @unknown default: "\(self)"
        }
    }
}

extension [any CodingKey] {
    /// The path: `spec.cluster.claims[0].uid`.
    fileprivate var inWords: String {
        reduce("") { path, key in
            if let index = key.intValue { return "\(path)[\(index)]" }
            return path.isEmpty ? key.stringValue : "\(path).\(key.stringValue)"
        }
    }
}
