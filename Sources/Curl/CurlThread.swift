import CLibcurl
import Glibc
import Synchronization

/// The thread that libcurl lives on, as the executor of `CurlClient`.
///
/// libcurl's handles may be used by one thread at a time ("libcurl-thread(3)"). Being the actor's executor, this thread
/// runs all code of the actor, and the compiler keeps the handles there.
final class CurlThread: SerialExecutor {
    /// What to wait for: for sockets that are not libcurl's own business, and never longer than so long.
    struct Wait {
        var milliseconds: Int32
        var sockets: [curl_waitfd]
    }

    private struct State {
        var jobs: [UnownedJob] = []
        var stopped = false
        var thread: pthread_t?
    }

    private let state = Mutex(State())
    /// Used on this thread only, except for `curl_multi_wakeup`, which any thread may call.
    nonisolated(unsafe) let multi: UnsafeMutableRawPointer

    /// Whether libcurl could be initialised, which happens once in a process.
    private static let library: Result<Void, CurlError> = {
        let code = curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        guard code == CURLE_OK else {
            return .failure(CurlError(.configuration, "libcurl cannot be used: \(code.text)"))
        }
        return .success(())
    }()

    init() throws {
        try Self.library.get()
        guard let multi = curl_multi_init() else {
            throw CurlError(.configuration, "libcurl cannot be used: no memory")
        }
        self.multi = multi
    }

    /// Starts the thread.
    ///
    /// - Parameter turn: Does what is due in libcurl and returns what to wait for until its next call.
    func start(turn: @escaping @Sendable () -> Wait) throws {
        let context = Unmanaged.passRetained(Context(thread: self, turn: turn))
        var thread = pthread_t()
        let code = pthread_create(
            &thread,
            nil,
            { pointer in
                guard let pointer else { return nil }
                let context = Unmanaged<Context>.fromOpaque(pointer).takeRetainedValue()
                context.thread.run(context.turn)
                return nil
            },
            context.toOpaque()
        )
        guard code == 0 else {
            context.release()
            curl_multi_cleanup(multi)
            throw CurlError(.configuration, "no thread for libcurl: \(String(cString: strerror(code)))")
        }
        pthread_detach(thread)
    }

    private final class Context {
        let thread: CurlThread
        let turn: @Sendable () -> Wait

        init(thread: CurlThread, turn: @escaping @Sendable () -> Wait) {
            self.thread = thread
            self.turn = turn
        }
    }

    /// Ends the thread, which closes all connections.
    ///
    /// The actor is gone by now: no job can come after this.
    func stop() {
        state.withLock {
            $0.stopped = true
            // Within the lock, so that the thread does not free the handle first.
            curl_multi_wakeup(multi)
        }
    }

    private func run(_ turn: @Sendable () -> Wait) {
        // Signals are for the other threads; and OpenSSL's writes to a closed socket may raise SIGPIPE here, which
        // libcurl does not ignore by itself once CURLOPT_NOSIGNAL is set.
        var signals = sigset_t()
        sigfillset(&signals)
        pthread_sigmask(SIG_SETMASK, &signals, nil)
        state.withLock { $0.thread = pthread_self() }

        while true {
            let (jobs, stopped) = state.withLock { state in
                defer { state.jobs = [] }
                return (state.jobs, state.stopped)
            }
            if stopped, jobs.isEmpty { break }
            for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
            var wait = turn()
            // Jobs that came from this thread in the meantime woke nobody.
            let idle = state.withLock { $0.jobs.isEmpty && !$0.stopped }
            curl_multi_poll(multi, &wait.sockets, UInt32(wait.sockets.count), idle ? wait.milliseconds : 0, nil)
        }
        curl_multi_cleanup(multi)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock {
            $0.jobs.append(job)
            if $0.thread != pthread_self() { curl_multi_wakeup(multi) }
        }
    }

    func isIsolatingCurrentContext() -> Bool? {
        state.withLock { $0.thread == pthread_self() }
    }

    func checkIsolated() {
        precondition(state.withLock { $0.thread == pthread_self() }, "not on libcurl's thread")
    }
}
