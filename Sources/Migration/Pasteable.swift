import Kubernetes

extension String {
    /// True of an object's name, or of NAMESPACE/NAME, as Kubernetes wants names (RFC 1123): nothing in it means anything
    /// to a shell, and none begins like a flag.
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

/// A command for a person to paste, where the names in it can be names.
///
/// Annotations, labels and owner references say whatever their author likes. Names of objects that were read need no such
/// check: the API server takes no others.
///
/// - Parameter names: those in it that are not of an object that was read.
/// - Returns: the command, or in its place that there is none and why.
func pasteable(_ command: String, names: [String]) -> String {
    guard let wrong = names.first(where: { !$0.isObjectName }) else { return command }
    return "no command is given, since \"\(wrong.shortened(to: 60))\" is no name of an object"
}
