import FoundationEssentials
import YAML

/// A part of a kubeconfig, which knows where it stands.
struct KubeconfigNode {
    var value: YAMLValue
    var file: LocalFile

    /// Where the node begins, for messages: `FILE:LINE:COLUMN`.
    var place: String { "\(file.path):\(value.line):\(value.column)" }

    /// One that says nothing; the files are for messages.
    static func empty(in paths: [String]) -> KubeconfigNode {
        KubeconfigNode(value: .emptyMapping, file: LocalFile(path: paths.joined(separator: ":")))
    }

    func error(_ message: String) -> ConfigurationError {
        ConfigurationError(file: file.path, line: value.line, column: value.column, message: message)
    }

    /// The value of a key; nil where there is none, or null.
    func child(_ key: String) throws(ConfigurationError) -> KubeconfigNode? {
        guard value.object != nil else { throw error("a mapping was expected here, not \(value.kind)") }
        guard let child = value[key], !child.isNull else { return nil }
        return KubeconfigNode(value: child, file: file)
    }

    /// The text of a key; nil where there is none, or it is empty, which Go does not tell apart.
    func string(_ key: String) throws(ConfigurationError) -> String? {
        guard let child = try child(key) else { return nil }
        let text = try child.text(key)
        return text.isEmpty ? nil : text
    }

    func bool(_ key: String) throws(ConfigurationError) -> Bool {
        guard let child = try child(key) else { return false }
        guard let bool = child.value.bool else { throw child.error("\(key) must be true or false") }
        return bool
    }

    /// The elements of a key that has a list; none where there is no such key.
    func elements(_ key: String) throws(ConfigurationError) -> [KubeconfigNode] {
        guard let child = try child(key) else { return [] }
        guard let elements = child.value.array else {
            throw child.error("\(key) must be a list, not \(child.value.kind)")
        }
        return elements.map { KubeconfigNode(value: $0, file: file) }
    }

    func strings(_ key: String) throws(ConfigurationError) -> [String] {
        var strings: [String] = []
        for element in try elements(key) { strings.append(try element.text("an element of \(key)")) }
        return strings
    }

    /// The text of this node; `name` is for the message.
    func text(_ name: String) throws(ConfigurationError) -> String {
        if let text = value.string { return text }
        let hint = value.isPlain && !value.isNull ? "; put it in quotes" : ""
        throw error("\(name) must be a string, not \(value.kind)\(hint)")
    }

    /// PEM text that is here in base64 (`KEY-data`, which wins) or in the file that `KEY` names.
    func pem(_ key: String) throws(ConfigurationError) -> Data? {
        if let encoded = try string("\(key)-data"), let child = try child("\(key)-data") {
            // Line breaks are no part of it, as for Go's decoder.
            guard let data = Data(base64Encoded: encoded.filter { !$0.isNewline }) else {
                throw child.error("\(key)-data is not valid base64")
            }
            guard data.isPEM else { throw child.error("\(key)-data holds no PEM text") }
            return data
        }
        guard let path = try string(key), let child = try child(key) else { return nil }
        let named = LocalFile(path: file.resolve(path))
        do throws(LocalFile.Failure) {
            let data = try named.read()
            guard data.isPEM else { throw LocalFile.Failure(message: "it holds no PEM text") }
            return data
        } catch {
            throw child.error("\(key) \(named.shown) cannot be used: \(error.message)")
        }
    }
}

extension Data {
    var isPEM: Bool { firstRange(of: "-----BEGIN ".utf8) != nil }
}

extension YAMLValue {
    /// What this is, for messages; never its text, which may be a secret.
    var kind: String {
        switch content {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .number: "a number"
        case .string: "a string"
        case .array: "a list"
        case .object: "a mapping"
        }
    }
}

extension JSON {
    init(_ value: YAMLValue) {
        switch value.content {
        case .null: self = .null
        case .bool(let bool): self = .bool(bool)
        case .integer(let integer): self = .integer(integer)
        // JSON has no infinity; Go refuses to write one too.
        case .number(let number): self = number.isFinite ? .number(number) : .null
        case .string(let string): self = .string(string)
        case .array(let elements): self = .array(elements.map(JSON.init))
        case .object(let members):
            self = .object(
                Dictionary(members.map { ($0.key, JSON($0.value)) }, uniquingKeysWith: { first, _ in first })
            )
        }
    }
}
