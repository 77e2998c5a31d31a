import FoundationEssentials
import Kubernetes
import Testing

@Suite("Objects that can't be read")
struct UnreadableTests {
    /// A claim of which one field is not what the API says.
    private func bad(_ name: String, _ version: String = "4", path: [String] = ["spec", "accessModes"]) -> JSON {
        var object = claim(name, version)
        object[path: path] = "no"
        return object
    }

    @Test("an amount other than that of storage is not looked at, whatever it is")
    func amounts() async throws {
        var object = claim("data", "1")
        object[path: ["spec", "resources", "requests"]] = ["storage": "16Mi", "x": "-1", "y": ["z"]]
        object[path: ["status", "capacity"]] = ["storage": "16Mi", "x": "no"]
        let claims = try await Script(.response(200, list([object], version: "9"))).client()
            .list(PersistentVolumeClaim.self)
        #expect(claims.first?.spec.resources?.requests?["storage"]?.text == "16Mi")
        #expect(claims.first?.status?.capacity?["storage"]?.text == "16Mi")
    }

    @Test("are named with the field, and the others of their list are read, on every page")
    func readable() async throws {
        var size = claim("size", "1")
        size[path: ["spec", "resources", "requests", "storage"]] = "-1"
        let script = Script(
            .response(200, list([claim("a", "1"), bad("b")], version: "9", next: "t")),
            .response(200, list([size, claim("c", "2")], version: "9"))
        )
        let found = try await script.client().listReadable(PersistentVolumeClaim.self, in: "shop")
        #expect(found.items.map(\.metadata.name) == ["a", "c"])
        #expect(found.unreadable.map(\.title) == ["PersistentVolumeClaim shop/b", "PersistentVolumeClaim shop/size"])
        #expect(found.unreadable.first?.why.hasPrefix("spec.accessModes: ") == true, "\(found.unreadable)")
        #expect(found.unreadable.last?.why == #"spec.resources.requests.storage: "-1" is no quantity"#)
    }

    @Test("fail a list of which all is needed, by their name")
    func whole() async throws {
        let script = Script(.response(200, list([claim("a", "1"), bad("b")], version: "9")))
        let error = await #expect(throws: APIError.self) {
            try await script.client().list(PersistentVolumeClaim.self, in: "shop")
        }
        #expect(
            error?.description.hasPrefix(
                "list persistentvolumeclaims in shop: PersistentVolumeClaim shop/b can't be read: spec.accessModes: "
            ) == true
        )
    }

    @Test("what has not even a name makes no list")
    func nothing() async throws {
        let script = Script(.response(200, list(["no"], version: "9")))
        let error = await #expect(throws: APIError.self) {
            try await script.client().listReadable(PersistentVolumeClaim.self)
        }
        #expect(error?.reason == .protocolError)
    }

    private func wait(_ client: Client, named name: String?) async throws -> String {
        try await client.wait(
            for: PersistentVolumeClaim.self,
            in: "shop",
            named: name,
            limit: .seconds(3600),
            what: "data to be Bound"
        ) { snapshot in
            guard let claim = snapshot.object(named: "data"), claim.phase == .bound else { return nil }
            return claim.metadata.resourceVersion
        }
    }

    @Test("another one changes, and the watch that waits share goes on", arguments: ["MODIFIED", "ADDED", "DELETED"])
    func sharedWatch(type: String) async throws {
        let script = Script(
            .response(200, list([claim("data", "5")], version: "7")),
            .lines([line(type, bad("other", "8")), line("MODIFIED", claim("data", "9", phase: "Bound"))])
        )
        let seen = await Client(transport: script).sharingReads(ofAllNamespaces: true) { client in
            do { return try await wait(client, named: "data") } catch { return "\(error)" }
        }
        #expect(seen == "9")
        #expect(script.requests.count { !$0.target.contains("watch=1") } == 1)
    }

    @Test("the one that is waited for becomes one, and the wait ends with its name", arguments: [true, false])
    func waitedFor(isShared: Bool) async throws {
        // The watch that waits share goes on meanwhile, and asks, too.
        let later = Array(repeating: Script.Answer.response(200, list([bad("data", "8")], version: "8")), count: 20)
        let script = Script(
            answers: [
                .response(200, list([claim("data", "5")], version: "7")), .lines([line("MODIFIED", bad("data", "8"))]),
            ] + later
        )
        let client = Client(transport: script)
        @Sendable func said(_ client: Client) async -> String {
            do { return try await wait(client, named: "data") } catch { return "\(error)" }
        }
        let error = isShared ? await client.sharingReads(ofAllNamespaces: true, said) : await said(client)
        #expect(error.contains("PersistentVolumeClaim shop/data can't be read: spec.accessModes"), "\(error)")
    }

    @Test("one of all that a wait looks at becomes one, and the wait ends with its name")
    func waitForAll() async throws {
        let script = Script(
            .response(200, list([claim("data", "5")], version: "7")),
            .lines([line("MODIFIED", bad("other", "8"))]),
            .response(200, list([claim("data", "5"), bad("other", "8")], version: "8"))
        )
        let error = await #expect(throws: APIError.self) { try await wait(script.client(), named: nil) }
        #expect(error?.message.contains("PersistentVolumeClaim shop/other can't be read") == true)
    }
}
