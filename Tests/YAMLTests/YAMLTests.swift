import Testing
import YAML

func read(_ text: String) throws -> YAMLValue {
    try #require(try YAMLValue.documents(in: text.utf8).first)
}

func failure(_ text: some Sequence<UInt8>) -> String {
    do throws(YAMLError) {
        let documents = try YAMLValue.documents(in: text)
        return "read as \(documents)"
    } catch {
        return error.description
    }
}

@Suite("A YAML text")
struct YAMLTests {
    @Test(
        "has plain scalars as sigs.k8s.io/yaml reads them",
        arguments: [
            ("~", .null), ("null", .null), ("NULL", .null), ("nUll", .string("nUll")),
            ("true", .bool(true)), ("Yes", .bool(true)), ("on", .bool(true)), ("y", .bool(true)),
            ("false", .bool(false)), ("NO", .bool(false)), ("off", .bool(false)), ("yES", .string("yES")),
            ("0", .integer(0)), ("-12", .integer(-12)), ("+7", .integer(7)), ("1_000", .integer(1000)),
            ("0755", .integer(493)), ("0o17", .integer(15)), ("0xFF", .integer(255)), ("-0b101", .integer(-5)),
            ("08", .number(8)), ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("18446744073709551616", .number(0x1p64)), ("+-1", .string("+-1")),
            ("0x-1", .string("0x-1")), ("-a", .string("-a")), ("1.5", .number(1.5)), (".5", .number(0.5)),
            ("1.", .number(1)), ("-1e3", .number(-1000)), ("1e+2", .number(100)), (".", .string(".")),
            ("1e", .string("1e")), ("1e999", .string("1e999")), (".inf", .number(.infinity)),
            ("-.Inf", .number(-.infinity)), ("inf", .string("inf")), ("nan", .string("nan")),
            ("1:30", .string("1:30")), ("2001-12-14", .string("2001-12-14")), ("v1", .string("v1")),
            ("1.2.3", .string("1.2.3")), ("0x1p3", .string("0x1p3")), ("٣", .string("٣")),
        ] as [(String, YAMLValue.Content)]
    )
    func plainScalars(text: String, content: YAMLValue.Content) throws {
        let value = try #require(try read("value: \(text)")["value"])
        #expect(value.content == content)
        #expect(value.isPlain)
    }

    @Test("keeps quoted, literal and folded scalars as text")
    func quotedScalars() throws {
        let value = try read("a: \"yes\"\nb: '12'\nc: |\n  null\n  x\nd: >-\n  one\n  two\ne: !!str 0x10\nf: ''\n")
        #expect(value["a"]?.string == "yes")
        #expect(value["a"]?.isPlain == false)
        #expect(value["b"]?.string == "12")
        #expect(value["c"]?.string == "null\nx\n")
        #expect(value["d"]?.string == "one two")
        #expect(value["e"]?.string == "0x10")
        #expect(value["f"]?.string == "")
    }

    @Test("can be JSON, with tabs, escapes and no white space")
    func json() throws {
        let value = try read("{\"a\":[1,2.5,\"\\u00e9\\n\\/\",null,true],\n\t\"b\":{\"c\":{}},\"empty\":[]}")
        #expect(value["a"]?.array?.map(\.content) == [.integer(1), .number(2.5), .string("é\n/"), .null, .bool(true)])
        #expect(value["b"]?["c"]?.object == [])
        #expect(value["empty"]?.array == [])
    }

    @Test("gives each node's line and column, counted from 1 in characters")
    func places() throws {
        let value = try read("# a comment\nname: x\nlist:\n  - é: [1, two]\n")
        let list = try #require(value["list"]?.array)
        #expect([list[0].line, list[0].column] == [4, 5])
        let inner = try #require(list[0].object?.first)
        #expect([inner.line, inner.column] == [4, 5])
        let two = try #require(inner.value.array?.last)
        #expect([two.line, two.column] == [4, 12])
    }

