import FoundationEssentials

extension Client {
    /// Runs a command in a container; never again where it may have begun.
    ///
    /// - Parameters:
    ///   - stdin: gives the command a standard input.
    ///   - silence: how long the server may answer nothing at all. A command that is silent does not count, one that does
    ///     not read its input for long does.
    /// - Throws: `APIError`, with the server's words where it refuses.
    public func exec(
        in pod: ObjectName,
        container: String,
        command: [String],
        stdin: Bool = false,
        silence: Duration = .seconds(30)
    ) async throws -> ExecSession {
        var query = command.map { ("command", $0) }
        query.append(("container", container))
        if stdin { query.append(("stdin", "true")) }
        query += [("stdout", "true"), ("stderr", "true")]
        let request = "run a command in Pod \(pod)"
        let message = Request(
            .get,
            Self.target(try APIResource.pods.path(to: pod, subresource: "exec"), query),
            headers: [("Accept", "application/json")],
            silence: silence
        )
        let answer = try await repeating(request: request, repeatable: false) {
            let answer = try await transport.upgrade(message, subprotocols: ExecSession.subprotocols)
            return switch answer {
            case .open: (200, answer, { Response(status: 200) })
            case .refused(let response): (response.status, answer, { response })
            }
        }
        switch answer {
        case .open(let socket):
            return ExecSession(
                socket,
                request: request,
                hasStdin: stdin,
                hiding: { [transport] in transport.withoutSecrets($0) }
            )
        case .refused(let response):
            throw notOfAnAPIServer(response.body, request)
        }
    }
}
