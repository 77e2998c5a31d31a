import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@Suite("The client")
struct ClientTests {
    private let name = ObjectName("data", in: "shop")

    @Test("a read is repeated after a server error and a broken connection")
    func readsAreRepeated() async throws {
        let script = Script(
            .response(503, status(503, "ServiceUnavailable", "starting")),
            .failure(TransportError(.interrupted, "connection reset")),
            .response(200, claim("data", "1"))
        )
        let found = try await script.client().get(PersistentVolumeClaim.self, name)
        #expect(found.metadata.name == "data")
        #expect(script.requests.count == 3)
    }

    @Test("a write whose effect is unknown is not repeated")
    func writesAreNotRepeated() async throws {
        for answer in [
            Script.Answer.failure(TransportError(.interrupted, "reset")),
            .response(500, status(500, "InternalError", "x")),
        ] {
            let script = Script(answer, .response(201, claim("data", "1")))
            await #expect(throws: APIError.self) {
                try await script.client().create(.claims, in: "shop", ["metadata": ["name": "data"]])
            }
            #expect(script.requests.count == 1)
        }
    }

    @Test("a write that was surely not looked at is repeated, after the pause that the server asks for")
    func retryAfter() async throws {
        let script = Script(
            .response(429, status(429, "TooManyRequests", "slow down"), headers: [("Retry-After", "7")]),
            .failure(TransportError(.notSent, "connection refused")),
            .response(201, claim("data", "1"))
        )
        _ = try await script.client().create(.claims, in: "shop", ["metadata": ["name": "data"]])
        #expect(script.requests.count == 3)
        #expect(script.elapsed >= .seconds(7))
    }

    @Test("repeats end, and the last failure is told in the server's words")
    func patience() async throws {
        let answers = (0..<1000).map { _ in Script.Answer.response(503, status(503, "ServiceUnavailable", "no leader"))
        }
        let long = Script(answers: answers)
        let error = await #expect(throws: APIError.self) {
            try await long.client(patience: .seconds(10)).get(PersistentVolumeClaim.self, name)
        }
        #expect(error?.message == "no leader")
        #expect(long.elapsed <= .seconds(10))
    }

    @Test("a list is read page by page, and from the beginning where its token expires")
    func pages() async throws {
        let script = Script(
            .response(200, list([claim("a", "1"), claim("b", "2")], version: "9", next: "t1")),
            .response(410, status(410, "Expired", "too old")),
            .response(200, list([claim("a", "1"), claim("b", "2")], version: "10", next: "t2")),
            .response(200, list([claim("c", "3")], version: "10"))
        )
        let claims = try await script.client().list(PersistentVolumeClaim.self, in: "shop")
        #expect(claims.map(\.metadata.name) == ["a", "b", "c"])
        #expect(script.requests[3].target.contains("continue=t2"))
    }

    @Test("a list whose pages are all the same is an error, and no list without end")
    func sameToken() async throws {
        let page = list([claim("a", "1"), claim("b", "2")], version: "9", next: "t1")
        let script = Script(answers: Array(repeating: .response(200, page), count: 100))
        let error = await #expect(throws: APIError.self) {
            try await script.client().list(PersistentVolumeClaim.self, in: "shop")
        }
        #expect(error?.message == "the server gives the same page of the list again and again")
        #expect(script.requests.count == 2)
    }

    @Test("a page of HTML, a cut answer and somebody else's JSON are errors, not empty lists")
    func strangeAnswers() async throws {
        for body in [
            "<html>Sign in</html>", "", "{\"kind\":\"PersistentVolumeClaimList\",\"metad", "{}", "[]",
            "{\"kind\":\"PodList\",\"metadata\":{},\"items\":[]}",
        ] {
            let script = Script(.text(200, body))
            let error = await #expect(throws: APIError.self) {
                try await script.client().list(PersistentVolumeClaim.self, in: "shop")
            }
            #expect(error?.reason == .protocolError)
            #expect(error?.description.contains("\n") == false)
        }
    }

    @Test("warnings of the server reach the caller")
    func warnings() async throws {
        let heard = Mutex<[String]>([])
        let script = Script(
            .response(
                200,
                claim("data", "1"),
                headers: [("Warning", "299 - \"v1 is \\\"old\\\"\""), ("warning", "299 - \"two\"")]
            )
        )
        _ = try await script.client { text in heard.withLock { $0.append(text) } }.get(PersistentVolumeClaim.self, name)
        #expect(heard.withLock { $0 } == ["v1 is \"old\"", "two"])
    }

    @Test("a delete names the UID, and one that finds nothing is no failure")
    func deletes() async throws {
        let script = Script(.response(404, status(404, "NotFound", "not found")))
        let found = try await script.client().delete(.claims, name, uid: "u1")
        #expect(!found)
        let body = try JSON(parsing: try #require(script.requests[0].body))
        #expect(body[path: ["preconditions", "uid"]] == "u1")
    }
}

@Suite("Waiting by watch")
struct WatchTests {
    private func wait(_ script: Script, limit: Duration = .seconds(30)) async throws -> String {
        try await wait(script.client(), limit: limit)
    }

