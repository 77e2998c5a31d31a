import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Preflight")
struct PreflightTests {
    @Test("a cluster on which all is well has no obstacle, and preflight leaves no trace")
    func fine() async throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.addClaim("shared", modes: ["ReadWriteMany"])
        let result = try await scene.preflight()
        #expect(result.table == [])
        #expect(result.messages.filter { $0.contains("a trial of") && $0.contains("passed") }.count == 2)
        result.expectNoTrace()
    }
}
