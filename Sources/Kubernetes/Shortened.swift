extension String {
    /// The text as a message can quote it: at most so many characters, where need be with an ellipsis at the end.
    public func shortened(to limit: Int) -> String {
        // Scalars, since what a person takes for one character may have any number of them.
        guard let end = unicodeScalars.index(startIndex, offsetBy: limit, limitedBy: endIndex), end < endIndex else {
            return self
        }
        return self[..<end] + "…"
    }
}
