/// The scripts of movers: files beside this one, which the build puts into the program.
enum MoverScript {
    /// What of a file goes to the API server with each mover: all but the lines that only comment.
    static func text(_ file: [UInt8]) -> String {
        String(decoding: file, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.drop { $0 == " " }.hasPrefix("#") }
            .joined(separator: "\n")
    }
}
