import FoundationEssentials
import Kubernetes

/// Compares and copies one claim with a directory on this computer.
struct TreeCopy: Sendable {
    private let client: Client
    private let options: Options
    private let limits: Limits
    private let journal: Journal
    private let findings: Findings
    private let local: (any LocalEnd)?
    private let movers: TreeMovers
    private var time: TimeSource { client.time }

    init(_ context: Context) {
        (client, options, limits) = (context.source, context.options, context.limits)
        (journal, findings, local) = (context.journal, context.findings, context.local)
        movers = TreeMovers(context)
    }

    /// What a copy works with.
    private struct Work: Sendable {
        var tree: LocalTree
        var local: any LocalEnd
        var flags: TreeFlags
        var excluded: [Data]
    }

    /// A comparison, and the flags with which it went well.
    private struct Compared: Sendable {
        var found: TreeDifferences
        var flags: TreeFlags
    }

    /// Finds out whether the end that is written to may be.
    ///
    /// - Returns: What is to be transferred.
    /// - Throws: `Failure` where it may not, with the reason.
    @discardableResult
    func judge(_ state: ClaimState, by mover: StandingMover) async throws -> TreeDifferences {
        let work = try await work(on: state, by: mover)
        let isEmpty = try work.local.isEmpty(work.flags.directory)
        if work.tree.direction == .upload, isEmpty, work.tree.target != .replaced {
            journal.warn(state.title, "the directory \(work.flags.directory) is empty")
        }
        let found = try await compare(work, isCheck: false, state, by: mover).found
        let (place, source) =
            work.tree.direction == .upload
            ? ("the claim", "the directory \(work.flags.directory)")
            : ("the directory \(work.flags.directory)", "the claim")
        if let why = work.tree.target.refusal(of: found, at: place, from: source) {
            throw Failure(place: state.title, reason: why)
        }
        return found
    }

    /// Returns why what is to be transferred does not fit; nil where it does, or where that is not known.
    func shortage(of found: TreeDifferences, _ state: ClaimState, by mover: StandingMover) async throws -> String? {
        guard let tree = options.tree, let directory = tree.parts[state.name] else { return nil }
        let free =
            tree.direction == .download
            ? local?.freeBytes(at: directory) : try await freeBytes(of: "/" + TreeFlags.mount(.upload), by: mover)
        guard let free, found.bytes > free else { return nil }
        return
            "there is no room for it: \(found.bytes.inBytes) are to be transferred, and \(free.inBytes) are free; where files "
            + "with holes make the difference, give --skip-preflight-validation"
    }

    /// Returns the room on a claim, as df tells it: `FILESYSTEM BLOCKS USED FREE 5% /dest`.
    private func freeBytes(of mount: String, by mover: StandingMover) async throws -> Int64? {
        do {
            let said = try await movers.run(["df", "-Pk", mount], in: mover)
            let lines = String(decoding: said.output, as: UTF8.self).split(whereSeparator: \.isNewline)
            let fields = lines.last?.split(separator: " ") ?? []
            guard fields.count >= 6, fields.last == mount[...] else { return nil }
            return Int64(fields[fields.count - 3]).map { $0.multipliedReportingOverflow(by: 1024).partialValue }
        } catch let error as APIError where CopyScript.lacks("df", error.message) {
            return nil
        }
    }

    /// Copies a claim, then checks that nothing is left to transfer.
    ///
    /// - Throws: `Failure` where no attempt is left.
    func copy(_ state: ClaimState, by mover: StandingMover) async throws -> CopyResult {
        let began = time.now()
        var work = try await work(on: state, by: mover)
        if let first = work.excluded.first {
            let name = String(decoding: first, as: UTF8.self)
            journal.info(state.title, "left out: \(work.excluded.count) of its files are sockets, such as \(name)")
        }
        try await prepare(work, by: mover)
        var attempt = 1
        while true {
            let why: String
            switch try await copyOnce(&work, state, by: mover) {
            case .done(let statistics):
                try await tidyUp(work, by: mover)
                return CopyResult(statistics: statistics, duration: time.now() - began)
            case .again(let reason): why = reason
            }
            guard attempt < limits.copyAttempts else {
                throw Failure(place: state.title, reason: "\(attempt) attempts have failed, the last one so: \(why)")
            }
            journal.warn(state.title, "\(why); the copy is repeated from where it stopped")
            attempt += 1
            try await time.sleep(time.now() + .seconds(attempt))
        }
    }

