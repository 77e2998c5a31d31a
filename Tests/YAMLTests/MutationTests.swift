import Testing
import YAML

/// A small generator with a seed (SplitMix64), so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite("Damaged YAML")
struct MutationTests {
    private static let sample = """
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

        """

    /// The text is either read or refused with a place inside of it.
    private func check(_ bytes: [UInt8], seed: UInt64) {
        do throws(YAMLError) {
            _ = try YAMLValue.documents(in: bytes)
        } catch {
            let lines = bytes.count + 2
            #expect(1...lines ~= error.line && error.column >= 1 && !error.message.isEmpty, "seed \(seed)")
        }
    }

    @Test("never crashes the reader, whatever bytes it has")
    func randomBytes() {
        let alphabet = Array("[]{}&*!|>'\"%@`#:-?,<~ab01.\n\t \\".utf8)
        for seed in UInt64(0)..<3000 {
            var random = SeededGenerator(state: seed)
            let bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in
                seed.isMultiple(of: 2)
                    ? UInt8.random(in: 0...255, using: &random) : alphabet.randomElement(using: &random) ?? 0
            }
            check(bytes, seed: seed)
        }
    }

    @Test("never crashes the reader, whatever was changed in a good text")
    func mutations() throws {
        let sample = Array(Self.sample.utf8)
        #expect(try YAMLValue.documents(in: sample).count == 2)
        for seed in UInt64(0)..<3000 {
            var random = SeededGenerator(state: seed)
            var bytes = sample
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(sample.randomElement(using: &random) ?? 0, at: place)
                default: bytes.removeSubrange(place..<min(place + 20, bytes.count - 1))
                }
            }
            check(bytes, seed: seed)
        }
    }
}
