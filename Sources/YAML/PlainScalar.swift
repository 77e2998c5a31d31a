extension YAMLValue.Content {
    /// What a scalar without quotes means.
    ///
    /// The rules are those of `sigs.k8s.io/yaml` (its copy of go-yaml v2, `resolve.go`), so that a file means here what
    /// it means to kubectl: YAML 1.1 booleans, integers in four bases with underscores, and no base 60. Dates are text.
    init(plain text: String) {
        switch text {
        case "", "~", "null", "Null", "NULL": self = .null
        case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON": self = .bool(true)
        case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF": self = .bool(false)
        case ".nan", ".NaN", ".NAN": self = .number(.nan)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": self = .number(.infinity)
        case "-.inf", "-.Inf", "-.INF": self = .number(-.infinity)
        default: self = Self(number: text) ?? .string(text)
        }
    }

    private init?(number text: String) {
        guard let first = text.utf8.first, UInt8(ascii: "0")...UInt8(ascii: "9") ~= first || "+-.".utf8.contains(first)
        else { return nil }
        let digits = first == UInt8(ascii: ".") ? text : String(text.filter { $0 != "_" })
        if let (value, isWhole) = Self.integer(digits) {
            self = isWhole ? .integer(Int64(truncatingIfNeeded: value)) : .number(Double(value))
        } else if Self.isDecimal(digits), let value = Double(digits), value.isFinite {
            self = .number(value)
        } else {
            return nil
        }
    }

    /// An integer in base 2, 8, 10 or 16 as Go's `ParseInt(text, 0, 64)` reads it, and whether 64 bits hold it.
    private static func integer(_ text: String) -> (value: Int128, isWhole: Bool)? {
        var rest = Substring(text)
        let isNegative = rest.first == "-"
        if isNegative || rest.first == "+" { rest.removeFirst() }
        // Swift's initializer would take a second sign.
        guard let first = rest.first, first.isASCII, first.isNumber else { return nil }
        var radix = 10
        let prefix = rest.prefix(2).lowercased()
        if let based = ["0x": 16, "0o": 8, "0b": 2][prefix] {
            radix = based
            rest = rest.dropFirst(2)
        } else if rest.first == "0", rest.count > 1 {
            radix = 8
            rest = rest.dropFirst()
        }
        guard rest.first != "-", rest.first != "+", let magnitude = Int128(rest, radix: radix) else { return nil }
        let value = isNegative ? -magnitude : magnitude
        return (value, Int64(exactly: value) != nil)
    }

    /// Whether a text is `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`: Swift's `Double` would read more.
    private static func isDecimal(_ text: String) -> Bool {
        var rest = Substring(text)
        func skipDigits() -> Int {
            let count = rest.utf8.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }.count
            rest = rest.dropFirst(count)
            return count
        }
        func skip(_ characters: String) -> Bool {
            guard let first = rest.first, characters.contains(first) else { return false }
            rest.removeFirst()
            return true
        }
        _ = skip("+-")
        var count = skipDigits()
        if skip(".") {
            let isLeading = count == 0
            count += skipDigits()
            guard !isLeading || count > 0 else { return false }
        }
        guard count > 0 else { return false }
        if skip("eE") {
            _ = skip("+-")
            guard skipDigits() > 0 else { return false }
        }
        return rest.isEmpty
    }
}
