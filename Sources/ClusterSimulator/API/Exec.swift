import Kubernetes

/// A request to run a command in a container.
struct ExecQuery: Sendable {
    let podUID: String
    let container: String
    let command: [String]
    /// Which streams are asked for.
    let hasInput, hasOutput, hasErrors: Bool

    init(_ info: RequestInfo, pod: JSON) throws(Refusal) {
        podUID = pod.uid
        command = info.values("command")
        hasInput = info.flag("stdin")
        hasOutput = info.flag("stdout")
        hasErrors = info.flag("stderr")
        container = try Self.container(info.query["container"] ?? "", of: pod)
        if pod.at("spec", "nodeName") == nil {
            throw .badRequest("pod \(pod.name) does not have a host assigned")
        }
    }

    private static func container(_ asked: String, of pod: JSON) throws(Refusal) -> String {
        func names(_ field: String) -> [String] { pod.list("spec", field).map(\.name_) }
        let main = names("containers")
        if !asked.isEmpty {
            guard (main + names("initContainers") + names("ephemeralContainers")).contains(asked) else {
                throw .badRequest("container \(asked) is not valid for pod \(pod.name)")
            }
            return asked
        }
        if main.count == 1 { return main[0] }
        var message =
            "a container name must be specified for pod \(pod.name), choose one of: [\(main.joined(separator: " "))]"
        let first = names("initContainers")
        if !first.isEmpty { message += " or one of the init containers: [\(first.joined(separator: " "))]" }
        throw .badRequest(message)
    }
}

/// The protocols of a command's streams.
enum ExecProtocol: String {
    /// The API server speaks it, and translates for the kubelet: it opens the connection before it asks there.
    case v5 = "v5.channel.k8s.io"
    /// The kubelet speaks it itself, through the API server.
    case v4 = "v4.channel.k8s.io"
}

/// What the API server makes of the wish to run a command.
enum OpenedExec: Sendable {
    case refused(Response)
    /// The connection is open, but this is all that is said.
    case failed(ExecQuery, ExecProtocol, status: JSON)
    /// The command runs in the model, under this number.
    case model(ExecQuery, ExecProtocol, number: Int)
    /// The command is one for the container runtime.
    case runtime(ExecQuery, ExecProtocol, ContainerID)
}

extension Cluster {
    /// Begins to run a command, where a request to upgrade a connection asks for it.
    ///
    /// - Parameter subprotocols: those that the client understands.
    mutating func openExec(_ request: Request, _ subprotocols: [String], as user: User) -> OpenedExec {
        let info = RequestInfo(request.target)
        guard let target = Target(info.parts, in: resources), target.resource == .pods, target.subresource == "exec",
            request.method == .get
        else { return .refused(handle(request, as: user)) }
        do throws(Refusal) {
            try authorize(try authenticate(request, as: user), "get", target)
            guard let pod = get(target.key) else { throw .notFound(.pods, target.key.name) }
            let query = try ExecQuery(info, pod: pod)
            // The API server looks for v5 alone, and leaves everything else to the kubelet.
            if subprotocols.contains(ExecProtocol.v5.rawValue) { return begin(query, .v5, pod) }
            if subprotocols.contains(ExecProtocol.v4.rawValue) { return begin(query, .v4, pod) }
            return .refused(.text(400, "unknown subprotocols"))
        } catch {
            return .refused(Response(error))
        }
    }

    private mutating func begin(_ query: ExecQuery, _ version: ExecProtocol, _ pod: JSON) -> OpenedExec {
        if let (code, words) = kubeletRefusal(query) {
            if version == .v4 { return .refused(.text(code, words)) }
            return .failed(query, version, status: ExecStatus.internalError("unable to upgrade connection: " + words))
        }
        let id = ContainerID(
            pod: query.podUID,
            container: query.container,
            restarts: controllers.pods[query.podUID]?.containers[query.container]?.restarts ?? 0
        )
        guard let program = query.command.first, !behaviour.missingPrograms.contains(program) else {
            let words = ExecStatus.missingProgram(query.command.first, in: id)
            return .failed(query, version, status: ExecStatus.notStarted(words, version))
        }
        guard behaviour.modelsContainers else { return .runtime(query, version, id) }
        return .model(query, version, number: ModelRuntime.exec(id, query.command, &self))
    }

    /// What the kubelet says instead of running a command.
    private func kubeletRefusal(_ query: ExecQuery) -> (code: Int, words: String)? {
        if !query.hasInput, !query.hasOutput, !query.hasErrors {
            return (400, "you must specify at least 1 of stdin, stdout, stderr")
        }
        guard controllers.pods[query.podUID]?.containers[query.container]?.isRunning == true else {
            return (500, "container not found (\"\(query.container)\")")
        }
        return nil
    }
}

/// What the last message says of a command: a Status without kind.
enum ExecStatus {
    static func ended(_ code: Int, _ command: [String], _ version: ExecProtocol) -> JSON {
        if code == 0 { return ["metadata": [:], "status": "Success"] }
        // The kubelet names the command; what the API server translates has lost it.
        let why =
            version == .v5
            ? "command terminated with exit code \(code)"
            : "error executing command [\(command.joined(separator: " "))], exit code \(code)"
        return [
            "metadata": [:], "status": "Failure", "reason": "NonZeroExitCode",
            "message": .string("command terminated with non-zero exit code: " + why),
            "details": ["causes": [["reason": "ExitCode", "message": .string(String(code))]]],
        ]
    }

    /// - Parameter words: the container runtime's.
    static func notStarted(_ words: String, _ version: ExecProtocol) -> JSON {
        let why = "error executing command in container: " + words
        // The API server reports the kubelet's internal error as one of its own.
        return internalError(version == .v5 ? "Internal error occurred: " + why : why)
    }

    static func internalError(_ message: String) -> JSON {
        var status = Refusal.internalError(message).status
        status["kind"] = nil
        status["apiVersion"] = nil
        return status
    }

    /// The words of containerd and runc about a program that is not there, or about none.
    static func missingProgram(_ program: String?, in id: ContainerID) -> String {
        let name = Kubelet.digest(id.pod + id.container + (program ?? ""))
        var why = "args must not be empty"
        if let program {
            why = "exec failed: unable to start container process: exec: \"\(program)\": "
            why +=
                program.contains("/")
                ? "stat \(program): no such file or directory" : "executable file not found in $PATH"
        }
        return "failed to exec in container: failed to start exec \"\(name)\": OCI runtime exec failed: \(why): unknown"
    }
}
