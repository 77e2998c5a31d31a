import Kubernetes

extension Migrator {
    /// The nodes as they were listed last in this run; nil where they may not be listed.
    func sites() async throws -> Sites? {
        if let known = findings.all.sites { return known }
        return try await readSites()
    }

    /// Lists the nodes; nil where that is forbidden, which is said once.
    func readSites() async throws -> Sites? {
        guard !findings.all.hidesNodes else { return nil }
        do {
            let sites = Sites(nodes: try await client.list(Node.self))
            findings.note { $0.sites = sites }
            return sites
        } catch let error as APIError where error.reason == .forbidden {
            var isNew = false
            findings.note { found in
                isNew = !found.hidesNodes
                found.hidesNodes = true
            }
            guard isNew else { return nil }
            journal.warn(
                "nodes",
                "may not be listed, so it is not known whether pods find a node with their new volumes: \(error.message)"
            )
            return nil
        }
    }
}