    @Test("may hold several documents, or none")
    func documents() throws {
        let several = try YAMLValue.documents(in: "a: 1\n---\n- 2\n---\n...\n".utf8)
        #expect(several.count == 3)
        #expect(several.last?.isNull == true)
        #expect(try YAMLValue.documents(in: "# nothing\n".utf8).isEmpty)
        #expect(try YAMLValue.documents(in: "".utf8).isEmpty)
        #expect(try YAMLValue.documents(in: "\u{FEFF}a: 1".utf8).first?["a"]?.integer == 1)
    }

    @Test("has aliases and merge keys replaced by what they stand for")
    func aliases() throws {
        let value = try read("base: &b {x: 1, z: [2]}\nsame: *b\nmore:\n  <<: *b\n  x: 3\nboth:\n  <<: [{x: 8}, *b]\n")
        #expect(value["same"]?["z"]?.array?.first?.integer == 2)
        #expect(value["more"]?["x"]?.integer == 3)
        #expect(value["more"]?["z"]?.array?.count == 1)
        #expect(value["both"]?["x"]?.integer == 8)
    }

    @Test("has the text of numbers and booleans as keys, as JSON would")
    func keys() throws {
        let value = try read("1: a\nyes: b\n\"no\": c\n")
        #expect(value.object?.map(\.key) == ["1", "true", "no"])
    }

    @Test(
        "that is broken gives one line with its place",
        arguments: [
            ("a: \"open", "1:9: while scanning a quoted scalar from 1:4: found unexpected end of stream"),
            (
                "a: 1\n\tb: 2",
                "2:1: while scanning a plain scalar from 1:4: found a tab character that violates indentation"
            ),
            ("a: 1\nb: 2\na: 3", "3:1: the key \"a\" comes twice"),
            ("a: [1, 2", "2:1: while parsing a flow sequence from 1:4: did not find expected ',' or ']'"),
            ("a: b: c", "1:5: mapping values are not allowed in this context"),
            ("a: *b", "1:4: this alias stands for nothing before it; a text that begins with * needs quotes"),
            ("a: &a [*a]", "1:8: this alias stands for nothing before it; a text that begins with * needs quotes"),
            ("a: !!python/object x", "1:4: this tag is not supported here; a text that begins with ! needs quotes"),
            ("? [a]\n: b", "1:3: only a scalar can be a key"),
            ("<<: 3", "1:5: only a mapping, or a list of mappings, can be merged with <<"),
            ("a: \u{7}", "1:4: control characters are not allowed"),
            ("@", "1:1: while scanning for the next token from 1:1: found character that cannot start any token"),
        ]
    )
    func broken(text: String, message: String) {
        #expect(failure(text.utf8) == message)
    }

    @Test("that is no UTF-8 gives the place of the bad byte")
    func invalidUTF8() {
        #expect(failure(Array("a: 1\né: ".utf8) + [0xFF]) == "2:4: invalid leading UTF-8 octet")
        #expect(failure(Array("x: ".utf8) + [0xC3]).hasPrefix("1:4: "))
    }

    @Test("that is too deep, too large or an alias bomb is refused")
    func bounds() {
        #expect(failure(Array(repeating: UInt8(ascii: "["), count: 100_000)).contains("nested deeper than 100 levels"))
        #expect(failure(Array(repeating: UInt8(ascii: "a"), count: 17 << 20)).contains("larger than 16 MiB"))
        let many = Array("[".utf8) + Array(repeating: Array("a,".utf8), count: 1_000_001).joined()
        #expect(failure(many).contains("the text has more than 1000000 values"))
        let directives = (1...102).map { "%TAG !a\($0)! b\n" }.joined()
        #expect(failure(directives.utf8) == "102:1: the text has more than 100 directives")
        let texts = "a: &a \(String(repeating: "x", count: 1 << 20))\nb: [\(String(repeating: "*a,", count: 100))]"
        #expect(failure(texts.utf8).contains("the aliases stand for more than 100000 values"))
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...20 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ",")
            bomb += "a\(level): &a\(level) [\(aliases)]\n"
        }
        #expect(failure(bomb.utf8).contains("the aliases stand for more than 100000 values"))
    }
}
