extension String {
    /// The text as a message can quote it: at most so many characters, where need be with an ellipsis at the end.
    public func shortened(to limit: Int) -> String {
        guard let end = index(startIndex, offsetBy: limit, limitedBy: endIndex), end < endIndex else { return self }
        return self[..<end] + "…"
    }
}
