import ClusterSimulator
import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("pvmigrate status --follow")
struct FollowTests {
    /// Migrates the shop, and watches that from outside from the moment on at which it has its lock.
    private func watched(_ flags: String...) throws -> (run: Run, watching: Run) {
        var shop = try Shop()
        return try shop.run(["--source-sc", "slow", "--dest-sc", "fast"], watchedBy: ["status", "--follow"] + flags)
    }

    @Test("tells what a run does until it has ended, and then what is left")
    func follows() throws {
        let (run, watching) = try watched()
        #expect(run.code == .done, "\(run.errors)")
        #expect(watching.code == .done, "\(watching.errors)")
        let lines = watching.errorLines
        #expect(lines.contains { $0.hasSuffix(": is at work on the classes fast, slow") }, "\(watching.errors)")
        #expect(lines.contains { $0.contains("] PersistentVolumeClaim shop/data: ") }, "\(watching.errors)")
        #expect(lines.contains { $0.contains("] Deployment shop/web: ") }, "\(watching.errors)")
        #expect(
            lines.contains { $0.hasSuffix("PersistentVolumeClaim shop/data: nothing of it is open any more") },
            "\(watching.errors)"
        )
        #expect(lines.last == "nothing is open")
    }

    @Test("ends at once where nobody is at work")
    func nobody() throws {
        let run = try Shop().status("--follow", "--source-sc=slow", "--output=json")
        #expect(run.code == .done && run.errorLines.last?.hasPrefix("nothing is open") == true, "\(run.errors)")
        #expect(try run.object(schema: "status")["toMigrate"] == 1)
    }

    @Test("ends where the run has died, and says how it is finished")
    func dead() throws {
        let shop = try Shop().died { $0.method == .patch && $0.target.contains("/deployments/") }
        let run = try shop.status("--follow")
        #expect(run.code == .stopped)
        #expect(run.errors.contains("] Deployment shop/web: "), "\(run.errors)")
        #expect(
            run.errorLines.last?.hasSuffix("run: pvmigrate --source-sc slow --dest-sc fast") == true,
            "\(run.errors)"
        )
    }

    @Test("ends with Ctrl-C")
    func interrupted() throws {
        let shop = try Shop().died { $0.method == .patch && $0.target.contains("/deployments/") }
        let interruption = Interruption()
        let run = try shop.status("--follow", interruption: interruption) { request, _ in
            if request.target.contains("watch=") { interruption.request() }
            return nil
        }
        #expect(run.code == .failed && run.errorLines.last == "error: interrupted; what was watched goes on")
    }
}
