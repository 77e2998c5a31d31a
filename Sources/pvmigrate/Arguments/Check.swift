import Kubernetes
import Migration

/// The checks of single values.
enum Check {
    static func notEmpty(_ text: String?, _ flag: String) throws(UsageError) -> String? {
        if text == "" { throw UsageError("\(flag) is empty") }
        return text
    }

    /// Source and destination class, as far as they are given.
    static func classNames(
        _ source: String?,
        _ destination: String?
    ) throws(UsageError) -> (source: String?, destination: String?) {
        for (text, flag) in [(source, "--source-sc"), (destination, "--dest-sc")] {
            guard let text = try notEmpty(text, flag) else { continue }
            guard isName(text, limit: 253, dots: true) else {
                throw UsageError("\(flag) \"\(text)\" is not the name of a StorageClass")
            }
        }
        if let source, source == destination {
            throw UsageError("--source-sc and --dest-sc are both \"\(source)\"; they must differ")
        }
        return (source, destination)
    }

    /// `NAMESPACE/NAME`
    static func claim(_ text: String, _ flag: String) throws(UsageError) -> ObjectName {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, isName(parts[0], limit: 63, dots: false), isName(parts[1], limit: 253, dots: true)
        else {
            throw UsageError("\(flag) \"\(text)\" is not a claim's NAMESPACE/NAME")
        }
        return ObjectName(parts[1], in: parts[0])
    }

    /// `NAMESPACE/NAME`
    static func statefulSet(_ text: String, _ flag: String) throws(UsageError) -> ObjectName {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, isName(parts[0], limit: 63, dots: false), isName(parts[1], limit: 253, dots: true)
        else {
            throw UsageError("\(flag) \"\(text)\" is not a StatefulSet's NAMESPACE/NAME")
        }
        return ObjectName(parts[1], in: parts[0])
    }

    /// A directory as an absolute path.
    static func directory(_ path: String) throws(UsageError) -> String {
        do {
            return try Folder.absolute(path)
        } catch {
            throw UsageError("the directory \"\(path)\" can't be used: \(error)")
        }
    }

    /// Names that are separated by commas, or given one by one.
    static func namespaces(_ lists: [String], _ flag: String) throws(UsageError) -> Set<String> {
        if lists.contains("") { throw UsageError("\(flag) is empty; leave it out for all namespaces") }
        let names = lists.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        for name in names where !isName(name, limit: 63, dots: false) {
            throw UsageError("\(flag) \"\(name)\" is not the name of a namespace")
        }
        return Set(names)
    }

    static func namespace(_ name: String, _ flag: String) throws(UsageError) -> String {
        guard isName(name, limit: 63, dots: false) else {
            throw UsageError("\(flag) \"\(name)\" is not the name of a namespace")
        }
        return name
    }

    /// Reads what names objects: `secrets`, `Secret/pw`, `elasticsearches.elasticsearch.k8s.elastic.co`.
    static func objectChoice(_ text: String, _ flag: String) throws(UsageError) -> ObjectChoice {
        guard let choice = ObjectChoice(text) else {
            throw UsageError("\(flag) takes KIND, KIND/NAME or PLURAL.GROUP, not \"\(text)\"")
        }
        return choice
    }

    /// Reads what names one object: `deployment/web`, `kafkas.kafka.strimzi.io/main`.
    static func awaited(_ text: String) throws(UsageError) -> ObjectChoice {
        guard let choice = ObjectChoice(text), choice.name != nil else {
            throw UsageError("--wait-for takes KIND/NAME or PLURAL.GROUP/NAME, not \"\(text)\"")
        }
        return choice
    }

    /// `OLD=NEW`
    static func classMapping(_ text: String) throws(UsageError) -> (old: String, new: String) {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts.allSatisfy({ isName($0, limit: 253, dots: true) }) else {
            throw UsageError("--class \"\(text)\" is not of the form OLD=NEW, with the names of two StorageClasses")
        }
        return (parts[0], parts[1])
    }

    static func percentage(_ text: String?) throws(UsageError) -> Percentage? {
        guard let text else { return nil }
        guard let percentage = Percentage(text) else {
            throw UsageError("--dest-size must be a percentage from 1% to 1000%, such as 120%, not \"\(text)\"")
        }
        return percentage
    }

    static func copyFrom(_ text: String) throws(UsageError) -> CopyFrom {
        guard let source = CopyFrom(rawValue: text) else {
            let all = CopyFrom.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError("--copy-from must be one of \(all), not \"\(text)\"")
        }
        return source
    }