    private enum Attempt: Sendable {
        case done(CopyStatistics?)
        case again(String)
    }

    private func copyOnce(_ work: inout Work, _ state: ClaimState, by mover: StandingMover) async throws -> Attempt {
        let ran = try await run(work, work.flags.copying, state, by: mover)
        if let why = try failure(of: ran.end, &work, state) { return .again(why) }
        let compared = try await compare(work, isCheck: true, state, by: mover)
        work.flags = compared.flags
        guard compared.found.isEmpty else {
            return .again("after the copy \(compared.found.count) entries still differ")
        }
        return .done(ran.statistics)
    }

    /// Returns the reason for another attempt after an rsync; nil where it ended well.
    ///
    /// - Throws: `Failure` where another attempt would fail too.
    private func failure(of end: RsyncEnd, _ work: inout Work, _ state: ClaimState) throws -> String? {
        guard !end.isWell else { return nil }
        if let reduced = work.flags.reduced(after: end.errors) {
            let lost = work.flags.accessControlLists && !reduced.accessControlLists ? "ACLs" : "extended attributes"
            journal.warn(state.title, "a file system can't hold \(lost); copied without")
            work.flags = reduced
            return "rsync ended with exit code \(end.code)"
        }
        let tail = MoverExit.complaints(in: end.errors).joined(separator: "\n    ")
        let details = tail.isEmpty ? "" : ". It says:\n    \(tail)"
        // Where the one here has failed by itself, the other one's failure is only its consequence.
        if let error = end.remoteFailure, error is APIError || error is Refusal || end.code == 0 {
            if error is Refusal { throw Failure(place: state.title, reason: "\(error)") }
            if CopyScript.lacks("rsync", "\(error)") {
                throw Failure(
                    place: state.title,
                    reason: "its mover's image has no rsync on its PATH; another one can be given with --rsync-image"
                )
            }
            if let error = error as? APIError, error.reason != .unavailable {
                throw Failure(place: state.title, reason: "rsync could not be run in its mover: \(error)")
            }
            return "\(error)\(details)"
        }
        guard end.code != 0 else {
            return "the rsync of its mover ended with exit code \(end.remoteCode.map { "\($0)" } ?? "?")\(details)"
        }
        let exit = MoverExit(rsync: end.code)
        let why = "rsync ended with exit code \(end.code), \(exit.meaning)\(details)"
        let isCut = exit.isWorthRepeating || end.code == 255
        guard isCut else { throw Failure(place: state.title, reason: why) }
        return why
    }

    private func work(on state: ClaimState, by mover: StandingMover) async throws -> Work {
        guard let tree = options.tree, let local, let directory = tree.parts[state.name] else {
            throw Refusal("no directory belongs to it")
        }
        var flags = TreeFlags(
            directory: directory,
            direction: tree.direction,
            target: tree.target,
            partial: tree.partial(of: state.name)
        )
        flags.isRootHere = local.isRoot
        flags.bandwidthLimit = options.bandwidthLimit.map { $0 / Int64(findings.all.movers) }
        flags.verification = options.verification
        flags.further = options.rsyncFlags
        let sockets = try await sockets(tree, directory, local, by: mover)
        return Work(tree: tree, local: local, flags: flags, excluded: sockets)
    }

