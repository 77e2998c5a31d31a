import Dispatch
import Glibc

/// Waits until the sandbox is told to stop: by SIGINT, SIGTERM or SIGHUP, or by the end of standard input.
///
/// - Parameter standardInput: whether its end counts. A test's harness that dies then takes the sandbox along, whatever
///   it died of.
func waitForEnd(standardInput: Bool) async {
    let (ends, end) = AsyncStream<Void>.makeStream()
    let queue = DispatchQueue(label: "ending")
    var sources: [any DispatchSourceProtocol] = [SIGINT, SIGTERM, SIGHUP].map { number in
        // The default action would come first.
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
        source.setEventHandler { end.finish() }
        return source
    }
    if standardInput {
        let source = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: queue)
        source.setEventHandler {
            var bytes = [UInt8](repeating: 0, count: 4096)
            if read(STDIN_FILENO, &bytes, bytes.count) <= 0 { end.finish() }
        }
        sources.append(source)
    }
    for source in sources { source.activate() }
    for await _ in ends {}
    for source in sources { source.cancel() }
}
