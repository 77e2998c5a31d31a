import FoundationEssentials
import Kubernetes
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Synchronization

/// Carries messages between a client's connection and a command in a container (RFC 6455).
struct ExecConnection {
    static let largestMessage = 16 << 20

    private let channel: NIOAsyncChannel<WebSocketFrame, WebSocketFrame>
    private let socket: any WebSocket

    init(_ channel: NIOAsyncChannel<WebSocketFrame, WebSocketFrame>, _ socket: any WebSocket) {
        self.channel = channel
        self.socket = socket
    }

    /// The channel of whole messages over one of frames.
    static func channel(over channel: any Channel) throws -> NIOAsyncChannel<WebSocketFrame, WebSocketFrame> {
        try channel.pipeline.syncOperations.addHandler(
            NIOWebSocketFrameAggregator(
                minNonFinalFragmentSize: 0,
                maxAccumulatedFrameCount: 1 << 12,
                maxAccumulatedFrameSize: largestMessage
            )
        )
        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
    }

    /// Returns when both sides have closed the connection.
    func carry() async throws {
        do {
            try await channel.executeThenClose { inbound, outbound in
                try await withThrowingTaskGroup { group in
                    group.addTask { try await tell(outbound) }
                    group.addTask { try await listen(inbound, outbound) }
                    try await group.waitForAll()
                }
            }
        } catch {
            await socket.close()
            throw error
        }
        await socket.close()
    }

    /// Sends what the command tells, and closes the connection after it.
    private func tell(_ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>) async throws {
        while let message = try await socket.receive() {
            try await outbound.write(WebSocketFrame(fin: true, opcode: .binary, data: ByteBuffer(bytes: message)))
        }
        var reason = ByteBuffer()
        reason.write(webSocketErrorCode: .normalClosure)
        try await outbound.write(WebSocketFrame(fin: true, opcode: .connectionClose, data: reason))
    }

    /// Passes on what the client sends, until it closes the connection. Nobody listens to the command from then on.
    private func listen(
        _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>,
        _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    ) async throws {
        do {
            try await passOn(inbound, outbound)
        } catch {
            await socket.close()
            throw error
        }
        await socket.close()
    }

    private func passOn(
        _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>,
        _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    ) async throws {
        reading: for try await frame in inbound {
            switch frame.opcode {
            case .binary:
                do {
                    try await socket.send(Data(frame.unmaskedData.readableBytesView))
                } catch is TransportError {
                    // The command has ended.
                }
            case .ping:
                try await outbound.write(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData))
            case .connectionClose: break reading
            default: break
            }
        }
    }
}

/// What the cluster has answered.
final class Answer: Sendable {
    let value = Mutex<UpgradeAnswer?>(nil)
}

/// Waits for the head of a connection's first request, since that decides what the connection carries.
final class FirstRequest: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias Negotiated = ServerChannel.Negotiated

    private let promise: EventLoopPromise<Negotiated>
    private let configure: (_ isExec: Bool) -> EventLoopFuture<EventLoopFuture<Negotiated>>
    private var bytes = ByteBuffer()
    private var isDecided = false

    /// - Parameter configure: makes the rest of the pipeline.
    init(on loop: any EventLoop, configure: @escaping (_ isExec: Bool) -> EventLoopFuture<EventLoopFuture<Negotiated>>)
    {
        promise = loop.makePromise()
        self.configure = configure
    }

    var negotiated: EventLoopFuture<Negotiated> { promise.futureResult }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes.writeImmutableBuffer(unwrapInboundIn(data))
        guard !isDecided, let isExec = Self.isExec(bytes) else { return }
        isDecided = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        configure(isExec).whenComplete { result in
            let (handler, context) = bound.value
            switch result {
            case .success(let negotiated):
                negotiated.cascade(to: handler.promise)
                context.fireChannelRead(handler.wrapInboundOut(handler.bytes))
                context.fireChannelReadComplete()
                context.pipeline.syncOperations.removeHandler(handler, promise: nil)
            case .failure(let error):
                handler.promise.fail(error)
                context.close(promise: nil)
            }
        }
    }

    /// A client that goes before it has asked for anything closes its side only, and nothing would close the other.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if !isDecided, event as? ChannelEvent == .inputClosed { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDecided { promise.fail(ChannelError.eof) }
        isDecided = true
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        if !isDecided { promise.fail(ChannelError.eof) }
    }

    /// Whether a request asks for a command's streams; nil while its head has not arrived.
    private static func isExec(_ bytes: ByteBuffer) -> Bool? {
        let text = String(buffer: bytes)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return bytes.readableBytes > 1 << 16 ? false : nil }
        let lines = text[..<end.lowerBound].split(separator: "\r\n").map { $0.lowercased() }
        let path = lines.first?.split(separator: " ").dropFirst().first?.prefix { $0 != "?" } ?? ""
        return path.hasSuffix("/exec") && lines.contains { $0.hasPrefix("upgrade:") && $0.hasSuffix("websocket") }
    }
}