    /// Returns the sockets at the end that is read.
    private func sockets(
        _ tree: LocalTree,
        _ directory: String,
        _ local: any LocalEnd,
        by mover: StandingMover
    ) async throws -> [Data] {
        if tree.direction == .upload { return try local.sockets(in: directory) }
        let top = "/" + TreeFlags.mount(.download)
        let said: StandingMovers.Said
        do {
            said = try await movers.run(["find", top, "-type", "s", "-print0"], in: mover)
        } catch let error as APIError where CopyScript.lacks("find", error.message) {
            journal.info(
                mover.pod.title,
                "has no find, so sockets are not told from other special files: \(error.message)"
            )
            return []
        }
        return said.output.split(separator: 0).map { Data($0.dropFirst(top.utf8.count)) }
    }

    // MARK: The place of what is not whole yet

    private func prepare(_ work: Work, by mover: StandingMover) async throws {
        guard work.tree.direction == .download else {
            _ = try await movers.run(["mkdir", "-p", work.flags.partial], in: mover)
            return
        }
        try work.local.make(work.flags.directory, below: work.tree.directory)
        try work.local.make(work.flags.partial, below: work.tree.directory)
    }

    private func tidyUp(_ work: Work, by mover: StandingMover) async throws {
        guard work.tree.direction == .download else {
            // What is copied has to outlive its node.
            _ = try await movers.run(["sh", "-c", Self.flush, "sh", work.flags.partial], in: mover)
            return
        }
        try work.local.remove(work.flags.partial, below: work.tree.directory)
    }

    /// Removes what was not whole, and flushes a claim.
    static let flush = #"rm -rf "$1" && { sync -f /dest 2>/dev/null || sync; }"#

    // MARK: Running rsync

    /// An rsync that has ended, and what it said.
    private struct Ran: Sendable {
        var end: RsyncEnd
        var statistics: CopyStatistics?
    }

    private func compare(
        _ start: Work,
        isCheck: Bool,
        _ state: ClaimState,
        by mover: StandingMover
    ) async throws -> Compared {
        var work = start
        for attempt in 1... {
            let found = Collected()
            let end = try await work.local.rsync(
                work.flags.comparing(isCheck: isCheck),
                excluding: work.excluded,
                with: RemoteRsync(client, in: mover.pod.name)
            ) { line in found.take(line) }
            guard let why = try failure(of: end, &work, state) else {
                guard found.differences.isWhole else {
                    throw Failure(
                        place: state.title,
                        reason: "rsync's comparison says nothing; do --rsync-flags silence it?"
                    )
                }
                return Compared(found: found.differences, flags: work.flags)
            }
            guard attempt < limits.copyAttempts else {
                throw Failure(place: state.title, reason: "it could not be compared: \(why)")
            }
            journal.warn(state.title, "\(why); it is compared once more")
            try await time.sleep(time.now() + .seconds(attempt))
        }
        throw CancellationError()
    }

    private func run(
        _ work: Work,
        _ arguments: [String],
        _ state: ClaimState,
        by mover: StandingMover
    ) async throws -> Ran {
        let collected = Collected()
        let (title, name, now) = (state.title, state.name, time)
        let (isVerbose, journal) = (options.verboseCopy, journal)
        let end = try await movers.keeping(mover) {
            try await work.local.rsync(
                arguments,
                excluding: work.excluded,
                with: RemoteRsync(client, in: mover.pod.name)
            ) { line in
                collected.keep(line)
                if isVerbose { journal.output(title, String(line)) }
                if let progress = collected.progress(line, at: now.now()) { journal.watch?(name, progress) }
            }
        }
        let statistics = CopyStatistics(rsync: collected.text)
        if let bytes = statistics?.totalBytes, end.isWell {
            journal.watch?(name, CopyProgress(bytes: bytes, total: bytes))
        }
        return Ran(end: end, statistics: statistics)
    }
}

extension LocalTree {
    /// Returns the place of a claim's files that are not whole yet.
    fileprivate func partial(of claim: ObjectName) -> String {
        direction == .upload
            ? "/\(TreeFlags.mount(.upload))/\(TreeFlags.partialName)"
            : "\(directory)/\(TreeFlags.records)/partial/\(claim.name)"
    }
}
