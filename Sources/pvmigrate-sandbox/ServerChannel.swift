import HummingbirdCore
import HummingbirdHTTP2
import Kubernetes
import Logging
import NIOCore
import NIOHTTP1
import NIOSSL
import NIOTLS
import NIOWebSocket
import Synchronization

/// A connection to the server: HTTP/2, HTTP/1.1, or HTTP/1.1 whose first request asks for a command's streams.
struct ServerChannel: ServerChildChannel {
    /// Asks the cluster for the streams.
    typealias Exec = @Sendable (HTTPRequestHead, any Channel) async throws -> UpgradeAnswer

    enum Negotiated: Sendable {
        case http1(HTTP1Channel.Value)
        case http2(HTTP2Channel.Value)
        case exec(NIOAsyncChannel<WebSocketFrame, WebSocketFrame>, any WebSocket)
        /// The answer is on its way.
        case refused
    }

    struct Value: ServerChildChannelValue {
        /// Known when TLS has been negotiated, and then when the first request is there.
        let negotiated: EventLoopFuture<EventLoopFuture<Negotiated>>
        let channel: any Channel
    }

    private let context: NIOSSLContext
    private let exec: Exec
    private let http1: HTTP1Channel
    private let http2: HTTP2Channel

    init(_ context: NIOSSLContext, exec: @escaping Exec, responder: @escaping HTTPChannelHandler.Responder) {
        self.context = context
        self.exec = exec
        http1 = HTTP1Channel(responder: responder)
        http2 = HTTP2Channel(responder: responder)
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let acceptAny = NIOSSLServerHandler(context: context) { _, promise in
                promise.succeed(.certificateVerified)
            }
            let negotiation = NIOTypedApplicationProtocolNegotiationHandler { result in
                if case .negotiated("h2") = result {
                    return http2.setup(channel: channel, logger: logger).map {
                        channel.eventLoop.makeSucceededFuture(Negotiated.http2($0))
                    }
                }
                return channel.eventLoop.makeCompletedFuture {
                    let first = FirstRequest(on: channel.eventLoop) { isExec in
                        if isExec { return setUpExec(channel) }
                        return http1.setup(channel: channel, logger: logger).map {
                            channel.eventLoop.makeSucceededFuture(.http1($0))
                        }
                    }
                    try channel.pipeline.syncOperations.addHandler(first)
                    return first.negotiated
                }
            }
            try channel.pipeline.syncOperations.addHandlers([acceptAny, negotiation])
            return Value(negotiated: negotiation.protocolNegotiationResult, channel: channel)
        }
    }

    func handle(value: Value, logger: Logger) async {
        do {
            switch try await value.negotiated.get().get() {
            case .http1(let value): await http1.handle(value: value, logger: logger)
            case .http2(let value): await http2.handle(value: value, logger: logger)
            case .exec(let channel, let socket): try await ExecConnection(channel, socket).carry()
            case .refused: break
            }
        } catch {
            // The client has gone.
            logger.debug("connection ended: \(error)")
        }
    }

    /// Makes the pipeline for a request that asks for a command's streams.
    private func setUpExec(_ channel: any Channel) -> EventLoopFuture<EventLoopFuture<Negotiated>> {
        let answer = Answer()
        let upgrader = NIOTypedWebSocketServerUpgrader<Negotiated>(
            maxFrameSize: ExecConnection.largestMessage,
            shouldUpgrade: { channel, head in
                channel.eventLoop.makeFutureWithTask {
                    let upgrade = try await exec(head, channel)
                    answer.value.withLock { $0 = upgrade }
                    guard case .open(let socket) = upgrade else { return nil }
                    return HTTPHeaders([("Sec-WebSocket-Protocol", socket.subprotocol)])
                }
            },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    guard case .open(let socket) = answer.value.withLock({ $0 }) else {
                        throw ChannelError.inappropriateOperationForState
                    }
                    return Negotiated.exec(try ExecConnection.channel(over: channel), socket)
                }
            }
        )
        let upgrade = NIOTypedHTTPServerUpgradeConfiguration<Negotiated>(
            upgraders: [upgrader],
            notUpgradingCompletionHandler: { channel in
                guard case .refused(let response) = answer.value.withLock({ $0 }) else {
                    return refuse(Kubernetes.Response(status: 500), on: channel)
                }
                return refuse(response, on: channel)
            }
        )
        return channel.eventLoop.makeCompletedFuture {
            var configuration = NIOUpgradableHTTPServerPipelineConfiguration(upgradeConfiguration: upgrade)
            configuration.enablePipelining = false
            return try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                configuration: configuration
            )
        }
    }

    private func refuse(_ response: Kubernetes.Response, on channel: any Channel) -> EventLoopFuture<Negotiated> {
        var headers = HTTPHeaders(response.headers.map { ($0.name, $0.value) })
        headers.add(name: "Content-Length", value: String(response.body.count))
        headers.add(name: "Connection", value: "close")
        let head = HTTPResponseHead(
            version: .http1_1,
            status: HTTPResponseStatus(statusCode: response.status),
            headers: headers
        )
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: response.body))), promise: nil)
        return channel.writeAndFlush(HTTPServerResponsePart.end(nil)).flatMap { channel.close() }.map { .refused }
    }
}
