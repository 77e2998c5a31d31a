import FoundationEssentials
import Kubernetes

extension TimeSource {
    /// The time of day by this machine's clock.
    var timeOfDay: Date { Date(timeIntervalSince1970: epoch) + now().inSeconds }
}

/// The time of day when the machine's time source stood at zero.
private let epoch = Date().timeIntervalSince1970 - TimeSource.continuous.now().inSeconds

extension Duration {
    fileprivate var inSeconds: TimeInterval {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

extension Date {
    /// Reads a time as the API writes it (RFC 3339), with or without decimals; nil where it is none.
    init?(api text: String) {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: text.contains("."))
        do { self = try style.parse(text) } catch { return nil }
    }
}
