import FoundationEssentials
import Kubernetes

@testable import ClusterSimulator

/// What single recordings need beside their exchanges.
enum Scenarios {
    /// Sets up what was there before the recording began.
    static func prepare(_ name: String, _ cluster: inout Cluster) throws {
    }

    /// The request of an exchange with the simulator's names, and who sends it.
    static func request(
        for exchange: Transcript.Exchange,
        _ index: Int,
        _ scenario: String,
        _ names: NameMap
    ) -> (Request, User) {
        var request = Request(Request.Method(rawValue: exchange.method) ?? .get, names.text(exchange.path))
        if let type = exchange.contentType { request.headers.append(("Content-Type", type)) }
        if var body = exchange.body.map({ names.value($0) }) {
            expand(&body)
            // The recorder noted a later change of the same object: the answer shows the name that was sent.
            if scenario == "default_class", exchange.method == "POST", let sent = exchange.answer?.name {
                body[path: ["metadata", "name"]] = .string(sent)
            }
            request.body = body.compactText
        }
        switch exchange.note {
        case "unknown bearer token":
            request.headers.append(("Authorization", "Bearer unknown"))
            return (request, .anonymous)
        case "no credentials": return (request, .anonymous)
        default: break
        }
        // The recorder went on with the service account's token here.
        if scenario == "access_review", index >= 5 {
            return (
                request,
                User(
                    "system:serviceaccount:rec:default",
                    groups: ["system:serviceaccounts", "system:serviceaccounts:rec", "system:authenticated"]
                )
            )
        }
        return (request, .admin)
    }

    /// Writes out what the recording abbreviates: `(300000 times x)`.
    private static func expand(_ value: inout JSON) {
        switch value {
        case .object(let members):
            for (key, member) in members {
                var changed = member
                expand(&changed)
                value[key] = changed
            }
        case .string(let text) where text.hasPrefix("(") && text.hasSuffix(")") && text.contains(" times "):
            let words = text.dropFirst().dropLast().split(separator: " ")
            if words.count == 3, let count = Int(words[0]) {
                value = .string(String(repeating: String(words[2]), count: count))
            }
        default: break
        }
    }
}
