import Migration
import FoundationEssentials
import Kubernetes

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

@main
enum Program {
    /// The main thread waits for signals and does nothing else; the command runs beside it and ends the process.
    static func main() {
        if CommandLine.arguments.dropFirst().first == RemoteShell.hiddenCommand {
            _exit(RemoteShell.run(Array(CommandLine.arguments.dropFirst(2))))
        }
        Descriptor.openClosed()
        CoreDumps.disable()
        let signals = Signals()
        let interruption = Interruption()
        let results = Descriptor(STDOUT_FILENO)
        let messages = Descriptor(STDERR_FILENO)
        let environment = ProcessInfo.processInfo.environment
        let terminal = LiveTerminal.standardError(environment, messages)
        let errors: @Sendable (String) -> Void = { text in
            if let terminal { terminal.write(text) } else { messages.write(text) }
        }
        Task.detached {
            var code = await run(
                Array(CommandLine.arguments.dropFirst()),
                in: Surroundings(
                    environment: environment,
                    output: { results.write($0) },
                    errors: errors,
                    terminal: terminal,
                    ask: Answer.asking(on: messages),
                    name: ProgramName(path: CommandLine.arguments.first ?? ""),
                    connect: { try CurlTransport.make($0, userAgent: "pvmigrate/\(version)") }
                ),
                interruption: interruption
            )
            // Whoever reads no further has what they want.
            if let failure = results.failure, failure.code != EPIPE {
                errors("error: the results could not be written to stdout: \(failure)\n")
                if code == .done { code = .failed }
            }
            // Not `exit`: it would take OpenSSL down below the threads of libcurl that still run. Nothing is buffered.
            _exit(code.rawValue)
        }
        signals.wait()
        errors("interrupted: bringing everything to a safe state; press again to exit at once\n")
        interruption.request()
        signals.wait()
        terminal?.erase()
        errors("exiting at once; run the same command again to finish\n")
        _exit(ExitCode.stopped.rawValue)
    }
}
