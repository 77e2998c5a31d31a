import Testing
import YAML

@Suite("Damaged YAML")
struct YAMLFuzzTests {
    private static let mutator = Mutator(
        samples: [
            """
            %YAML 1.1
            --- # comment
            apiVersion: v1
            clusters: &c
            - cluster: {server: "https://a.example.com", insecure-skip-tls-verify: yes}
              name: 'a'
            users: [*c, {<<: {a: 0x1F}}, !!str 12, ~, -1.5e3]
            ? key
            : |
              literal
            folded: >-
              one
              two
            ...
            --- {"json": ["\\u00e9", null]}

            """,
            "a: &a [x, x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: {<<: {a: 1}, <<: [{b: 2}, {c: 3}], d: *b}\n",
            "- 0755\n- 0o17\n- 1_000\n- .inf\n- 2001-12-14\n- !!map {}\n- !!seq []\n- \"a\\\n  b\"\n",
        ],
        words: [
            "[", "]", "{", "}", "&a ", "*a", "!!str ", "!", "|", ">", "'", "\"", "%", "@", "`", "#", ": ", "- ", "? ",
            ",", "<<: ", "~", "---\n", "...\n", "\t", "  ", "\\", "a",
        ]
    )

    @Test("is read, or refused with a place in it")
    func damaged() async throws {
        try await fuzz("YAML", Self.mutator) { input in
            do throws(YAMLError) {
                _ = try YAMLValue.documents(in: input)
            } catch {
                try hold(1...input.count + 2 ~= error.line, "the line is \(error.line)")
                try hold(1...input.count + 2 ~= error.column, "the column is \(error.column)")
                try hold(!error.message.isEmpty && error.message.utf8.count < 500, "the message is \(error.message)")
            }
        }
    }
}
