import FoundationEssentials
import Kubernetes

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

let stop = Stop()
let results = StandardStream(STDOUT_FILENO)
let messages = StandardStream(STDERR_FILENO)

Signals.receive { count in
    guard count == 1 else {
        messages.write("exiting at once; run the same command again to finish\n")
        _exit(ExitCode.stopped.rawValue)
    }
    messages.write("interrupted: bringing everything to a safe state; press again to exit at once\n")
    stop.request()
}

let code = await run(
    Array(CommandLine.arguments.dropFirst()),
    in: Surroundings(
        environment: ProcessInfo.processInfo.environment,
        output: { results.write($0) },
        errors: { messages.write($0) },
        connect: { try CurlTransport.make($0, userAgent: "pvmigrate/\(version)") }
    ),
    stop: stop
)
exit(code.rawValue)
