extension FixedWidthInteger {
    /// The sum, or the number next to it that there is: sizes are what a manifest, a mover or a server says, and must end no
    /// run.
    public func addingSaturated(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}

extension Sequence where Element: FixedWidthInteger {
    /// All of them together, or the number next to that that there is.
    public func sum() -> Element { reduce(0) { $0.addingSaturated($1) } }
}
