import Kubernetes

// What comes from a cluster may hold any characters: names of custom resources, words of servers, annotations, file names.
// Whatever goes to a terminal or into a log passes here.

extension Unicode.Scalar {
    /// True of what steers a terminal, begins a new line in the eyes of some programs, or changes the order in which text
    /// is shown.
    fileprivate var isControl: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: properties.isBidiControl
        }
    }
}

extension String {
    /// With a question mark for each control character but line ends.
    var withoutControls: String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar {
            case "\n": result.append(scalar)
            case "\t": result.append(" ")
            default: result.append(scalar.isControl ? "?" : scalar)
            }
        }
        return String(result)
    }

    /// With line ends and other white space folded into single spaces, and no control characters.
    var onOneLine: String { split(whereSeparator: \.isWhitespace).joined(separator: " ").withoutControls }
}

extension JSON {
    /// As JSON text on a line of its own, which keeps every character and shows none that steers a terminal.
    var line: String {
        var result = String.UnicodeScalarView()
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            guard scalar.isControl else {
                result.append(scalar)
                continue
            }
            // Only strings hold them, and none of them needs more than 16 bits.
            let digits = String(scalar.value, radix: 16)
            result.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).unicodeScalars)
        }
        return String(result) + "\n"
    }
}

extension Surroundings {
    /// The same, with nothing that steers a terminal in what is written, whoever writes it.
    var withoutControls: Surroundings {
        var safe = self
        safe.output = { [output] in output($0.withoutControls) }
        safe.errors = { [errors] in errors($0.withoutControls) }
        return safe
    }
}
