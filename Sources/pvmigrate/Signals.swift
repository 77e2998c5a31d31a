#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// SIGINT, SIGTERM and SIGHUP, received by a thread that waits for them.
///
/// The signals are blocked, which every thread inherits from the one that starts it, and one thread takes them with
/// sigwait(3). So no code ever runs inside a signal handler, where almost nothing is allowed. Credential plugins get an
/// empty mask and default handlers (swift-subprocess sees to that), so that Ctrl-C ends them.
enum Signals {
    /// Starts to receive; to be called first of all, before there are other threads.
    ///
    /// A signal that is ignored already stays so: `nohup` and background jobs of a script want it.
    ///
    /// - Parameter onSignal: called on a thread of its own with the count of signals, beginning with 1.
    static func receive(_ onSignal: @escaping @Sendable (Int) -> Void) {
        // A closed terminal or pipe is an error of write(2), not the end of the run.
        signal(SIGPIPE, SIG_IGN)
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        let waiter = Unmanaged.passRetained(Waiter(signals: signals, onSignal: onSignal))
        var thread = pthread_t()
        let failure = pthread_create(
            &thread,
            nil,
            { context in
                // The retained reference from above, which this thread now owns.
                if let context { Unmanaged<Waiter>.fromOpaque(context).takeRetainedValue().wait() }
                return nil
            },
            waiter.toOpaque()
        )
        guard failure != 0 else { return }
        // Without the thread a signal ends the run at once, as it would have without all this.
        waiter.release()
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    private final class Waiter {
        private var signals: sigset_t
        private let onSignal: @Sendable (Int) -> Void

        init(signals: sigset_t, onSignal: @escaping @Sendable (Int) -> Void) {
            self.signals = signals
            self.onSignal = onSignal
        }

        func wait() {
            var count = 0
            var number: Int32 = 0
            // It only fails for a set that holds no valid signal.
            while sigwait(&signals, &number) == 0 {
                count += 1
                onSignal(count)
            }
        }
    }
}
