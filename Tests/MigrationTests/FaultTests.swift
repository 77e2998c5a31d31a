import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

/// A way in which the API server, or the way to it, can misbehave.
enum Misbehaviour: String, CaseIterable, Sendable {
    case conflict, tooMany, tooManyWithRetryAfter, internalError, unavailable, gatewayTimeout, gatewayTimeoutAfter
    case refused, resetBefore, resetAfter, truncated, silentBefore, silentAfter, unauthorized, html
    case watchEnds, watchExpires, watchSilent, watchCut, stale

    var fault: Fault {
        func status(_ code: Int, _ reason: String, headers: [(name: String, value: String)] = []) -> Response {
            let body: JSON = [
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": .integer(Int64(code)),
                "reason": .string(reason), "message": .string("injected: \(reason)"),
            ]
            return Response(status: code, headers: headers, body: body.text)
        }
        switch self {
        case .conflict: return .answer(status(409, "Conflict"))
        case .tooMany: return .answer(status(429, "TooManyRequests"))
        case .tooManyWithRetryAfter: return .answer(status(429, "TooManyRequests", headers: [("Retry-After", "2")]))
        case .internalError: return .answer(status(500, "InternalError"))
        case .unavailable: return .answer(status(503, "ServiceUnavailable"))
        case .gatewayTimeout: return .answer(status(504, "Timeout"))
        case .gatewayTimeoutAfter: return .answerAfter(status(504, "Timeout"))
        case .refused: return .refuse
        case .resetBefore: return .cutBefore
        case .resetAfter: return .cutAfter
        case .truncated: return .truncate
        case .silentBefore: return .silence(takesEffect: false)
        case .silentAfter: return .silence(takesEffect: true)
        case .unauthorized: return .answer(status(401, "Unauthorized"))
        case .html: return .answer(Response(status: 502, body: Data("<html>Bad Gateway</html>".utf8)))
        case .watchEnds: return .endStream(afterPieces: 0)
        case .watchExpires: return .expireStream(afterPieces: 0)
        case .watchSilent: return .silenceStream(afterPieces: 0)
        case .watchCut: return .cutStream(afterPieces: 1)
        case .stale: return .stale(requests: 3)
        }
    }
}

@Suite("A misbehaving API server")
struct FaultTests {
    private static let isExhaustive = ProcessInfo.processInfo.environment["PVMIGRATE_EXHAUSTIVE"] != nil

    @Test(
        "at every request, one at a time: the run succeeds, or leaves things safe for the next one",
        arguments: Misbehaviour.allCases
    )
    func single(misbehaviour: Misbehaviour) {
        let world = Scenario.deployment.world()
        let count = world.migrate().requests
        // Every third request, and every kind begins with another one: each request meets a third of the kinds.
        let first = 1 + (Misbehaviour.allCases.firstIndex(of: misbehaviour) ?? 0) % 3
        for number in stride(from: first, through: count, by: Self.isExhaustive ? 1 : 3) {
            let failed = Self.check(world, seed: UInt64(number), "\(misbehaviour.rawValue) at request \(number)") {
                $0 == number ? misbehaviour.fault : nil
            }
            if failed { return }
        }
    }

    @Test("in random mixtures: the run succeeds, or leaves things safe for the next one", arguments: UInt64(1)...40)
    func mixed(seed: UInt64) {
        let scenario = Scenario.allCases[Int(seed) % Scenario.allCases.count]
        let what = "a mixture with seed \(seed) on \(scenario.rawValue)"
        _ = Self.check(scenario.world(seed: seed), scenario.options, seed: seed, what) { number in
            var random = SeededGenerator(seed: seed &* 1_000_003 &+ UInt64(number))
            guard Int.random(in: 0..<10, using: &random) == 0 else { return nil }
            return Misbehaviour.allCases.randomElement(using: &random)?.fault
        }
    }

    /// Runs with faults; where that run fails, things are safe and a second one without faults finishes.
    ///
    /// - Returns: true where something was wrong.
    static func check(
        _ world: World,
        _ options: Options = Scenario.deployment.options,
        seed: UInt64,
        _ what: String,
        fault: @escaping @Sendable (Int) -> Fault?
    ) -> Bool {
        let invariants = Invariants(of: world)
        var run = world.migrate(
            options,
            seed: seed,
            interceptor: { _, number in fault(number) },
            observer: invariants.observer
        )
        var story = run.messages
        var problems: [String] = []
        if run.report?.succeeded != true {
            problems += run.world.unsafety(after: run.report)
            run.world.mayLeak = true
            run = run.world.migrate(options, as: "second", seed: seed, observer: invariants.observer)
            story += ["-- again:"] + run.messages
        }
        // What the last run did not wait for: the controllers free the old storage.
        run.world.cluster.advance(to: run.world.cluster.now + .seconds(30))
        // A lock whose removal meets the fault ends by itself, and the run says so.
        let leavesLock = run.messages.contains { $0.contains("could not be removed, it ends by itself") }
        problems += run.world.shortcomings(keepsLines: invariants).filter { !leavesLock || $0 != World.leftLock }
        guard run.report?.succeeded == true, problems.isEmpty else {
            Issue.record(
                """
                \(what): \(run.failure ?? "")
                \(problems.prefix(5).joined(separator: "\n"))
                \(story.joined(separator: "\n"))
                """
            )
            return true
        }
        return false
    }
}

extension World {
    /// What is wrong after a run that failed: a workload that is at zero although it isn't said.
    func unsafety(after report: Report?) -> [String] {
        // Without a report the run never came to stop anything, or its process died.
        guard let report else { return [] }
        return scales.compactMap { key, scale in
            guard scale > 0, cluster.get(key)?[path: ["spec", "replicas"]]?.integer == 0 else { return nil }
            let title = "\(key.resource.kind) \(key.namespace ?? "")/\(key.name)"
            return (report.stopped + report.left).contains(title)
                ? nil : "\(title) is at zero and the report does not say so"
        }
    }
}
