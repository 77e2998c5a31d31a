import Kubernetes
import Testing

/// The default class is one for the whole cluster, so these tests take turns, and put back what they found.
@Suite(.serialized)
struct DefaultClassTests {
    @Test("--set-defaults makes the destination class the default one")
    func setDefaults() async throws {
        try await Scene.with { scene in
            try await scene.withDefaultClass(scene.sourceClass) {
                try await scene.createClaim("data")
                let deployment = try await scene.deploy("app", claims: ["/data": "data"])
                let before = try await scene.contents(of: deployment)
                scene.expect(try await scene.migrate("--set-defaults"), exit: 0)
                try await scene.expectMigrated("data")
                try await scene.expectRestarted(deployment, on: before)
                #expect(try await scene.defaultClasses() == [scene.destinationClass])
            }
        }
    }

    @Test("without --set-defaults the default class stays")
    func withoutSetDefaults() async throws {
        try await Scene.with { scene in
            try await scene.withDefaultClass(scene.sourceClass) {
                try await scene.createClaim("data")
                try await scene.deploy("app", claims: ["/data": "data"])
                scene.expect(try await scene.migrate("--set-defaults=false"), exit: 0)
                try await scene.expectMigrated("data")
                #expect(try await scene.defaultClasses() == [scene.sourceClass])
            }
        }
    }

    @Test("--set-defaults is refused where the default class is another one")
    func otherDefault() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.withDefaultClass(scene.cluster.sourceClass) {
                let run = try await scene.migrate("--set-defaults", "--preflight-validation-only")
                scene.expect(run, exit: 2)
                #expect(run.output.contains(scene.cluster.sourceClass), "\(run.output)")
                #expect(try await scene.defaultClasses() == [scene.cluster.sourceClass])
            }
        }
    }
}

extension Scene {
    /// The names of all classes that are the default one.
    fileprivate func defaultClasses() async throws -> [String] {
        try await client.list(StorageClass.self).filter(\.isDefault).map(\.metadata.name)
    }

    /// Makes one class the only default one while a test lasts.
    fileprivate func withDefaultClass(_ name: String, _ body: () async throws -> Void) async throws {
        let before = Set(try await defaultClasses())
        try await setDefaultClasses([name])
        do {
            try await body()
        } catch {
            try await Task { try await setDefaultClasses(before) }.value
            throw error
        }
        try await Task { try await setDefaultClasses(before) }.value
    }

    private func setDefaultClasses(_ wanted: Set<String>) async throws {
        for found in try await client.list(StorageClass.self) {
            let isWanted = wanted.contains(found.metadata.name)
            guard found.isDefault != isWanted else { continue }
            var annotations: [String: JSON] = [StorageClass.defaultAnnotation: isWanted ? "true" : "false"]
            if !isWanted, found.metadata.annotation(StorageClass.betaDefaultAnnotation) != nil {
                annotations[StorageClass.betaDefaultAnnotation] = "false"
            }
            let change: JSON = ["metadata": ["annotations": .object(annotations)]]
            try await client.patch(StorageClass.self, found.name, .merge(change))
        }
    }
}
