extension FixedWidthInteger {
    /// Returns the sum, or the nearest representable number. A manifest, a mover or a server may state any size, and
    /// none may end a run.
    public func addingSaturated(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}

extension Sequence where Element: FixedWidthInteger {
    /// Returns the sum of all, or the nearest representable number.
    public func sum() -> Element { reduce(0) { $0.addingSaturated($1) } }
}
