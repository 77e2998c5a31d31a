import Testing

@testable import Kubernetes

@Suite("Damaged quantities")
struct QuantityFuzzTests {
    private static let mutator = Mutator(
        samples: ["16Mi", "1.5G", "128974848", "129e6", "0.5Gi", "-1", "1Zi", "999999999999999999999Ei", "100m", "1E"],
        words: [
            "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e", "+", "-", ".", "i",
        ]
    )

    @Test("are refused, or have an amount that is the same when it was written and read again")
    func damaged() async throws {
        try await fuzz("Quantities", Self.mutator) { input in
            guard let quantity = Quantity(String(decoding: input, as: UTF8.self)) else { return }
            try hold(quantity.bytes >= 0, "the amount is \(quantity.bytes)")
            try hold(Quantity(quantity.text) == quantity, "its own text is another amount")
            let written = Quantity(String(quantity.bytes))
            try hold(written == quantity, "\(quantity.bytes) is read again as \(written?.bytes ?? -1)")
            // A thousand is three digits more, wherever they are written.
            if let tail = quantity.text.utf8.last, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(tail),
                !quantity.text.contains(where: { "eE".contains($0) })
            {
                let (left, right) = (Quantity(quantity.text + "k"), Quantity(quantity.text + "e3"))
                try hold(left == right, "with k it is \(left?.bytes ?? -1), with e3 \(right?.bytes ?? -1)")
            }
        }
    }
}
