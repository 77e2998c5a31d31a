internal import CLibyaml

extension YAMLValue {
    /// The largest text that is read, in bytes.
    static let maximumSize = 16 << 20
    /// How deep sequences and mappings may be nested.
    static let maximumDepth = 100
    /// How many directives a text may have, such as `%TAG`: libyaml compares each with all before it.
    static let maximumDirectives = 100
    /// How many nodes a text may have in all, which take far more memory than their text.
    static let maximumNodes = 1_000_000
    /// How many nodes aliases may add in all ("billion laughs").
    static let maximumAliased = 100_000

    /// Reads a stream of YAML documents; JSON text is YAML too.
    ///
    /// Aliases and merge keys (`<<`) are replaced with what they stand for. An empty stream has no documents, an empty
    /// document is null.
    ///
    /// - Throws: `YAMLError` where the text is no YAML, has a key twice, a tag other than those of the core types, or is
    ///   larger, deeper or more often aliased than anything that a person writes.
    public static func documents(in text: some Sequence<UInt8>) throws(YAMLError) -> [YAMLValue] {
        let bytes = Array(text)
        guard bytes.count <= maximumSize else {
            throw YAMLError(message: "the text is larger than \(maximumSize >> 20) MiB", line: 1, column: 1)
        }
        try check(directivesOf: bytes)
        var composer = try Composer(bytes)
        return try composer.documents()
    }

    private static func check(directivesOf bytes: [UInt8]) throws(YAMLError) {
        // The last bytes of all line ends of YAML, in UTF-8 and UTF-16.
        let lineEnds: [UInt8] = [0x0A, 0x0D, 0x85, 0xA8, 0xA9, 0x00]
        var directives = 0
        for index in bytes.indices.dropFirst() where bytes[index] == UInt8(ascii: "%") {
            if lineEnds.contains(bytes[index - 1]) { directives += 1 }
            guard directives <= maximumDirectives else {
                let line = bytes[..<index].count { $0 == UInt8(ascii: "\n") } + 1
                throw YAMLError(
                    message: "the text has more than \(maximumDirectives) directives",
                    line: line,
                    column: 1
                )
            }
        }
    }
}

/// One event of libyaml, freed with its owner.
private struct Event: ~Copyable {
    var raw: yaml_event_t

    var type: yaml_event_type_t { raw.type }
    var line: Int { raw.start_mark.line + 1 }
    var column: Int { raw.start_mark.column + 1 }

    func error(_ message: String) -> YAMLError {
        YAMLError(message: message, line: line, column: column)
    }

    /// Without the tag itself, which may be a secret that was to be in quotes.
    var unsupportedTag: YAMLError {
        error("this tag is not supported here; a text that begins with ! needs quotes")
    }

    deinit {
        // The free function takes a pointer to mutable memory; it is the last to look at it.
        var raw = raw
        yaml_event_delete(&raw)
    }
}

/// libyaml's parser over a text, which it only borrows: both live and die with this object.
private struct Parser: ~Copyable {
    /// libyaml keeps pointers into this, so it must not move.
    private let raw: UnsafeMutablePointer<yaml_parser_t>
    private let text: UnsafeMutableBufferPointer<UInt8>

    init(_ bytes: [UInt8]) throws(YAMLError) {
        let raw = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        raw.initialize(to: yaml_parser_t())
        guard yaml_parser_initialize(raw) == 1 else {
            raw.deallocate()
            throw YAMLError(message: "out of memory", line: 1, column: 1)
        }
        self.raw = raw
        text = .allocate(capacity: bytes.count)
        _ = text.initialize(from: bytes)
        yaml_parser_set_input_string(raw, text.baseAddress, text.count)
    }

    deinit {
        yaml_parser_delete(raw)
        raw.deallocate()
        text.deallocate()
    }

    mutating func next() throws(YAMLError) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(raw, &event) == 1 else { throw failure }
        return Event(raw: event)
    }

    /// What libyaml says is wrong.
    private var failure: YAMLError {
        let parser = raw.pointee
        let problem = parser.problem.map { String(cString: $0) } ?? "out of memory"
        if parser.error == YAML_READER_ERROR {
            // The reader knows a place in bytes only.
            let before = text.prefix(parser.problem_offset)
            let line = before.filter { $0 == UInt8(ascii: "\n") }.count + 1
            let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? before.startIndex
            let column = String(decoding: before[lineStart...], as: UTF8.self).unicodeScalars.count + 1
            return YAMLError(message: problem, line: line, column: column)
        }
        let context = parser.context.map { context in
            let start = parser.context_mark
            return "\(String(cString: context)) from \(start.line + 1):\(start.column + 1): "
        }
        return YAMLError(
            message: (context ?? "") + problem,
            line: parser.problem_mark.line + 1,
            column: parser.problem_mark.column + 1
        )
    }
}

/// Makes trees out of events.
private struct Composer: ~Copyable {
    private struct Anchored {
        var value: YAMLValue
        var nodes: Int
    }

    private var parser: Parser
    private var anchors: [String: Anchored] = [:]
    /// The nodes so far, those behind aliases counted each time. A long text counts as several.
    private var nodes = 0
    private var aliased = 0

    init(_ bytes: [UInt8]) throws(YAMLError) {
        parser = try Parser(bytes)
    }

