import FoundationEssentials
import YAML

/// A file with one Kubernetes object, or a part of one, in YAML or JSON.
public enum ManifestFile {
    /// Reads the file as kubectl would.
    ///
    /// - Throws: `ConfigurationError` where it can't be read, or holds no single mapping.
    public static func read(_ path: String) throws(ConfigurationError) -> JSON {
        let file = LocalFile(path: path)
        let text: Data
        do throws(LocalFile.Failure) {
            text = try file.read()
        } catch {
            throw ConfigurationError(file: file.shown, message: error.message)
        }
        let documents: [YAMLValue]
        do throws(YAMLError) {
            documents = try YAMLValue.documents(in: text).filter { !$0.isNull }
        } catch {
            throw ConfigurationError(file: file.shown, line: error.line, column: error.column, message: error.message)
        }
        guard documents.count == 1, let document = documents.first, document.object != nil else {
            throw ConfigurationError(file: file.shown, message: "it must hold one manifest, and nothing else")
        }
        return JSON(document)
    }
}
