import FoundationEssentials
import Synchronization

/// The secrets that requests have carried, so that nobody repeats what a server or a proxy echoes of them.
final class SentSecrets: Sendable {
    /// Anything shorter may well be a part of other words.
    private static let shortest = 8

    private let known: Mutex<Set<String>>

    init(proxy: Secret<String>?) {
        guard let url = proxy.flatMap({ URLComponents(string: $0.value) }), let password = url.password else {
            known = Mutex([])
            return
        }
        let pair = Data("\(url.user ?? ""):\(password)".utf8).base64EncodedString()
        known = Mutex([password, url.percentEncodedPassword ?? password, pair])
    }

    /// Takes down what is secret in the headers of a request.
    func note(_ headers: Secret<[Credentials.Header]>) {
        for header in headers.value where header.name == "Authorization" {
            guard let space = header.value.firstIndex(of: " ") else { continue }
            let credential = String(header.value[header.value.index(after: space)...])
            known.withLock { known in
                guard known.insert(credential).inserted, header.value.hasPrefix("Basic ") else { return }
                let pair = String(decoding: Data(base64Encoded: credential) ?? Data(), as: UTF8.self)
                known.insert(String(pair.drop { $0 != ":" }.dropFirst()))
            }
        }
    }

    /// A text without them.
    func removed(from text: String) -> String {
        known.withLock { $0 }.filter { $0.utf8.count >= Self.shortest }.sorted { $0.utf8.count > $1.utf8.count }
            .reduce(text) { $0.replacing($1, with: "(secret)") }
    }
}
