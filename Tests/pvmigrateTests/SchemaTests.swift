import Kubernetes
import Testing

@Suite("JSON Schemas")
struct SchemaTests {
    private static let cleanup: JSON = ["exitCode": 0, "message": "done", "volumes": []]

    @Test("take what is printed")
    func valid() throws {
        #expect(try Schema(named: "cleanup").faults(of: Self.cleanup).isEmpty)
    }

    @Test(
        "name a key that is missing, of another type, unknown, or none of those that there are",
        arguments: [
            ("exitCode", nil, ".exitCode is missing"), ("exitCode", "0", ".exitCode is not of type"),
            ("other", 1, ".other is in no schema"),
            ("volumes", [["result": "lost"]], ".volumes[0].result is none of"),
            ("volumes", [["since": 3]], ".volumes[0].since is not of type"),
        ] as [(String, JSON?, String)]
    )
    func faults(key: String, value: JSON?, fault: String) throws {
        var object = Self.cleanup
        object[key] = value
        #expect(try Schema(named: "cleanup").faults(of: object).contains { $0.hasPrefix(fault) })
    }

    @Test("take an event for one of its type only")
    func events() throws {
        let event: JSON = [
            "v": 1, "type": "unit-ended", "seconds": .number(1.5), "unit": "x", "claims": [], "failed": false,
        ]
        #expect(try Schema(named: "events").faults(of: event).isEmpty)
        var other = event
        other["type"] = "unit-began"
        #expect(try !Schema(named: "events").faults(of: other).isEmpty)
    }
}
