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

/// Makes inputs for a parser: noise, words of its language in any order, and good inputs that were damaged.
struct Mutator: Sendable {
    /// Good inputs.
    var samples: [[UInt8]]
    /// What the language is made of, and what is hard in it.
    var words: [[UInt8]]

    init(samples: [String], words: [String]) {
        self.samples = samples.map { Array($0.utf8) }
        self.words = (words + Self.hardTexts + Self.hardNumbers).map { Array($0.utf8) } + Self.hardBytes
    }

    private static let hardTexts = [
        "\0", "\r\n", "\r", "\n", "\u{FEFF}", "\u{2028}", "\u{85}", "\u{7F}", "\u{1B}[31m", "e\u{301}", "é", "😀", "٣",
        "\\ud800", "\\udc00\\ud800", "\\u0000",
    ]
    private static let hardNumbers = [
        "0", "-0", "-0.0", "-1", "00", "1e3", "1e999", "-1e999", "1E+2147483648", "1e-2147483649", "1e400", "5e-324",
        "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "-9223372036854775809", "18446744073709551616", "340282366920938463463374607431768211456",
        "0.1", "1.", ".5", "1,234,567", "1.7976931348623157e308", "0x7FFFFFFFFFFFFFFF", "NaN", "Infinity",
        String(repeating: "9", count: 400),
    ]
    /// An overlong slash, a lone surrogate, a byte too few, one too many, and what no UTF-8 has.
    private static let hardBytes: [[UInt8]] = [
        [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0x80], [0xFF], [0xF4, 0x90, 0x80, 0x80],
    ]

    /// The input of a number, always the same.
    func input(_ number: Int) -> [UInt8] {
        var random = SeededGenerator(state: UInt64(number))
        switch number % 8 {
        case 0:
            return (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        case 1:
            return (0..<Int.random(in: 0...40, using: &random)).flatMap { _ in word(&random) }
        default:
            var bytes = samples.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...6, using: &random) { change(&bytes, &random) }
            return bytes
        }
    }

    private func word(_ random: inout SeededGenerator) -> [UInt8] { words.randomElement(using: &random) ?? [] }

    private func change(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return bytes = word(&random) }
        let place = Int.random(in: 0..<bytes.count, using: &random)
        let end = min(bytes.count, place + Int.random(in: 1...40, using: &random))
        switch Int.random(in: 0..<10, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case 2: bytes.removeSubrange(place..<end)
        case 3: bytes.removeSubrange(place...)
        case 4, 5: bytes.insert(contentsOf: word(&random), at: place)
        case 6: bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0..<bytes.count, using: &random))
        case 7:
            let count = Int.random(in: 0..<20, using: &random) == 0 ? 600 : 3
            bytes.insert(contentsOf: Array(repeating: bytes[place..<end], count: count).joined(), at: place)
        case 8:
            guard let other = samples.randomElement(using: &random), !other.isEmpty else { return }
            bytes.replaceSubrange(place..<end, with: other[Int.random(in: 0..<other.count, using: &random)...])
        default: replaceNumber(in: &bytes, from: place, with: &random)
        }
    }

    /// Puts another number in the place of the next one.
    private func replaceNumber(in bytes: inout [UInt8], from place: Int, with random: inout SeededGenerator) {
        func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        guard let first = bytes[place...].firstIndex(where: isDigit) else { return }
        let end = bytes[first...].firstIndex { !isDigit($0) } ?? bytes.endIndex
        bytes.replaceSubrange(first..<end, with: (Self.hardNumbers.randomElement(using: &random) ?? "").utf8)
    }
}
