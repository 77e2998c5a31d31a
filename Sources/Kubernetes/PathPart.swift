/// What a path may be put together from.
///
/// Kinds and names come out of owner references and annotations too, which anybody may have written: with a slash or dots
/// a path would be that of other objects, and without a name that of all.
enum PathPart {
    /// A group, a version, a plural or a subresource: `[a-z0-9.-]+`.
    static func word(_ text: String, of what: String) throws(APIError) -> String {
        try checked(text, of: what) { ("a"..."z").contains($0) || ("0"..."9").contains($0) || $0 == "." || $0 == "-" }
    }

    /// The name of an object or a namespace: what the API allows (`IsValidPathSegmentName`), less what means something
    /// else in a URL, and what can't be seen.
    static func name(_ text: String, of what: String) throws(APIError) -> String {
        try checked(text, of: what) {
            !$0.properties.isWhitespace && $0.properties.generalCategory != .control
                && !["/", "%", "?", "#"].contains($0)
        }
    }

    private static func checked(
        _ text: String,
        of what: String,
        _ isAllowed: (Unicode.Scalar) -> Bool
    ) throws(APIError) -> String {
        guard !["", ".", ".."].contains(text), text.unicodeScalars.allSatisfy(isAllowed) else {
            throw APIError(
                reason: .invalid,
                request: what,
                message: "\"\(text.shortened(to: 100))\" can't be a part of a path",
                code: 0
            )
        }
        return text
    }
}
