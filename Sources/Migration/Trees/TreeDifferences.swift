import Kubernetes

/// What a dry run of rsync says that is still to be done, with a few examples of each. It takes line by line, so that a
/// tree of millions of files takes no room.
struct TreeDifferences: Sendable, Equatable {
    /// The entries that the target has not.
    private(set) var new = 0
    /// The entries that the target has otherwise, besides directories, whose times and modes may differ.
    private(set) var changed = Group()
    /// The directories that the target has otherwise.
    private(set) var directories = 0
    /// The entries that only the target has.
    private(set) var extra = Group()
    /// The size of the files that are to be transferred, holes included, in bytes.
    private(set) var bytes: Int64 = 0
    /// True when the dry run has said how much it looked at, which comes last.
    private(set) var isWhole = false

    /// Entries of one kind.
    struct Group: Sendable, Equatable {
        var count = 0
        /// The first of them.
        var names: [String] = []

        fileprivate mutating func add(_ name: Substring) {
            count += 1
            if names.count < 3 { names.append(String(name).shortened(to: 200)) }
        }

        /// `3 entries, such as a, b`
        var inWords: String {
            "\(count) \(count == 1 ? "entry" : "entries"), such as \(names.joined(separator: ", "))"
        }
    }

    var isEmpty: Bool { new == 0 && changed.count == 0 && directories == 0 && extra.count == 0 }
    /// The number of all.
    var count: Int { new + changed.count + directories + extra.count }

    /// Takes a line of the output.
    mutating func take(_ line: Substring) {
        if line.hasPrefix("*deleting") { return extra.add(line.dropFirst("*deleting".count).drop { $0 == " " }) }
        if line.hasPrefix("Number of files:") { isWhole = true }
        if line.hasPrefix("Total transferred file size:") {
            bytes = CopyStatistics(rsync: "Number of files: 0\n\(line)")?.transferredBytes ?? 0
        }
        let characters = Array(line.utf8.prefix(13))
        guard characters.count == 13, characters[11] == UInt8(ascii: " "), "<>ch.".utf8.contains(characters[0]),
            "fdLDS".utf8.contains(characters[1])
        else { return }
        if characters[2...10].allSatisfy({ $0 == UInt8(ascii: "+") }) {
            new += 1
        } else if characters[1] == UInt8(ascii: "d") {
            directories += 1
        } else {
            changed.add(line.dropFirst(12))
        }
    }
}

/// What may become of what is there already at the end that is written to.
public enum TreeTarget: String, Sendable {
    /// Nothing: it may hold only what it would hold anyway.
    case own
    /// It is added to, and what differs is overwritten.
    case merged
    /// It is made equal: what is only there is deleted.
    case replaced

    /// Returns why a target may not be written to; nil where it may.
    ///
    /// - Parameters:
    ///   - place: The target in words.
    ///   - source: The other end in words.
    func refusal(of found: TreeDifferences, at place: String, from source: String) -> String? {
        guard self == .own, found.extra.count + found.changed.count > 0 else { return nil }
        var what: [String] = []
        if found.extra.count > 0 { what.append("\(found.extra.inWords), which \(source) has not") }
        if found.changed.count > 0 { what.append("\(found.changed.inWords), which \(source) has otherwise") }
        return "\(place) is not empty: it holds \(what.joined(separator: "; and ")). --merge adds to it and overwrites "
            + "what differs; --replace makes it equal, and deletes what only it has"
    }
}
