import FoundationEssentials
import Kubernetes

/// A mover that stands: it has both claims mounted, and performs commands when it is told to.
///
/// Its first process alone starts rsync, one numbered command after the other. A connection that was cut leaves one known
/// command, whose end is asked for again by its number.
///
/// Where nobody may run commands in it, it only keeps the claims mounted. The mover that is made after the stop finds them
/// attached to its node, and the node may read them still.
struct StandingMover: Sendable {
    let pod: Pod
    let mover: MoverPod
    /// The number of its last command; zero before the first.
    private(set) var number = 0
    /// The time of its last sign of life.
    private(set) var seen: Duration

    init(_ pod: Pod, _ mover: MoverPod, seen: Duration) { (self.pod, self.mover, self.seen) = (pod, mover, seen) }

    /// True where it performs commands.
    var hears: Bool { mover.task == .stand }

    mutating func next() -> Int {
        number += 1
        return number
    }

    mutating func wasSeen(at now: Duration) { seen = now }

    /// The time that it stands without a word; where it hears none, all the time that it stands. A run that died leaves it
    /// for so long.
    static let idle: Duration = .seconds(300)
}

/// The task of one command of a standing mover.
enum Command: Sendable {
    /// Copies what a workload writes to meanwhile.
    case pass
    /// Copies what nobody writes to.
    case copy
    /// Checks that nothing is left to transfer.
    case check
    /// Compares some time after the copy.
    case compare
}

/// The end of a command.
struct CommandEnd: Sendable {
    var code: Int
    /// The last 1000 lines of its output.
    var output: String
}

/// Tells standing movers what to do.
struct StandingMovers: Sendable {
    private let client: Client
    private let journal: Journal
    private let judge: MoverJudge
    private let output: MoverOutput
    private let pods: MoverPods
    private var time: TimeSource { client.time }
    /// The number of connections that may break one after the other.
    private static let attempts = 4
    /// A connection that held so long has shown that connections work.
    private static let steady: Duration = .seconds(60)

    init(_ context: Context) {
        (client, journal) = (context.destination, context.journal)
        judge = MoverJudge(context)
        output = MoverOutput(context)
        pods = MoverPods(context)
    }

    /// Has a standing mover do what another mover would be made for.
    ///
    /// - Throws: `Failure` where another attempt would fail too; as `answer` where the mover is of no more use.
    func run(
        _ task: MoverPod.Task,
        of state: ClaimState,
        _ content: any MoverContent,
        by mover: inout StandingMover
    ) async throws -> MoverOutcome {
        var words = mover.mover
        words.task = task
        journal.info(state.title, words.inWords(on: mover.pod))
        switch task {
        case .pass: return try await perform(.pass, of: state, content, by: &mover)
        case .compare: return try await perform(.compare, of: state, content, by: &mover)
        case .copy:
            let copied = try await perform(.copy, of: state, content, by: &mover)
            guard content.isToBeChecked, case .done(let result) = copied else { return copied }
            let check = try await perform(.check, of: state, content, by: &mover)
            let (title, namespace) = (mover.pod.title, mover.pod.metadata.namespace)
            return try judge.judgeCopy(result.statistics, checked: check, content, at: title, in: namespace)
        case .nothing, .stand, .hold, .tree: throw Refusal("this is no work")
        }
    }

    /// What came of a pass.
    struct Passed: Sendable {
        /// The mover; nil where it was of no use, and is gone.
        var mover: StandingMover?
        /// The time that the pass took; nil where it failed at something that a later copy may master.
        var took: Duration?
    }

    /// Has a standing mover make a pass, and tells about it.
    ///
    /// - Throws: `Failure` where the copy after the stop would fail too.
    func pass(_ title: String, over state: ClaimState, by start: StandingMover) async throws -> Passed {
        var mover = start
        var content = mover.mover.content
        do {
            while true {
                switch try await run(.pass, of: state, content, by: &mover) {
                case .done(let result):
                    return Passed(mover: mover, took: try journal.tellPass(title, over: state, result))
                case .unsupported(let reduced, _): content = reduced
                case .again(let why, let details):
                    journal.warn(state.title, "\(title) failed while its pods run: \(why)\(details)")
                    return Passed(mover: mover)
                }
            }
        } catch let error as Failure {
            // The number of its last command is not known any more.
            await journal.orWarn(start.pod.title) { try await pods.remove(start.pod) }
            throw error
        } catch let error where !Task.isCancelled {
            journal.warn(state.title, "\(title) failed while its pods run: \(error)")
            try await pods.remove(start.pod)
            return Passed()
        }
    }

