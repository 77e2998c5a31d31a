import Kubernetes
import Testing

@testable import Migration

@Suite("The status of a retype")
struct RetypeStatusTests {
    @Test("tells of it at every moment, and gives the command that finishes it")
    func everyMoment() throws {
        let world = Scenario.retype.world(alone: true)
        for point in world.crashPoints(.retyping, seed: 7) {
            let status = try point.world.status()
            for claim in status.claims {
                guard claim.isRetype, !claim.isBlocked, !claim.state.contains("cop"), !claim.next.contains("cop") else {
                    Issue.record("\(point.name): \(claim)")
                    return
                }
            }
            guard status.claims.isEmpty || status.commands.allSatisfy({ $0.hasSuffix("--retype") }) else {
                Issue.record("\(point.name): \(status.commands)")
                return
            }
        }
    }
}
