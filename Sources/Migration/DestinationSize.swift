import Kubernetes

/// A percentage, as `--dest-size` takes it: `120%`.
public struct Percentage: Sendable, Equatable, CustomStringConvertible {
    public let value: Int64

    /// Reads a percentage; nil where the text is not a whole number from 1 to 1000 with a percent sign.
    public init?(_ text: String) {
        guard text.hasSuffix("%"), text.utf8.dropLast().allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
            let value = Int64(text.dropLast()), (1...1000).contains(value)
        else { return nil }
        self.value = value
    }

    public var description: String { "\(value)%" }

    /// Returns the share of a size, rounded up to whole MiB, because storage comes in no smaller pieces.
    func of(_ size: Quantity) -> Quantity? {
        let bytes = size.bytes.multipliedReportingOverflow(by: value)
        guard !bytes.overflow else { return nil }
        let mebibytes = (bytes.partialValue / 100 + (1 << 20) - 1) >> 20
        return Quantity("\(max(1, mebibytes))Mi")
    }
}

/// The smallest size that claims of a namespace may request.
struct LimitRange: KubernetesObject {
    static let resource = APIResource(kind: "LimitRange", plural: "limitranges")

    struct Spec: Decodable, Sendable {
        struct Limit: Decodable, Sendable {
            var type: String
            // The amounts of other limits have other units.
            var min: [String: JSON]?
        }
        var limits: [Limit]?
    }

    var metadata: ObjectMeta
    var spec: Spec?

    var leastStorage: Quantity? {
        (spec?.limits ?? []).filter { $0.type == "PersistentVolumeClaim" }
            .compactMap { $0.min?["storage"]?.string.flatMap { Quantity($0) } }.max()
    }
}

extension ClaimState {
    /// Returns the size that the claim's owner requests, or else the flag; nil where neither does.
    ///
    /// - Throws: `Refusal` where the annotation is no size.
    func sizeAsked(_ options: Options) throws(Refusal) -> Quantity? {
        guard let claim = sourceClaim, isToBeSized else { return nil }
        if let text = claim.metadata.annotation(Marks.size) {
            guard let size = Quantity(text), size.bytes > 0 else {
                throw Refusal(
                    "the annotation \(Marks.size) is \"\(text.shortened(to: 100))\", which is no size such as 10Gi"
                )
            }
            return size
        }
        guard let percentage = options.destinationSize, let capacity = source?.spec.capacity?["storage"] else {
            return nil
        }
        guard let size = percentage.of(capacity) else {
            throw Refusal("\(percentage) of \(capacity) is more than any volume can hold")
        }
        return size
    }

    /// True where the destination volume is still to be made.
    var isToBeSized: Bool { seal == nil && transfer.method == .copy }

    /// The staging claim, where it has a wrong size and must be made anew.
    ///
    /// Where no size is requested, a larger one of an earlier run is good enough.
    var unfitStaging: PersistentVolumeClaim? {
        guard seal == nil, givenDestination == nil, let staging = ownStaging, !staging.metadata.isTerminating,
            let size, let found = staging.spec.resources?.requests?["storage"]
        else { return nil }
        return transfer.sizeWanted == nil ? (found < size ? staging : nil) : (found == size ? nil : staging)
    }

    /// True where the destination volume is to be smaller than the source volume.
    var isToShrink: Bool {
        guard let size, let sourceSize else { return false }
        return size < sourceSize
    }
}
