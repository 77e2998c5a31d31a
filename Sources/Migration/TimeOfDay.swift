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
    /// Reads a time in the API's format (RFC 3339), with or without decimals; nil for other text.
    init?(api text: String) {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: text.contains("."))
        do { self = try style.parse(text) } catch { return nil }
    }
}