    private func wait(_ client: Client, limit: Duration = .seconds(30)) async throws -> String {
        try await client.wait(
            for: PersistentVolumeClaim.self,
            in: "shop",
            named: "data",
            limit: limit,
            what: "data to be Bound"
        ) { snapshot in
            guard let claim = snapshot.object(named: "data"), claim.phase == .bound else { return nil }
            return claim.metadata.resourceVersion
        }
    }

    @Test("what the list shows already needs no watch")
    func list() async throws {
        let script = Script(.response(200, page([claim("data", "5", phase: "Bound")], "5")))
        #expect(try await wait(script) == "5")
        #expect(script.requests.count == 1)
    }

    @Test("the watch goes on from the list, over bookmarks and an orderly end")
    func goesOn() async throws {
        let script = Script(
            .response(200, page([claim("data", "5")], "7")),
            .lines([line("BOOKMARK", ["kind": "PersistentVolumeClaim", "metadata": ["resourceVersion": "11"]])]),
            .lines([line("MODIFIED", claim("data", "12", phase: "Bound"))])
        )
        #expect(try await wait(script, limit: .seconds(300)) == "12")
        #expect(script.requests[1].target.contains("resourceVersion=7"))
        #expect(script.requests[2].target.contains("resourceVersion=11"))
    }

    @Test("a watch that lost its place lists anew")
    func expired() async throws {
        let script = Script(
            .response(200, page([claim("data", "5")], "7")),
            .lines([line("ERROR", status(410, "Expired", "too old resource version"))]),
            .response(200, page([claim("data", "20", phase: "Bound")], "21"))
        )
        #expect(try await wait(script) == "20")
    }

    @Test("a line that was cut in two is taken as never sent")
    func cut() async throws {
        let whole = line("MODIFIED", claim("data", "9", phase: "Bound"))
        let script = Script(
            .response(200, page([claim("data", "5")], "7")),
            .lines([String(whole.prefix(40))], then: TransportError(.interrupted, "reset")),
            .lines([whole])
        )
        #expect(try await wait(script, limit: .seconds(300)) == "9")
        #expect(script.requests[2].target.contains("resourceVersion=7"))
    }

    @Test("a deleted object is gone from what the wait sees")
    func deleted() async throws {
        let script = Script(
            .response(200, page([claim("data", "5")], "7")),
            .lines([line("DELETED", claim("data", "8"))])
        )
        let gone = try await script.client().wait(
            for: PersistentVolumeClaim.self,
            in: "shop",
            limit: .seconds(30),
            what: "data to go"
        ) { $0.objects.isEmpty ? true : nil }
        #expect(gone)
    }

    @Test("what a shared watch tells of the time before the list is not taken for news")
    func older() async throws {
        let script = Script(
            .response(200, page([claim("data", "7")], "7")),
            .lines([
                line("MODIFIED", claim("data", "6", phase: "Bound")), line("MODIFIED", claim("data", "8")),
                line("MODIFIED", claim("data", "12", phase: "Bound")),
            ])
        )
        let seen = await Client(transport: script).sharingReads(ofAllNamespaces: true) { client in
            // By a real clock: other tests may keep all processors busy meanwhile.
            do { return try await wait(client, limit: .seconds(3600)) } catch { return "\(error)" }
        }
        #expect(seen == "12")
    }

    @Test("a wait ends at its limit and says what it waited for")
    func limit() async throws {
        let answers: [Script.Answer] =
            [.response(200, page([claim("data", "5")], "7"))]
            + (0..<50).map { _ in .lines([], then: TransportError(.interrupted, "silent")) }
        let script = Script(answers: answers)
        let error = await #expect(throws: WaitTimeout.self) { _ = try await wait(script, limit: .seconds(90)) }
        #expect(error?.description == "waited 90 s for data to be Bound")
        #expect(script.elapsed < .seconds(200))
    }

    private func page(_ items: [JSON], _ version: String) -> JSON {
        [
            "kind": "PersistentVolumeClaimList", "metadata": ["resourceVersion": .string(version)],
            "items": .array(items),
        ]
    }
}

@Suite("Quantities")
struct QuantityTests {
    @Test(
        "amounts are compared by value",
        arguments: [
            ("1Gi", 1_073_741_824), ("1024Mi", 1_073_741_824), ("1G", 1_000_000_000), ("1.5Gi", 1_610_612_736),
            ("128974848", 128_974_848), ("129e6", 129_000_000), ("500m", 1), ("0", 0),
            ("1E", 1_000_000_000_000_000_000), ("+1e-3", 1), ("1n", 1), ("0.07k", 70), ("1.0000000001k", 1001),
            ("9007199254740993", 9_007_199_254_740_993), ("9223372036854775807", .max), ("0e2147483648", 0),
            ("1e99", .max), ("1e-99", 1), ("9999999Ei", .max), ("999999999999999999999Ei", .max),
            ("0.0000000000000000000000000001Ei", 1), ("12345678901234567890123456789e-10", 1_234_567_890_123_456_790),
        ]
    )
    func amounts(text: String, bytes: Int64) { #expect(Quantity(text)?.bytes == bytes) }

    @Test(
        "what is no amount is none",
        arguments: [
            "", "Gi", "1GiB", "-1", "1Zi", "1 Gi", "0x10", "nan", "inf", ".", "1.2.3", "1e", "1e+", "1e1.5",
            "1e9999999999999999999",
            "+-1", "1,000", "١",
        ]
    )
    func nonsense(text: String) { #expect(Quantity(text) == nil) }
}
