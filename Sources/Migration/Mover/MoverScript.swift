/// The scripts of movers: files beside this one, which the build puts into the program.
enum MoverScript {
    /// Returns the part of a file that is sent with each mover: all lines except comments.
    static func text(_ file: [UInt8]) -> String {
        String(decoding: file, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.drop { $0 == " " }.hasPrefix("#") }
            .joined(separator: "\n")
    }
}
