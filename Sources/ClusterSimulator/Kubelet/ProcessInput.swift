import Dispatch
import Foundation
import Glibc
import Synchronization

/// Writes what a process is to read, on a thread that waits in place of tasks while the process does not read.
final class ProcessInput: ExecInput {
    private struct State {
        var pieces: [Data] = []
        var hasEnded = false
        /// Who waits until a piece is written.
        var writers: [Int: CheckedContinuation<Void, Never>] = [:]
        var accepted = 0
        var written = 0
    }

    private let state = Mutex(State())
    private let work = DispatchSemaphore(value: 0)

    init(_ file: FileHandle) {
        Thread.detachNewThread { [self] in
            // A process that has closed its input is no reason to die.
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGPIPE)
            pthread_sigmask(SIG_BLOCK, &signals, nil)
            while let piece = next() {
                // Where nobody reads any more, what comes is lost.
                _ = piece.withUnsafeBytes { Self.write($0, to: file.fileDescriptor) }
                let writer = state.withLock { state in
                    state.written += 1
                    return state.writers.removeValue(forKey: state.written)
                }
                writer?.resume()
            }
            // Others may hold the file as well, and the process is to see its end.
            file.closeFile()
        }
    }

    func write(_ data: Data) async {
        let number: Int? = state.withLock { state in
            if state.hasEnded { return nil }
            state.pieces.append(data)
            state.accepted += 1
            return state.accepted
        }
        guard let number else { return }
        work.signal()
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    if state.written >= number || state.hasEnded || Task.isCancelled { return false }
                    state.writers[number] = continuation
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.writers.removeValue(forKey: number) }?.resume()
        }
    }

    func end() {
        let writers = state.withLock { state in
            state.hasEnded = true
            defer { state.writers = [:] }
            return state.writers
        }
        work.signal()
        for writer in writers.values { writer.resume() }
    }

    /// The next piece, nil after the last.
    private func next() -> Data? {
        while true {
            work.wait()
            let (piece, hasEnded) = state.withLock { state in
                (state.pieces.isEmpty ? nil : state.pieces.removeFirst(), state.hasEnded)
            }
            if piece != nil || hasEnded { return piece }
        }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count < 0, errno != EINTR { return false }
            rest = rest.dropFirst(max(0, count))
        }
        return true
    }
}
