import ClusterSimulator
import Foundation
import Kubernetes
import Testing

@testable import Migration

@Suite("Events of the cluster")
struct EventRecorderTests {
    /// What `kubectl describe` shows of a migration: of an object's name and its UID, the oldest first.
    private func story(_ kind: String, uid: String?, in world: World) -> [String] {
        world.cluster.list(.events).filter {
            $0["reportingComponent"] == "pvmigrate" && $0["involvedObject"]?["kind"]?.string == kind
                && $0["involvedObject"]?["uid"]?.string == uid && $0["involvedObject"]?["namespace"] == "shop"
        }.sorted { $0.version < $1.version }.map {
            "\($0["type"]?.string ?? "") \($0["reason"]?.string ?? ""): \($0["message"]?.string ?? "")"
        }
    }

    private func uid(_ resource: Resource, _ name: String, in world: World) -> String? {
        world.object(resource, ObjectName(name, in: "shop"))?[path: ["metadata", "uid"]]?.string
    }

    private static var options: Options {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.recordsEvents = true
        return options
    }

    private func world() -> World {
        var world = World()
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"])
        world.settle()
        return world
    }

    /// Answers only to the creation of Events.
    private func events(_ fault: Fault) -> Interceptor {
        { request, _ in request.method == .post && request.target.contains("/events") ? fault : nil }
    }

    @Test(
        "the claim of before was asked to move and sealed, the one of now tells that it has, and so does the workload"
    )
    func finished() throws {
        let world = world()
        let before = uid(.persistentVolumeClaims, "data", in: world)
        let run = world.migrate(Self.options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        let way = "from StorageClass slow to fast"
        #expect(
            story("PersistentVolumeClaim", uid: before, in: run.world) == [
                "Normal MigrationStarted: Migration \(way) has begun",
                "Normal MigrationSealed: Migration \(way) is copied and sealed: from here on it only goes forward",
            ]
        )
        let now = uid(.persistentVolumeClaims, "data", in: run.world)
        let last = story("PersistentVolumeClaim", uid: now, in: run.world)
        #expect(now != before && last.count == 1)
        let end = try #require(last.first)
        #expect(end.hasPrefix("Normal MigrationFinished: Migration \(way) is done, 6 files, "), "\(end)")
        #expect(end.contains(", down for "))
        let web = story("Deployment", uid: uid(.deployments, "web", in: run.world), in: run.world)
        #expect(web.count == 2 && web.first == "Normal MigrationStarted: Migration of data \(way) has begun")
        #expect(
            web.last?.hasPrefix("Normal MigrationFinished: Migration of data \(way) is done, down for ") == true,
            "\(web)"
        )
    }

    @Test("a unit that could not be migrated has the reason as a warning, on its claims and its workload")
    func failed() throws {
        var world = world()
        world.cluster.behaviour.rsyncExits = [5]
        let run = world.migrate(Self.options)
        #expect(run.report?.succeeded == false)
        let claim = story("PersistentVolumeClaim", uid: uid(.persistentVolumeClaims, "data", in: world), in: run.world)
        let web = story("Deployment", uid: uid(.deployments, "web", in: world), in: run.world)
        #expect(claim.count == 2 && web.count == 2)
        for last in [claim.last, web.last] {
            #expect(
                last?.hasPrefix("Warning MigrationFailed: Migration ") == true && last?.contains("exit code 5") == true
            )
        }
    }

    @Test("without Events nothing is recorded, and no request is made for it")
    func off() throws {
        var options = Self.options
        options.recordsEvents = false
        let run = world().migrate(
            options,
            interceptor: { request, _ in
                #expect(request.method != .post || !request.target.contains("/events"))
                return nil
            }
        )
        #expect(run.report?.succeeded == true)
        #expect(!run.world.cluster.list(.events).contains { $0["reportingComponent"] == "pvmigrate" })
    }

    @Test("where they may not be created, the migration says nothing of it: preflight has")
    func refused() throws {
        let forbidden = Response(status: 403, body: Data(#"{"kind":"Status","reason":"Forbidden","code":403}"#.utf8))
        let run = world().migrate(Self.options, interceptor: events(.answer(forbidden)))
        #expect(run.report?.succeeded == true)
        #expect(!run.messages.contains { $0.contains("Events") })
    }

    @Test("where they can't be created, that is one warning, and the migration goes on")
    func broken() throws {
        let run = world().migrate(Self.options, interceptor: events(.cutBefore))
        #expect(run.report?.succeeded == true)
        #expect(run.messages.count { $0.contains("warning : Events are not recorded") } == 1, "\(run.messages)")
    }

    @Test("a server that takes no Event delays no step, and the end by seconds only")
    func silent() throws {
        let usual = world().migrate(Self.options)
        let run = world().migrate(Self.options, interceptor: events(.silence(takesEffect: false)))
        #expect(run.report?.succeeded == true)
        let outages = [usual, run].compactMap { $0.report?.claims.first?.outage }
        #expect(outages.count == 2 && outages[1] < outages[0] + .seconds(1), "\(outages)")
        // Less the times.
        func words(_ run: World.Run) -> [Substring] { run.messages.map { $0.drop { $0 != "]" }.prefix { $0 != "(" } } }
        #expect(words(run) == words(usual))
    }
}

extension JSON {
    fileprivate var version: Int { self[path: ["metadata", "resourceVersion"]]?.string.flatMap { Int($0) } ?? 0 }
}
