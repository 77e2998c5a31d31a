import Dispatch
import Glibc
import Kubernetes

/// What a process has used by its end.
struct Usage: Sendable {
    var cpu: Duration
    /// The most memory that it held, in kilobytes.
    var memory: Int64

    /// Runs a program; what it says goes to standard error.
    ///
    /// - Throws: `BenchError` where it does not start, or ends with another exit code than 0.
    static func run(_ arguments: [String]) async throws -> Usage {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO)
        var words = arguments.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var process: pid_t = 0
        let failure = posix_spawn(&process, arguments[0], &actions, nil, &words, environ)
        guard failure == 0 else {
            throw BenchError("cannot run \(arguments[0]): \(String(cString: strerror(failure)))")
        }
        let (status, usage) = await ended(process)
        guard status == 0 else { throw BenchError("\(arguments[0]) ended with wait status \(status)") }
        return usage
    }

    private static func ended(_ process: pid_t) async -> (status: Int32, usage: Usage) {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var status: Int32 = 0
                var usage = rusage()
                while wait4(process, &status, 0, &usage) < 0 && errno == EINTR {}
                let cpu = [usage.ru_utime, usage.ru_stime].reduce(Duration.zero) {
                    $0 + .seconds($1.tv_sec) + .microseconds($1.tv_usec)
                }
                continuation.resume(returning: (status, Usage(cpu: cpu, memory: Int64(usage.ru_maxrss))))
            }
        }
    }
}
