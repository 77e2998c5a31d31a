import Kubernetes

/// A share of something, as `--dest-size` takes it: `120%`.
public struct Percentage: Sendable, Equatable, CustomStringConvertible {
    public let value: Int64

    /// Reads it; nil for what is no whole number from 1 to 1000 with a percent sign.
    public init?(_ text: String) {
        guard text.hasSuffix("%"), text.utf8.dropLast().allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
            let value = Int64(text.dropLast()), (1...1000).contains(value)
        else { return nil }
        self.value = value
    }

    public var description: String { "\(value)%" }

    /// That share of a size, rounded up to whole MiB, as storage comes in no smaller pieces.
    func of(_ size: Quantity) -> Quantity? {
        let bytes = size.bytes.multipliedReportingOverflow(by: value)
        guard !bytes.overflow else { return nil }
        let mebibytes = (bytes.partialValue / 100 + (1 << 20) - 1) >> 20
        return Quantity("\(max(1, mebibytes))Mi")
    }
}

/// The least that the claims of a namespace may ask for.
struct LimitRange: KubernetesObject {
    static let resource = APIResource(kind: "LimitRange", plural: "limitranges")

    struct Spec: Decodable, Sendable {
        struct Limit: Decodable, Sendable {
            var type: String
            // Others' amounts are written in other units.
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
    /// The size that is asked for by the claim's owner, else by the flag; nil where neither asks for one.
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

    /// True where the destination volume is to be made.
    fileprivate var isToBeSized: Bool { seal == nil && !transfer.needsKeptVolume }

    /// The staging claim where it is of another size than it has to be, so that it has to be made anew.
    ///
    /// Without a word on the size, one that an earlier run was asked to make larger is as good.
    var unfitStaging: PersistentVolumeClaim? {
        guard seal == nil, givenDestination == nil, let staging = ownStaging, !staging.metadata.isTerminating,
            let size, let found = staging.spec.resources?.requests?["storage"]
        else { return nil }
        return transfer.sizeWanted == nil ? (found < size ? staging : nil) : (found == size ? nil : staging)
    }

    /// True where the destination is to be smaller than the source volume.
    var isToShrink: Bool {
        guard let size, let sourceSize else { return false }
        return size < sourceSize
    }
}

/// Finds out which sizes are asked for.
struct DestinationSizes: Sendable {
    private let options: Options
    private let lists: SelectedObjects

    init(_ context: Context) {
        options = context.options
        lists = SelectedObjects(context.destination, context.options.selection)
    }

    /// Writes down which sizes are asked for: by the claims' owners, by the flag, and by the namespaces' limits.
    ///
    /// - Returns: what can't be understood.
    func write(into states: inout [ClaimState]) async throws -> [Transfer.ID: Obstacle] {
        var obstacles: [Transfer.ID: Obstacle] = [:]
        let limits = try await leastSizes(for: states)
        for index in states.indices where states[index].isToBeSized {
            let state = states[index]
            do {
                states[index].transfer.sizeWanted = try state.sizeAsked(options)
            } catch {
                obstacles[state.id] = Obstacle(
                    namespace: state.name.namespace,
                    resource: state.title,
                    message: "\(error)"
                )
            }
            // Its successor is to meet them too.
            let requested = states[index].transfer.sizeWanted ?? state.claim?.spec.resources?.requests?["storage"]
            if let least = limits[state.name.namespace ?? ""], let requested, requested < least {
                states[index].transfer.sizeWanted = max(least, states[index].size ?? least)
            }
        }
        return obstacles
    }

    /// The least that claims may ask for, by namespace. Where the limits may not be read, the server's admission says
    /// what it refuses.
    private func leastSizes(for states: [ClaimState]) async throws -> [String: Quantity] {
        guard states.contains(where: \.isToBeSized) else { return [:] }
        do {
            let limits = try await lists.list(LimitRange.self)
            return Dictionary(
                limits.compactMap { limit in limit.leastStorage.map { (limit.metadata.namespace ?? "", $0) } },
                uniquingKeysWith: { max($0, $1) }
            )
        } catch let error as APIError where error.reason == .forbidden || error.reason == .notFound {
            return [:]
        }
    }
}