    static func image(_ text: String, _ flag: String = "--rsync-image") throws(UsageError) -> String {
        if text.isEmpty { throw UsageError("\(flag) is empty") }
        guard text.allSatisfy({ $0.isASCII && !$0.isWhitespace && $0 > " " }), !text.hasPrefix("-") else {
            throw UsageError("\(flag) \"\(text)\" is not the name of an image")
        }
        return text
    }

    /// One list is split at its commas; several are one flag each.
    static func rsyncFlags(_ lists: [String]) throws(UsageError) -> [String] {
        let flags =
            lists.count == 1
            ? (lists.first ?? "").split(separator: ",").map { String($0.trimmingPrefix(while: \.isWhitespace)) } : lists
        let real = flags.filter { !$0.isEmpty }
        // Later ones may be the value of the flag before: `-e,ssh`.
        if let first = real.first, !first.hasPrefix("-") {
            throw UsageError("--rsync-flags \"\(first)\" is no flag of rsync: it must begin with a dash")
        }
        return real
    }

    static func requestsPerSecond(_ number: Int) throws(UsageError) -> Int {
        guard 1...10_000 ~= number else { throw UsageError("--qps must be from 1 to 10000, not \(number)") }
        return number
    }

    static func parallel(_ number: Int, _ flag: String) throws(UsageError) -> Int {
        guard 1...64 ~= number else { throw UsageError("\(flag) must be from 1 to 64, not \(number)") }
        return number
    }

    static func verification(_ text: String) throws(UsageError) -> Options.Verification {
        guard let verification = Options.Verification(rawValue: text) else {
            throw UsageError("--verify must be none, quick or checksum, not \"\(text)\"")
        }
        return verification
    }

    /// A number of bytes: `50M`, `1.5G`; of binary units, as rsync has them.
    static func bandwidth(_ text: String?, with options: Options) throws(UsageError) -> Int64? {
        guard let text else { return nil }
        let units: [Character: Double] = ["K": 1024, "M": 1_048_576, "G": 1_073_741_824]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." }), let number = Double(digits),
            (65_536...1e15).contains(number * (unit ?? 1))
        else {
            throw UsageError(
                "--bandwidth-limit must be bytes a second, 64K or more, such as 50M or 1.5G, not \"\(text)\""
            )
        }
        if options.rsyncFlags.contains(where: { $0.hasPrefix("--bwlimit") }) {
            throw UsageError("--bandwidth-limit and a --bwlimit in --rsync-flags exclude each other")
        }
        if let streams = options.streams, streams > 1 {
            throw UsageError("--bandwidth-limit and --streams exclude each other: only rsync keeps to a limit")
        }
        return Int64(number * (unit ?? 1))
    }

    /// A number of seconds, or with a unit as Go writes it: `90`, `90s`, `2m`, `1h`.
    static func duration(_ text: String, _ flag: String) throws(UsageError) -> Duration {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard let number = digits.allSatisfy({ $0.isASCII && $0.isNumber }) ? Int(digits) : nil,
            (1...1_000_000).contains(number)
        else {
            throw UsageError("\(flag) must be a duration such as 10s or 2m, not \"\(text)\"")
        }
        return .seconds(number * (unit ?? 1))
    }

    static func moverTemplate(_ path: String?) throws(UsageError) -> MoverTemplate? {
        guard let path = try notEmpty(path, "--mover-template") else { return nil }
        let manifest: JSON
        do {
            manifest = try ManifestFile.read(path)
        } catch {
            throw UsageError("--mover-template cannot be used: \(error)")
        }
        do {
            return try MoverTemplate(manifest)
        } catch {
            throw UsageError("--mover-template \(path): \(error)")
        }
    }

    static func pause(_ text: String) throws(UsageError) -> Pause {
        guard let pause = Pause(text) else {
            throw UsageError(
                #"--pause "\(text)" is not of the form KIND/NAME=PATCH with a JSON object as the patch, "#
                    + #"such as 'Kafka/main={"spec":{"pause":true}}'"#
            )
        }
        return pause
    }

    /// The limit keeps sums of times far from overflowing; nobody waits for eleven days.
    static func seconds(_ number: Int, _ flag: String) throws(UsageError) -> Duration {
        guard (1...1_000_000).contains(number) else {
            throw UsageError("\(flag) must be a whole number of seconds from 1 to 1000000, not \(number)")
        }
        return .seconds(number)
    }

    /// A DNS label, or a subdomain (RFC 1123), as Kubernetes wants names.
    private static func isName(_ text: String, limit: Int, dots: Bool) -> Bool {
        guard text.utf8.count <= limit else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            !label.isEmpty && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
                }
        } && (dots || !text.contains("."))
    }
}
