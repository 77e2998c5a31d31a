/// A resource quantity that can be added up and written in its canonical form (apimachinery's `resource.Quantity`).
///
/// The client's own `Quantity` keeps the text as it came; a server rewrites `1024Mi` to `1Gi`.
struct Amount: Comparable, Sendable, CustomStringConvertible {
    enum Format { case decimal, binary, exponent }

    private var nano: Int128
    private var format: Format

    static let zero = Amount(0)

    init(_ whole: Int) {
        nano = Int128(whole) * 1_000_000_000
        format = .decimal
    }

    init?(_ text: String) {
        var rest = Substring(text)
        let negative = rest.first == "-"
        if negative || rest.first == "+" { rest.removeFirst() }
        let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = String(rest.dropFirst(number.count))
        let halves = number.split(separator: ".", omittingEmptySubsequences: false)
        guard halves.count <= 2, number.contains(where: \.isNumber), number.count < 24 else { return nil }
        let fraction = halves.count == 2 ? String(halves[1].prefix(12)) : ""
        guard var mantissa = Int128(String(halves[0]) + fraction) else { return nil }
        if negative { mantissa = -mantissa }
        var scale = -fraction.count
        let binary = ["Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60]
        let decimal = ["": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18]
        if let bits = binary[suffix] {
            format = .binary
            guard Self.multiply(&mantissa, by: Int128(1) << Int128(bits)) else { return nil }
        } else if let power = decimal[suffix] {
            format = .decimal
            scale += power
        } else if let first = suffix.first, "eE".contains(first), let power = Int(suffix.dropFirst()), abs(power) < 19 {
            format = .exponent
            scale += power
        } else {
            return nil
        }
        // In billionths, rounded up as Kubernetes does.
        scale += 9
        for _ in 0..<max(0, scale) where !Self.multiply(&mantissa, by: 10) { return nil }
        for _ in 0..<max(0, -scale) { mantissa = mantissa / 10 + (mantissa % 10 > 0 ? 1 : 0) }
        nano = mantissa
    }

    /// Multiplies, unless the product is too large.
    private static func multiply(_ value: inout Int128, by factor: Int128) -> Bool {
        let (product, overflow) = value.multipliedReportingOverflow(by: factor)
        // Sums of a great many amounts must fit too.
        guard !overflow, product.magnitude < UInt128(1) << 110 else { return false }
        value = product
        return true
    }

    var description: String {
        let one: Int128 = 1_000_000_000
        if nano == 0 { return "0" }
        if format == .binary, nano % one == 0, abs(nano) >= 1024 * one {
            var value = nano / one
            let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
            var index = 0
            while value % 1024 == 0, index < suffixes.count - 1 {
                value /= 1024
                index += 1
            }
            return "\(value)\(suffixes[index])"
        }
        var value = nano
        let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]
        var index = 0
        while value % 1000 == 0, index < suffixes.count - 1 {
            value /= 1000
            index += 1
        }
        if format == .exponent, index != 3 { return "\(value)e\((index - 3) * 3)" }
        return "\(value)\(suffixes[index])"
    }

    var isNegative: Bool { nano < 0 }

    static func == (left: Amount, right: Amount) -> Bool { left.nano == right.nano }
    static func < (left: Amount, right: Amount) -> Bool { left.nano < right.nano }

    static func + (left: Amount, right: Amount) -> Amount {
        var sum = left
        sum.nano += right.nano
        // The first amount that is not zero decides how the sum is written.
        if left.nano == 0 { sum.format = right.format }
        return sum
    }
}
