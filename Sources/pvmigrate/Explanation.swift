import Kubernetes
import Migration

/// An error on one line: what failed, why in the server's words, and what to do next.
///
/// - Parameter configuration: who was asked, where that is known.
func explanation(of error: any Error, asking configuration: Configuration?) -> String {
    let lines = "\(error)".split(whereSeparator: \.isNewline).map { String($0).onOneLine }.filter { !$0.isEmpty }
    let what = lines.joined(separator: "; ")
    guard let error = error as? APIError else { return what }
    return what + (advice(on: error, asking: configuration).map { "; \($0)" } ?? "")
}

private func advice(on error: APIError, asking configuration: Configuration?) -> String? {
    let server = configuration?.server ?? "the server"
    switch error.reason {
    case .unauthorized:
        let whose = configuration?.context.map { "of the context \"\($0)\"" } ?? "of the service account"
        return "the credentials \(whose) are not accepted: log in again, or choose another --context"
    case .forbidden: return "`pvmigrate rbac` prints all permissions that a run needs"
    case .unavailable where error.code == 0: return "is \(server) right, and can it be reached from here?"
    case .unavailable: return "run again when the server is well"
    // The message of a redirect asks this itself.
    case .protocolError where (300..<400).contains(error.code): return nil
    case .protocolError, .tooLarge, .notFound: return "is \(server) an API server of Kubernetes?"
    default: return nil
    }
}
