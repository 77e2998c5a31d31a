import Testing

@testable import Migration

@Suite("Damaged output of rsync")
struct RsyncFuzzTests {
    private static let sample = """
        sending incremental file list
        ./
        .d..t...... ./
        >f+++++++++ a b
        cL+++++++++ link -> target
        *deleting   old
              1,048,576 100%   12.34MB/s    0:00:00 (xfr#1, to-chk=0/3)\r\

        Number of files: 1,234 (reg: 1,000, dir: 234)
        Number of created files: 2 (reg: 1, dir: 1)
        Number of deleted files: 0
        Number of regular files transferred: 1
        Total file size: 9,223,372,036,854,775,807 bytes
        Total transferred file size: 1,048,576 bytes
        rsync: [generator] chown "/dest/a" failed: Operation not permitted (1)
        rsync: [receiver] rsync_xal_set: lsetxattr(""/dest/b"","user.c") failed: Operation not supported (95)
        rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1333)

        """
    private static let mutator = Mutator(
        samples: [sample],
        words: [
            "Number of files:", "Total file size:", ">f", "*deleting   ", ": ", "rsync: ", "ACL",
            "not supported on this", " ",
        ]
    )

    @Test("never gives statistics that are no amounts, nor pages of complaints")
    func statistics() async throws {
        try await fuzz("rsync's output", Self.mutator) { input in
            let output = String(decoding: input, as: UTF8.self)
            if let found = CopyStatistics(rsync: output) {
                let least = min(
                    found.totalBytes,
                    found.transferredBytes,
                    Int64(found.files ?? -1),
                    Int64(found.transferredFiles)
                )
                try hold(least >= 0, "\(found)")
            }
            let complaints = MoverExit.complaints(in: output)
            try hold(complaints.count <= 8, "\(complaints.count) lines of complaints")
            try hold(complaints.allSatisfy { $0.utf8.count < 5000 }, "a complaint of \(complaints.map(\.utf8.count))")
            try hold(!complaints.contains { $0.contains(where: \.isNewline) }, "a line end in a complaint")
            _ = MoverExit.advice(output: output)
            if let reduced = MoverExit.unsupported(in: output, flags: RsyncFlags()) {
                try hold(reduced != RsyncFlags(), "nothing is unsupported")
            }
        }
    }

    /// A copy that is not complete must never pass for one.
    @Test(
        "never hides an entry that is still to transfer",
        arguments: [">f+++++++++ name", "*deleting   name", ".d..t...... a"]
    )
    func differences(item: String) async throws {
        try await fuzz("rsync's items", Self.mutator) { input in
            let middle = input.count / 2
            let (before, after) = (input[..<middle], input[middle...])
            let output = String(decoding: before + Array("\n\(item)\n".utf8) + after, as: UTF8.self)
            try hold(RsyncDifferences(in: output).lines.contains { $0 == item }, "\(item) is not among the differences")
        }
    }
}
