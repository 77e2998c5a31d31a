import Kubernetes

/// Lists objects in all selected namespaces.
struct SelectedObjects: Sendable {
    let client: Client
    let selection: Selection

    init(_ client: Client, _ selection: Selection) {
        (self.client, self.selection) = (client, selection)
    }

    /// Lists the objects of a kind in all selected namespaces.
    func list<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource,
        labels: String? = nil
    ) async throws -> [Object] {
        var all: [Object] = []
        for namespace in selection.places {
            all += try await client.list(type, of: resource, in: namespace, labels: labels)
        }
        return all
    }

    /// Lists the readable objects of a kind in all selected namespaces, and names the others.
    func listReadable<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource
    ) async throws -> Readable<Object> {
        var all = Readable<Object>()
        for namespace in selection.places { all += try await client.listReadable(type, of: resource, in: namespace) }
        return all
    }

    /// Returns the claims that match the label selector; nil without a selector.
    ///
    /// - Throws: `UnreadableSelector`, `APIError`.
    func labelled() async throws -> Set<ObjectName>? {
        guard let labels = selection.labels else { return nil }
        do {
            return Set(try await list(MetadataObject.self, of: .claims, labels: labels).map(\.name))
        } catch let error as APIError where error.code == 400 {
            throw UnreadableSelector(description: "--selector \"\(labels)\": \(error.message)")
        }
    }

    /// Asks whether the caller may do something in all selected namespaces.
    func mayI(_ verb: String, _ resource: APIResource) async throws -> Bool {
        for namespace in selection.places {
            guard try await client.mayI(verb, resource, in: namespace) else { return false }
        }
        return true
    }
}