    mutating func documents() throws(YAMLError) -> [YAMLValue] {
        var documents: [YAMLValue] = []
        while true {
            let event = try parser.next()
            switch event.type {
            case YAML_STREAM_END_EVENT:
                return documents
            case YAML_DOCUMENT_START_EVENT:
                anchors = [:]
                documents.append(try node(from: try parser.next(), depth: 0))
            default:
                // The start of the stream and the ends of documents say nothing more.
                continue
            }
        }
    }

    private mutating func node(from event: consuming Event, depth: Int) throws(YAMLError) -> YAMLValue {
        guard depth < YAMLValue.maximumDepth else {
            throw event.error("nested deeper than \(YAMLValue.maximumDepth) levels")
        }
        let before = nodes
        nodes += 1
        guard nodes <= YAMLValue.maximumNodes else {
            throw event.error("the text has more than \(YAMLValue.maximumNodes) values")
        }
        let anchor: String?
        var value = YAMLValue(content: .null, line: event.line, column: event.column, isPlain: false)
        switch event.type {
        case YAML_ALIAS_EVENT:
            return try resolve(alias: event)
        case YAML_SCALAR_EVENT:
            let scalar = event.raw.data.scalar
            anchor = string(scalar.anchor)
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            nodes += text.utf8.count / 100
            value.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
            switch string(scalar.tag) {
            case nil: value.content = value.isPlain ? .init(plain: text) : .string(text)
            case "!", YAML_STR_TAG: value.content = .string(text)
            default: throw event.unsupportedTag
            }
        case YAML_SEQUENCE_START_EVENT:
            anchor = string(event.raw.data.sequence_start.anchor)
            try check(tag: event.raw.data.sequence_start.tag, is: YAML_SEQ_TAG, of: event)
            value.content = .array(try elements(depth: depth))
        case YAML_MAPPING_START_EVENT:
            anchor = string(event.raw.data.mapping_start.anchor)
            try check(tag: event.raw.data.mapping_start.tag, is: YAML_MAP_TAG, of: event)
            value.content = .object(try members(depth: depth))
        default:
            throw event.error("a value was expected here")
        }
        if let anchor { anchors[anchor] = Anchored(value: value, nodes: nodes - before) }
        return value
    }

    private mutating func resolve(alias event: borrowing Event) throws(YAMLError) -> YAMLValue {
        let name = string(event.raw.data.alias.anchor) ?? ""
        // A node is anchored when it is complete, so none can hold itself.
        guard let anchored = anchors[name] else {
            // Not by its name, which may be a secret that was to be in quotes.
            throw event.error("this alias stands for nothing before it; a text that begins with * needs quotes")
        }
        nodes += anchored.nodes
        aliased += anchored.nodes
        guard aliased <= YAMLValue.maximumAliased else {
            throw event.error("the aliases stand for more than \(YAMLValue.maximumAliased) values")
        }
        var value = anchored.value
        (value.line, value.column) = (event.line, event.column)
        return value
    }

    private mutating func elements(depth: Int) throws(YAMLError) -> [YAMLValue] {
        var elements: [YAMLValue] = []
        while true {
            let event = try parser.next()
            if event.type == YAML_SEQUENCE_END_EVENT { return elements }
            elements.append(try node(from: event, depth: depth + 1))
        }
    }

    private mutating func members(depth: Int) throws(YAMLError) -> [YAMLValue.Member] {
        var members: [YAMLValue.Member] = []
        var keys: Set<String> = []
        var merged: [YAMLValue.Member] = []
        while true {
            let event = try parser.next()
            if event.type == YAML_MAPPING_END_EVENT { break }
            let key = try node(from: event, depth: depth + 1)
            let value = try node(from: try parser.next(), depth: depth + 1)
            if key.isPlain, key.string == "<<" {
                merged += try mergeable(value)
                continue
            }
            let name = try self.key(key)
            guard keys.insert(name).inserted else {
                throw YAMLError(
                    message: "the key \"\(name.prefix(100))\" comes twice",
                    line: key.line,
                    column: key.column
                )
            }
            members.append(YAMLValue.Member(key: name, line: key.line, column: key.column, value: value))
        }
        // A mapping's own keys win over merged ones, and earlier merged ones over later.
        members += merged.filter { keys.insert($0.key).inserted }
        return members
    }

    private func mergeable(_ value: YAMLValue) throws(YAMLError) -> [YAMLValue.Member] {
        if let members = value.object { return members }
        var members: [YAMLValue.Member] = []
        for element in value.array ?? [value] {
            guard let more = element.object else {
                throw YAMLError(
                    message: "only a mapping, or a list of mappings, can be merged with <<",
                    line: element.line,
                    column: element.column
                )
            }
            members += more
        }
        return members
    }

    /// A key as text: JSON has no other keys, so numbers and booleans become their text, as in `sigs.k8s.io/yaml`.
    private func key(_ value: YAMLValue) throws(YAMLError) -> String {
        switch value.content {
        case .string(let text): return text
        case .bool(let bool): return bool ? "true" : "false"
        case .integer(let integer): return "\(integer)"
        case .number(let number): return "\(number)"
        case .null, .array, .object:
            throw YAMLError(message: "only a scalar can be a key", line: value.line, column: value.column)
        }
    }

    private func check(
        tag: UnsafeMutablePointer<yaml_char_t>?,
        is expected: String,
        of event: borrowing Event
    ) throws(YAMLError) {
        guard let tag = string(tag), tag != expected, tag != "!" else { return }
        throw event.unsupportedTag
    }

    private func string(_ characters: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        characters.map { String(cString: $0) }
    }
}
