import Kubernetes

extension String {
    /// True where the text is an object's name, or NAMESPACE/NAME, as Kubernetes defines names (RFC 1123). A shell
    /// reads nothing in it, and it does not begin like a flag.
    var isObjectName: Bool {
        let parts = split(separator: "/", omittingEmptySubsequences: false)
        return parts.count <= 2
            && parts.allSatisfy { part in
                part.first != "-" && part.first != "." && !part.isEmpty
                    && part.unicodeScalars.allSatisfy {
                        ("a"..."z").contains($0) || ("0"..."9").contains($0) || $0 == "-" || $0 == "."
                    }
            }
    }
}

/// Returns a command for a person to paste, where the names in it are valid.
///
/// Annotations, labels and owner references contain whatever their author wrote. Names of objects that were read need
/// no such check, because the API server accepts no others.
///
/// - Parameter names: The names in the command that are not of an object that was read.
/// - Returns: The command, or else a phrase that there is none, with the reason.
func pasteable(_ command: String, names: [String]) -> String {
    guard let wrong = names.first(where: { !$0.isObjectName }) else { return command }
    return "no command is given, since \"\(wrong.shortened(to: 60))\" is no name of an object"
}
