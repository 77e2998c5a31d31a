/// The chosen numbers of a StatefulSet's pods.
public struct Ordinals: Sendable, Equatable {
    private var ranges: [ClosedRange<Int32>]

    /// Reads `0-2,5`; nil for anything else.
    public init?(_ text: String) {
        ranges = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Self.number($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last else {
                return nil
            }
            ranges.append(first...last)
        }
    }

    /// Reads a number as Kubernetes writes ordinals: without a sign, and without zeros before it.
    static func number(_ text: some StringProtocol) -> Int32? {
        guard let number = Int32(text), number >= 0, "\(number)" == text else { return nil }
        return number
    }

    func contains(_ ordinal: Int32) -> Bool { ranges.contains { $0.contains(ordinal) } }

    /// The chosen numbers that are not among some others, as far as a few tell.
    func missing(in others: Set<Int32>) -> [Int32] {
        ranges.flatMap { $0.lazy.filter { !others.contains($0) }.prefix(5) }
    }
}
