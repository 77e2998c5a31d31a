import Foundation
import Kubernetes
import Testing

@Suite("JSON")
struct JSONTests {
    @Test(
        "keeps what it was made from",
        arguments: [
            ("-9223372036854775808", .integer(.min)), ("9223372036854775807", .integer(.max)),
            ("9223372036854775808", .number(0x1p63)), ("1e3", .integer(1000)), ("-0.0", .integer(0)),
            ("1.5", .number(1.5)), ("1e300", .number(1e300)), ("5e-324", .number(.leastNonzeroMagnitude)),
            (#""\u0000""#, "\0"),
            (#""e\u0301""#, "e\u{301}"), (#""\ud83d\ude00""#, "😀"), ("{\"\":{}}", ["": [:]]),
            ("[" + String(repeating: "[", count: 99) + String(repeating: "]", count: 99) + "]", nil),
        ] as [(String, JSON?)]
    )
    func values(text: String, expected: JSON?) throws {
        let value = try JSON(parsing: Data(text.utf8))
        if let expected { #expect(value == expected) }
        #expect(try JSON(parsing: value.text) == value)
    }

    @Test(
        "that is none is refused",
        arguments: [
            "", "nul", "1e999", "-1e999", "01", "+1", ".5", "1.", "NaN", "Infinity", "'a'", "{\"a\"}", "{a:1}",
            #""\ud800""#, #""\udc00\ud800""#, "\"a\nb\"", "\"\0\"", "1 2", "// 1",
            String(repeating: "[", count: 101) + String(repeating: "]", count: 101),
            String(repeating: "{\"a\":", count: 200_000), String(repeating: "9", count: 400),
        ]
    )
    func broken(text: String) {
        #expect(throws: (any Error).self) { try JSON(parsing: Data(text.utf8)) }
    }

    @Test("that is no UTF-8 is refused", arguments: [[0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xFF], [0xE2, 0x82]])
    func notUTF8(bytes: [UInt8]) {
        #expect(throws: (any Error).self) { try JSON(parsing: Data([0x22] + bytes + [0x22])) }
    }
}
