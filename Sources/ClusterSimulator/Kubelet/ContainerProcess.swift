import Dispatch
import Foundation
import Glibc
import Synchronization

/// A process of the machine with a thread of its own, which starts it, reads its output and waits for its end.
///
/// It must be the same thread: the kernel ends a process that is to die with its parent when the thread ends that made
/// it (prctl(2), `PR_SET_PDEATHSIG`), and threads that serve tasks come and go.
final class ContainerProcess: Sendable {
    private struct State {
        var identifier: pid_t = 0
        /// False as soon as the process was waited for, when its number may be another's.
        var isRunning = false
        var wasKilled = false
        var failure: POSIXError?
        var input: ProcessInput?
        var line: @Sendable (String) -> Void = { _ in }
        var hears: @Sendable (ExecEvent) -> Void = { _ in }
        var ended: @Sendable (Int) -> Void = { _ in }
    }

    /// Where a process reads and writes.
    enum Streams {
        /// It has no input; its output and errors are in one pipe.
        case log
        /// Output and errors are apart.
        case apart(hasInput: Bool)
    }

    /// This end of a process's pipes.
    private struct Ends {
        var input: FileHandle?
        var output: FileHandle
        var errors: FileHandle?
    }

    private let state = Mutex(State())
    private let started = DispatchSemaphore(value: 0)
    private let followed = DispatchSemaphore(value: 0)

    /// Starts a process. `follow` has to be called afterwards.
    ///
    /// - Throws: `POSIXError` where the process could not be made.
    init(_ arguments: [String], _ streams: Streams = .log) throws {
        Thread.detachNewThread { [self] in
            do {
                let (identifier, ends) = try Self.spawning.withLock { _ in try Self.spawn(arguments, streams) }
                state.withLock { state in
                    (state.identifier, state.isRunning) = (identifier, true)
                    state.input = ends.input.map { ProcessInput($0) }
                }
                started.signal()
                followed.wait()
                if let errors = ends.errors { read(ends.output, errors) } else { read(ends.output) }
                wait(identifier)
                input?.end()
            } catch {
                state.withLock { $0.failure = error as? POSIXError ?? POSIXError(.EIO) }
                started.signal()
            }
        }
        started.wait()
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    /// Tells of the process until it has ended: whole lines as they come, a partial one only at the end; then its exit
    /// code, 128 and the signal's number where a signal ended it.
    func follow(_ line: @escaping @Sendable (String) -> Void, ended: @escaping @Sendable (Int) -> Void) {
        state.withLock { ($0.line, $0.ended) = (line, ended) }
        followed.signal()
    }

    /// The same of a process whose streams are apart: what it writes, as it comes.
    func follow(_ hears: @escaping @Sendable (ExecEvent) -> Void) {
        state.withLock { ($0.hears, $0.ended) = (hears, { hears(.ended(code: $0)) }) }
        followed.signal()
    }

    /// What leads to its standard input, where it has one.
    var input: ProcessInput? { state.withLock { $0.input } }

    private func read(_ output: FileHandle, _ errors: FileHandle) {
        let hears = state.withLock { $0.hears }
        let bothAreRead = DispatchSemaphore(value: 0)
        @Sendable func read(_ file: FileHandle, _ event: @Sendable (Data) -> ExecEvent) {
            while true {
                let data = file.availableData
                if data.isEmpty { break }
                hears(event(data))
            }
        }
        Thread.detachNewThread {
            read(errors) { .errors($0) }
            bothAreRead.signal()
        }
        read(output) { .output($0) }
        bothAreRead.wait()
    }

    private func read(_ output: FileHandle) {
        let line = state.withLock { $0.line }
        var pending = Data()
        while true {
            let data = output.availableData
            if data.isEmpty { break }
            pending += data
            guard let end = pending.lastIndex(of: UInt8(ascii: "\n")) else { continue }
            line(String(decoding: pending[...end], as: UTF8.self))
            pending = Data(pending[(end + 1)...])
        }
        if !pending.isEmpty { line(String(decoding: pending, as: UTF8.self)) }
    }

    private func wait(_ identifier: pid_t) {
        // Waits without collecting first, so that nobody signals the number of a process that is gone.
        var information = siginfo_t()
        while waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) == -1, errno == EINTR {}
        let (ended, wasKilled) = state.withLock { state in
            state.isRunning = false
            return (state.ended, state.wasKilled)
        }
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) == -1, errno == EINTR {}
        let signal = status & 0x7f
        let code = Int(signal == 0 ? (status >> 8) & 0xff : 128 + signal)
        // `unshare` of util-linux 2.38 ends with 1 where a signal ended its child.
        ended(wasKilled && code == 1 ? 128 + Int(SIGKILL) : code)
    }

    /// The process in the container: the child of the one that set its view up.
    var containerProcess: pid_t? {
        state.withLock { state in
            guard state.isRunning else { return nil }
            let path = "/proc/\(state.identifier)/task/\(state.identifier)/children"
            // Gone when the process is.
            guard let children = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
            return children.split(separator: " ").first.flatMap { pid_t($0) }
        }
    }

    /// Sends a signal to the process in the container; as the first one of its namespace it gets only those that it
    /// handles, and SIGKILL, just as in any container.
    func signal(_ signal: Int32) {
        let container = containerProcess
        state.withLock { state in
            guard state.isRunning else { return }
            if signal == SIGKILL { state.wasKilled = true }
            if let container {
                kill(container, signal)
            } else if signal == SIGKILL {
                kill(state.identifier, signal)
            }
        }
    }

    // MARK: Starting

    /// Held while a process is made, so that it does not inherit the pipe of another one.
    private static let spawning = Mutex(())

    private static func spawn(_ arguments: [String], _ streams: Streams) throws -> (pid_t, Ends) {
        let output = try Pipe()
        let (hasInput, isApart) =
            switch streams {
            case .log: (false, false)
            case .apart(let hasInput): (hasInput, true)
            }
        let errors = isApart ? try Pipe() : nil
        let input = hasInput ? try Pipe() : nil
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input.reading.fileDescriptor, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output.writing.fileDescriptor, 1)
        posix_spawn_file_actions_adddup2(&actions, (errors ?? output).writing.fileDescriptor, 2)
        // The signals that a server blocks or ignores must work again in the container.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        let variables = [strdup("PATH=" + ProcessSandbox.searchPath), nil]
        defer { for variable in variables { free(variable) } }
        var identifier: pid_t = 0
        let failure = posix_spawnp(&identifier, arguments[0], &actions, &attributes, pointers, variables)
        guard failure == 0 else { throw error(failure) }
        return (identifier, Ends(input: input?.writing, output: output.reading, errors: errors?.reading))
    }

    /// A pipe that no process inherits by itself; its ends are closed when they are let go of.
    private struct Pipe {
        let reading, writing: FileHandle

        init() throws {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw error(errno) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            reading = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
            writing = FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
        }
    }

    private static func error(_ code: Int32) -> POSIXError { POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO) }
}
