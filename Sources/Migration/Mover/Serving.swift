import Kubernetes

extension APIResource {
    static let secrets = APIResource(kind: "Secret", plural: "secrets")
}

/// Serves source volumes to movers on other nodes.
struct Serving: Sendable {
    private let source: Client
    private let options: Options
    private let limits: Limits
    private let journal: Journal
    private let pods: MoverPods
    private let detachment: Detachment

    init(_ context: Context) {
        (source, options, limits) = (context.source, context.options, context.limits)
        journal = context.journal
        pods = MoverPods(context).using(context.source)
        detachment = Detachment(context).using(context.source)
    }

    /// Returns the pod that serves a claim's source volume; nil where the source claim is gone.
    func server(for state: ClaimState, _ route: Route) -> SourceServer? {
        guard let claim = state.sourceClaim else { return nil }
        return SourceServer(
            name: ObjectName(Marks.serverName(of: state.name.name, uid: claim.metadata.uid), in: state.name.namespace),
            image: options.rsyncImage,
            annotations: [
                Marks.claim: .string(state.name.name), Marks.kind: .string(Marks.Kind.server),
                Marks.sourceUID: .string(claim.metadata.uid),
            ],
            volume: [
                "persistentVolumeClaim": [
                    "claimName": .string(state.memory.standIn?.claim.metadata.name ?? state.name.name)
                ]
            ],
            placement: route.source ?? Placement(),
            deadline: state.deadline,
            template: options.moverTemplate
        )
    }

    /// Serves a claim's source volume while work is done.
    ///
    /// - Parameter work: The work. It gets the server's address.
    func with(
        _ server: SourceServer,
        of state: ClaimState,
        _ work: (String) async throws -> MoverOutcome
    ) async throws -> MoverOutcome {
        var server = server
        try await detachment.wait(for: [state.source].compactMap(\.self), of: state, from: &server.placement)
        let pod = try await pods.explaining(state) { try await createPod(of: server) }
        var secret: String?
        let outcome: MoverOutcome
        do {
            secret = try await createSecret(of: server, for: pod)
            switch try await awaitReady(pod) {
            case .ready(let address): outcome = try await work(address)
            case .lost(let why): outcome = .again(why)
            }
        } catch let error as CancellationError {
            // Whoever cancelled removes the server with the movers, and its Secret is deleted with it.
            throw error
        } catch {
            await journal.orWarn(pod.title) { try await remove(server, pod, secret: secret) }
            throw error
        }
        try await remove(server, pod, secret: secret)
        return outcome
    }

    /// Creates the pod of a server.
    ///
    /// - Throws: `APIError`; `Failure` where somebody put another pod in its place. That pod gets no keys, and nothing
    ///   is copied from it.
    func createPod(of server: SourceServer) async throws -> Pod {
        let created = try await Capabilities.admitted(server.manifest) {
            try await source.create(.pods, in: server.name.namespace, $0)
        }
        let pod = try await source.get(Pod.self, server.name)
        guard pod.metadata.uid == created[path: ["metadata", "uid"]]?.string else {
            throw Failure(
                place: pod.title,
                reason: "somebody has deleted the pod that this run made, and made this one"
            )
        }
        return pod
    }

    /// Removes a server and its Secret, which would otherwise be deleted some moments later.
    private func remove(_ server: SourceServer, _ pod: Pod, secret: String?) async throws {
        if let secret {
            let name = ObjectName(server.secret, in: server.name.namespace)
            await journal.orWarn("Secret \(name)") { try await source.delete(.secrets, name, uid: secret) }
        }
        try await pods.remove(pod)
    }

    /// Makes the keys of a server and of its mover.
    ///
    /// - Returns: The UID of their Secret.
    func createSecret(of server: SourceServer, for pod: Pod) async throws -> String {
        let manifest = try server.secretManifest(owner: pod)
        let secret = try await source.create(.secrets, in: server.name.namespace, manifest)
        return secret[path: ["metadata", "uid"]]?.string ?? ""
    }

    enum Start: Sendable {
        case ready(address: String)
        /// Another attempt may succeed.
        case lost(String)
    }

    /// Waits until a server takes connections.
    ///
    /// - Throws: `Failure` where it never will.
    func awaitReady(_ pod: Pod, limit: Duration? = nil) async throws -> Start {
        var last: Pod = pod
        do {
            let now: Pod? = try await source.wait(
                for: Pod.self,
                in: pod.name.namespace,
                named: pod.name.name,
                limit: limit ?? limits.moverStart,
                what: "\(pod.title) to serve the source volume"
            ) { snapshot -> Pod?? in
                guard let now = snapshot.objects[pod.metadata.uid] else { return .some(nil) }
                last = now
                let isOver = now.isFinished || now.metadata.isTerminating
                return isOver || (now.isReady && now.status?.podIP != nil) ? .some(now) : nil
            }
            guard let now, !now.metadata.isTerminating else {
                return .lost("\(pod.title) was deleted by somebody, or its node \(last.spec.nodeName ?? "?") is lost")
            }
            guard !now.isFinished else { throw Failure(place: pod.title, reason: try await whyEnded(now)) }
            return .ready(address: now.status?.podIP ?? "")
        } catch let timeout as WaitTimeout {
            let why = await Complaints(source).hindrance(of: last)
            throw Failure(place: pod.title, reason: "\(timeout)\(why.map { ": \($0)" } ?? "")")
        }
    }

    /// Returns the output of sshd when it ended.
    private func whyEnded(_ pod: Pod) async throws -> String {
        guard let end = pod.state(of: SourceServer.container)?.terminated else {
            return "failed: \(pod.status?.reason ?? "and nothing says why") \(pod.status?.message ?? "")"
        }
        var output = end.message ?? ""
        do {
            output += try await source.log(of: pod.name, container: SourceServer.container, tail: 5)
        } catch let error as APIError {
            if output.isEmpty { output = "(its output could not be read: \(error))" }
        }
        return
            "sshd ended with exit code \(end.exitCode): \(output.shortened(to: 1000))\n  advice: a copy over the network "
            + "needs an image with /usr/sbin/sshd and ssh besides rsync; see --rsync-image"
    }
}
