import ClusterSimulator
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
import Kubernetes
import Logging
import NIOCore
import NIOHTTP1
import NIOSSL

/// The API server's front: HTTPS on loopback, answered by the simulated cluster.
struct Server {
    var cluster: ClusterSimulator
    /// Signed the server's certificate and those of users.
    var authority: Authority
    private let metrics = Metrics()

    init(cluster: ClusterSimulator, authority: Authority) {
        self.cluster = cluster
        self.authority = authority
    }

    /// The largest request body that a real API server takes (apiserver's `MaxRequestBodyBytes`).
    private static let bodyLimit = 3 << 20

    /// Serves until the task is cancelled.
    ///
    /// - Parameters:
    ///   - port: the port to listen on; 0 takes a free one.
    ///   - ready: called with the port once connections are taken.
    /// - Throws: `NIOCore.IOError` where the port is not to be had.
    func run(port: Int, ready: @escaping @Sendable (Int) async -> Void) async throws {
        let identity = try authority.server()
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: [
                .certificate(try NIOSSLCertificate(bytes: Array(identity.certificate.utf8), format: .pem))
            ],
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(identity.key.utf8), format: .pem))
        )
        // As a real API server: every client is asked for a certificate, none needs one, and a bad one is not refused
        // by the handshake but answered with 401 (see `respond`).
        tls.certificateVerification = .optionalVerification
        tls.applicationProtocols = ["h2", "http/1.1"]
        let context = try NIOSSLContext(configuration: tls)
        var logger = Logger(label: "pvmigrate-sandbox")
        logger.logLevel = .critical
        let application = Application(
            responder: CallbackResponder(callback: respond),
            server: HTTPServerBuilder { ServerChannel(context, exec: openExec, responder: $0) },
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: port)),
            onServerRunning: { channel in await ready(channel.localAddress?.port ?? port) },
            logger: logger
        )
        try await application.run()
    }

    @Sendable private func respond(to request: Hummingbird.Request, context: Connection) async throws
        -> Hummingbird.Response
    {
        guard let user = try await user(of: context.channel) else {
            return failure(401, "Unauthorized", "Unauthorized")
        }
        if request.uri.path == "/metrics", user.groups.contains("system:masters") {
            let text = ResponseBody(byteBuffer: ByteBuffer(string: metrics.text))
            return Response(status: .ok, headers: fields([("Content-Type", "text/plain; version=0.0.4")]), body: text)
        }
        metrics.count(request.method.rawValue, request.uri.path, isWatch: isWatch(request))
        guard let method = Kubernetes.Request.Method(rawValue: request.method.rawValue) else {
            return failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        }
        var forwarded = Kubernetes.Request(
            method,
            request.uri.description,
            headers: request.headers.map { ($0.name.rawName, $0.value) }
        )
        let transport = cluster.transport(as: user)
        if isStreamed(request) {
            let answer = try await transport.open(forwarded)
            return Response(
                status: .init(code: answer.status),
                headers: fields(answer.headers),
                body: stream(answer.body, to: request)
            )
        }
        do {
            let body = try await request.body.collect(upTo: Self.bodyLimit)
            if body.readableBytes > 0 { forwarded.body = Data(body.readableBytesView) }
        } catch is NIOTooManyBytesError {
            return failure(
                413,
                "RequestEntityTooLarge",
                "Request entity too large: limit is \(Self.bodyLimit)"
            )
        }
        if forwarded.header("Content-Type") == Protobuf.mediaType, let object = forwarded.body.flatMap(Protobuf.object)
        {
            forwarded.body = object.text
            forwarded.headers.removeAll { $0.name.lowercased() == "content-type" }
            forwarded.headers.append(("Content-Type", "application/json"))
        }
        let answer = try await transport.send(forwarded)
        return Response(
            status: .init(code: answer.status),
            headers: fields(answer.headers),
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body))
        )
    }

    /// Whose a connection is: without a certificate it is a bearer token that names the user, which the cluster looks at
    /// itself. Nil for a certificate of somebody else's.
    private func user(of channel: any Channel) async throws -> User? {
        guard let certificate = try await peerCertificate(of: channel) else { return .anonymous }
        return authority.user(presenting: certificate)
    }

    /// Asks the cluster to run a command over a connection.
    @Sendable private func openExec(_ head: HTTPRequestHead, _ channel: any Channel) async throws -> UpgradeAnswer {
        metrics.count("CONNECT", String(head.uri.prefix { $0 != "?" }), isWatch: false)
        guard let user = try await user(of: channel) else {
            return .refused(Kubernetes.Response(status: 401, body: Data("Unauthorized".utf8)))
        }
        let request = Kubernetes.Request(
            .get,
            head.uri,
            headers: head.headers.map { ($0.name, $0.value) },
            // As long as an API server lets a connection be idle.
            silence: .seconds(4 * 3600)
        )
        return try await cluster.transport(as: user).upgrade(
            request,
            subprotocols: head.headers[canonicalForm: "Sec-WebSocket-Protocol"].map(String.init)
        )
    }

    /// Whether an answer may arrive bit by bit: a watch, or a log.
    private func isStreamed(_ request: Hummingbird.Request) -> Bool {
        isWatch(request) || request.uri.path.hasSuffix("/log")
    }

    private func isWatch(_ request: Hummingbird.Request) -> Bool {
        ["true", "1"].contains(request.uri.queryParameters["watch"])
    }

    /// Passes a body on piece by piece, each sent at once, until it ends or the client goes away.
    private func stream(_ body: any Kubernetes.ResponseBody, to request: Hummingbird.Request)
        -> Hummingbird.ResponseBody
    {
        ResponseBody { writer in
            do {
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    while let piece = try await body.next() { try await writer.write(ByteBuffer(bytes: piece)) }
                }
                await body.close()
            } catch {
                // The client went away, or the cluster broke the stream off: the connection is closed without the
                // last chunk, so that no client takes what it got for the whole.
                await body.close()
                throw error
            }
            try await writer.finish(nil)
        }
    }

    /// A failure that has its origin here, in the words of an API server.
    private func failure(_ code: Int, _ reason: String, _ message: String) -> Hummingbird.Response {
        let status: JSON = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
            "reason": .string(reason), "code": .integer(Int64(code)),
        ]
        return Response(
            status: .init(code: code),
            headers: fields([("Content-Type", "application/json")]),
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: status.text))
        )
    }

    private func fields(_ headers: [(name: String, value: String)]) -> HTTPFields {
        var fields = HTTPFields()
        fields[.cacheControl] = "no-cache, private"
        for (name, value) in headers {
            guard let name = HTTPField.Name(name) else { continue }
            fields.append(HTTPField(name: name, value: value))
        }
        return fields
    }
}

/// What a request's answer needs to know of its connection.
private struct Connection: InitializableFromSource {
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        channel = source.channel
    }
}

/// The client's certificate in DER, as presented in the handshake; nil where it presented none.
private func peerCertificate(of channel: any Channel) async throws -> [UInt8]? {
    do {
        return try await channel.nioSSL_peerCertificate().get()?.toDERBytes()
    } catch ChannelPipelineError.notFound {
        // With HTTP/2 a request has a channel of its own inside the connection's.
        return try await channel.parent?.nioSSL_peerCertificate().get()?.toDERBytes()
    }
}
