import Kubernetes

/// Reads nodes, for routes and for checks.
struct Nodes: Sendable {
    private let client: Client
    private let options: Options
    private let journal: Journal
    private let findings: Findings

    init(_ context: Context) {
        client = context.destination
        (options, journal, findings) = (context.options, context.journal, context.findings)
    }

    /// Returns the nodes as last listed in this run; nil where they may not be listed.
    func sites() async throws -> Sites? {
        if let known = findings.all.sites { return known }
        return try await readSites()
    }

    /// Lists the nodes; nil where that is forbidden, which is reported once.
    func readSites() async throws -> Sites? {
        guard !findings.all.hidesNodes else { return nil }
        do {
            let sites = Sites(nodes: try await client.list(Node.self))
            findings.note { $0.sites = sites }
            return sites
        } catch let error as APIError where error.reason == .forbidden {
            guard findings.isNew(\.hidesNodes) else { return nil }
            journal.warn(
                "nodes",
                "may not be listed, so it is not known whether pods find a node with their new volumes: \(error.message)"
            )
            return nil
        }
    }

    /// Reads the nodes, and which have the movers' image. Where they may not be read, none counts as having it.
    func learnImages() async {
        do {
            let nodes = try await client.list(Node.self)
            let withImage = nodes.filter { $0.hasImage(options.rsyncImage) }.map(\.metadata.name)
            findings.note {
                $0.sites = Sites(nodes: nodes)
                $0.nodesWithImage.formUnion(withImage)
            }
        } catch {
            // A pod pulls the image, or finds it there.
        }
    }

    /// Returns the facts that decide the route of a claim; none where its source volume can be mounted on any node.
    ///
    /// - Parameter isInUse: True where the workload runs meanwhile, which binds the volume to its node.
    func routeSites(of state: ClaimState, isInUse: Bool) async throws -> RouteSites {
        var sites = RouteSites()
        guard state.hasBoundSource || isInUse else { return sites }
        // A workload that stands still does not wait for a list of nodes.
        let known = isInUse ? try await readSites() : try await self.sites()
        (sites.source, sites.destination) = (known, known)
        if state.givenDestination ?? state.destination == nil {
            sites.destinationClass = findings.all.destinationClass
        }
        if sites.destinationClass?.provisioner == StorageClass.noProvisioner {
            sites.volumes = try await client.list(PersistentVolume.self)
                .filter(options.destinations.admits)
        }
        return sites
    }

    /// Finds the routes of the claims whose source volume only some nodes can mount, and reports those over the
    /// network.
    func nameRoutes(of discovery: inout Discovery, in inventory: Inventory) async throws {
        let bound = discovery.units.flatMap(\.claims).filter { $0.isToBeCopied && $0.hasBoundSource }
        guard !bound.isEmpty else { return }
        let known = try await readSites()
        let sites = RouteSites(
            source: known,
            destination: known,
            destinationClass: discovery.storageClass(options.destinationClass),
            volumes: inventory.volumes.values.filter(options.destinations.admits)
        )
        for state in bound {
            let route = state.route(in: sites)
            discovery.routes[state.id] = route
            guard let words = route.words ?? route.obstacle else { continue }
            discovery.notes.append(
                Obstacle(namespace: state.name.namespace, resource: state.title, message: words)
            )
        }
    }
}

extension Node {
    /// Returns true where the kubelet reports the image. It reports only the largest ones.
    fileprivate func hasImage(_ image: String) -> Bool {
        status?.images?.contains { $0.names?.contains { $0 == image || $0.hasSuffix("/" + image) } == true } == true
    }
}
