#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// SIGINT, SIGTERM and SIGHUP, taken one by one by a thread that waits for them with sigwait(3).
///
/// So no code ever runs inside a signal handler, where almost nothing is allowed. The signals are blocked, and every
/// thread inherits that from the one that starts it. It has to be the main thread that waits: one that an asynchronous
/// `main` left to the dispatch library would let all signals through (it sits in sigsuspend(2) with an empty mask).
/// Credential plugins get an empty mask and default handlers (swift-subprocess sees to that), so that Ctrl-C ends them.
struct Signals {
    private var set = sigset_t()

    /// Blocks the signals; to be called first of all, before there are other threads.
    ///
    /// A signal that is ignored already stays so: `nohup` and background jobs of a script want it.
    init() {
        // A closed terminal or pipe is an error of write(2), not the end of the run.
        signal(SIGPIPE, SIG_IGN)
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP] where !Self.isIgnored(number) { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Returns when the next signal has come.
    func wait() {
        var set = set
        var number: Int32 = 0
        // It fails only where it was interrupted, by a debugger, say.
        while sigwait(&set, &number) != 0 {}
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