    private func perform(
        _ command: Command,
        of state: ClaimState,
        _ content: any MoverContent,
        by mover: inout StandingMover
    ) async throws -> MoverOutcome {
        guard let call = content.call(for: command) else { throw Refusal("no standing mover can do that") }
        let began = time.now()
        let (number, standing) = (mover.next(), mover)
        let end: CommandEnd
        switch command {
        case .pass, .copy:
            end = try await output.showing(mover.pod, of: state, content, onlyNew: true) {
                try await answer(to: call, number, by: standing)
            }
        case .check, .compare: end = try await answer(to: call, number, by: standing)
        }
        mover.wasSeen(at: time.now())
        return try judge.judge(end, of: command, content, by: mover, took: time.now() - began)
    }

    /// Makes a standing mover stay, and makes sure that it hears.
    ///
    /// - Throws: `APIError` where no command can be run in it; `Refusal` where it does not hear.
    func stay(_ mover: StandingMover) async throws {
        _ = try await time.within(.seconds(30), what: "\(mover.pod.title) to answer") {
            try await say(0, nil, to: mover)
        }
    }

    /// Has a standing mover perform a command, and waits for its end.
    ///
    /// - Parameter number: The number of the command. A number that was used before asks for that command's end.
    /// - Throws: `APIError` where it could not be told, or its end not be learnt; `Refusal` where the mover is gone. The
    ///   command may go on then, so that the mover must be removed.
    private func answer(to call: String, _ number: Int, by mover: StandingMover) async throws -> CommandEnd {
        try await withThrowingTaskGroup(of: CommandEnd.self) { group in
            group.addTask { try await askUntilAnswered(call, number, by: mover) }
            group.addTask {
                _ = try await pods.awaitEnd(of: mover.pod)
                throw Refusal("\(mover.pod.title) has ended, or somebody deleted it")
            }
            defer { group.cancelAll() }
            guard let end = try await group.next() else { throw CancellationError() }
            return end
        }
    }

    private func askUntilAnswered(_ call: String, _ number: Int, by mover: StandingMover) async throws -> CommandEnd {
        var backoff = Backoff()
        var failures = 0
        while true {
            let began = time.now()
            do {
                let answer = try await say(number, call, to: mover)
                if let end = CommandEnd(answer, number: number) { return end }
                failures += 1
                guard failures < Self.attempts else {
                    throw Refusal("what \(mover.pod.title) answered does not tell how its command ended")
                }
            } catch let error as APIError where ![.forbidden, .notFound].contains(error.reason) {
                failures = time.now() - began >= Self.steady ? 1 : failures + 1
                guard failures < Self.attempts else { throw error }
            }
            try await time.sleep(time.now() + backoff.next())
        }
    }

    /// - Returns: The output of the telling command, which must not fail.
    private func say(_ number: Int, _ call: String?, to mover: StandingMover) async throws -> Data {
        let said = try await run(CopyScript.telling(number, call), beside: mover)
        guard said.code == 0 else {
            throw Refusal("\(mover.pod.title) can't be told anything (exit code \(said.code)): \(said.complaint)")
        }
        return said.output
    }

    /// What a command beside a mover's first process has written, and its exit code.
    struct Said: Sendable {
        var code: Int
        var output: Data
        var errors: Data

        var complaint: String {
            String(decoding: errors, as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: "; ")
                .shortened(to: 300)
        }
    }

    /// Runs a command in a mover's container, beside its first process.
    ///
    /// - Throws: `APIError`; `Refusal` where it writes too much.
    func run(_ command: [String], beside mover: StandingMover) async throws -> Said {
        let session = try await client.exec(
            in: mover.pod.name,
            container: MoverPod.copyContainer,
            command: command
        )
        async let errors = Self.all(session.stderr)
        let (output, words) = try await (Self.all(session.stdout), errors)
        return Said(code: try await session.exitCode(), output: output, errors: words)
    }

    private static func all(_ output: ExecSession.Output) async throws -> Data {
        var all = Data()
        for try await piece in output {
            all.append(piece)
            // Who may run commands in it can have it answer without end.
            guard all.count <= 8 << 20 else { throw Refusal("it answers more than 8 MiB") }
        }
        return all
    }
}

extension CommandEnd {
    /// Reads an answer of `tell.sh`: a line with number, exit code and length of the output, and the output.
    ///
    /// Nil where it is cut, or about another command.
    init?(_ answer: Data, number: Int) {
        guard let end = answer.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let fields = String(decoding: answer[..<end], as: UTF8.self).split(separator: " ").compactMap { Int($0) }
        let output = answer[answer.index(after: end)...]
        guard fields.count == 3, fields[0] == number, fields[2] == output.count else { return nil }
        self.init(code: fields[1], output: String(decoding: output, as: UTF8.self))
    }
}
