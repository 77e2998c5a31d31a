import Kubernetes
import Testing

/// Text that somebody writes into an owner reference or an annotation comes to the API server as a name or not at all.
@Suite("Paths")
struct PathTests {
    static let notWords = [
        "", ".", "..", "a/b", "a%2Fb", "a?x=", "a#b", "a b", "A", "ä", "a\n", "a\u{0}", "a_b", "../../api/v1", "%2e%2e",
        "v1%2Fnamespaces%2Ftenant?x=",
    ]
    static let notNames = ["", ".", "..", "a/b", "a%2Fb", "a?b", "a#b", "a b", "a\u{a0}b", "a\n", "a\u{0}", "a\u{7f}"]

    @Test("a group, a version and a plural that can't be one are refused", arguments: notWords)
    func words(text: String) {
        let resources = [
            APIResource(group: text, version: "v1", kind: "Roller", plural: "rollers"),
            APIResource(group: "example.com", version: text, kind: "Roller", plural: "rollers"),
            APIResource(group: "example.com", version: "v1", kind: "Roller", plural: text),
        ]
        // Without a group it is the core group.
        for resource in resources where !(text.isEmpty && resource.group.isEmpty) {
            let error = #expect(throws: APIError.self) { try resource.path(namespace: "shop") }
            #expect(error?.reason == .invalid)
        }
    }

    @Test("a namespace that can't be one is refused", arguments: notNames)
    func namespaces(text: String) {
        let error = #expect(throws: APIError.self) { try APIResource.pods.path(namespace: text) }
        #expect(error?.reason == .invalid)
    }

    @Test("what the API allows in names is let through", arguments: ["data", "system:node:a", "a..b", "_", "ä", "a@b"])
    func allowed(text: String) async throws {
        let script = Script(.response(404, status(404, "NotFound", "not found")))
        _ = try await script.client().find(PersistentVolumeClaim.self, ObjectName(text, in: "shop"))
        #expect(
            script.requests.map(\.target) == ["/api/v1/namespaces/shop/persistentvolumeclaims/\(text)"]
        )
    }

    /// Every way to ask for something by a text of somebody's.
    @Test("no request is made for a name that can't be one", arguments: notNames)
    func names(text: String) async {
        let script = Script()
        let client = script.client()
        for name in [ObjectName(text, in: "shop"), ObjectName("data", in: text)] {
            await expectInvalid { _ = try await client.get(PersistentVolumeClaim.self, name) }
            await expectInvalid { _ = try await client.find(PersistentVolumeClaim.self, name) }
            await expectInvalid { try await client.patch(.claims, name, .merge([:])) }
            await expectInvalid { try await client.delete(.claims, name, uid: "u") }
            await expectInvalid { _ = try await client.log(of: name, container: "c", tail: 1) }
        }
        await expectInvalid { _ = try await client.list(PersistentVolumeClaim.self, in: text) }
        await expectInvalid { try await client.create(.claims, in: text, ["metadata": ["name": "data"]]) }
        #expect(script.requests.isEmpty)
    }

    @Test("no request is made for a subresource that can't be one", arguments: notWords.filter { $0 != "a/b" })
    func subresources(text: String) async {
        let script = Script()
        await expectInvalid {
            _ = try await script.client().get(.pods, ObjectName("web", in: "shop"), subresource: "scale/\(text)")
        }
        #expect(script.requests.isEmpty)
    }

    @Test(
        "nothing is discovered of an API version that can't be one",
        arguments: notWords.filter { $0 != "a/b" } + notWords.map { "example.com/\($0)" } + ["a/b/c"]
    )
    func discovery(apiVersion: String) async throws {
        let script = Script()
        await expectInvalid { _ = try await script.client().served("Roller", apiVersion) }
        let owner: JSON = ["apiVersion": .string(apiVersion), "kind": "Roller", "name": "db", "uid": "u"]
        #expect(try await script.client().exists(owner: owner, in: "shop") == false)
        #expect(script.requests.isEmpty)
    }

    @Test("an owner is the one of that name in that namespace, and no other that has its UID")
    func owner() async throws {
        let kinds: JSON = [
            "resources": [["name": "rollers", "kind": "Roller", "namespaced": true]]
        ]
        let script = Script(
            .response(200, kinds),
            .response(200, ["metadata": ["name": "db", "namespace": "shop", "uid": "other"]])
        )
        let owner: JSON = ["apiVersion": "example.com/v1", "kind": "Roller", "name": "db", "uid": "u"]
        #expect(try await script.client().exists(owner: owner, in: "shop") == false)
        #expect(
            script.requests.map(\.target) == [
                "/apis/example.com/v1", "/apis/example.com/v1/namespaces/shop/rollers/db",
            ]
        )
    }

    private func expectInvalid(
        _ location: SourceLocation = #_sourceLocation,
        _ ask: () async throws -> Void
    ) async {
        let error = await #expect(throws: APIError.self, sourceLocation: location) { try await ask() }
        #expect(error?.reason == .invalid, sourceLocation: location)
    }
}
