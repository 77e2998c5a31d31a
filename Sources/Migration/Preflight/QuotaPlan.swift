import Kubernetes

extension APIResource {
    static let resourceQuotas = APIResource(kind: "ResourceQuota", plural: "resourcequotas")
}

struct ResourceQuota: KubernetesObject {
    static let resource = APIResource.resourceQuotas

    struct Status: Decodable, Sendable {
        // Only the amounts that matter here are read. Others have other units.
        var hard: [String: JSON]?
        var used: [String: JSON]?
    }

    var metadata: ObjectMeta
    var status: Status?

    /// Returns the remaining amount of a resource; nil where the quota does not limit it.
    func left(of resource: String) -> Int64? {
        guard let hard = Self.amount(status?.hard?[resource]) else { return nil }
        return max(0, hard - (Self.amount(status?.used?[resource]) ?? 0))
    }

    private static func amount(_ value: JSON?) -> Int64? {
        // A server may state a negative amount, which must not overflow.
        (value?.integer ?? value?.string.flatMap { Quantity($0) }?.bytes).map { max(0, $0) }
    }
}

/// The demand of a migration on the quotas of its namespace, as a number of claims and as bytes.
struct Demand: Sendable, Equatable {
    struct Amount: Sendable, Equatable {
        var claims: Int64 = 0
        var bytes: Int64 = 0

        // Anybody may write any size, so sums stop at the largest number.
        static func += (left: inout Amount, right: Amount) {
            left.claims += right.claims
            left.bytes = left.bytes.addingSaturated(right.bytes)
        }
    }

    /// The amount of staging claims, until the unit is done.
    var staging = Amount()
    /// The amount of stand-ins besides, of the source class, while passes read them.
    var copies = Amount()
    /// The amount of the destination class that a retype takes, as the old claim is deleted before.
    var retyped = Amount()
    /// The further amount when the unit is done; negative where the unit gives more back.
    var later = Amount()
    /// The same amount, where only claims of the destination class count.
    var laterOfClass = Amount()

    static func += (left: inout Demand, right: Demand) {
        left.staging += right.staging
        left.copies += right.copies
        left.retyped += right.retyped
        left.later += right.later
        left.laterOfClass += right.laterOfClass
    }
}

extension ClaimState {
    /// - Parameter isCopied: True where passes read a stand-in.
    func demand(isCopied: Bool) -> Demand {
        if case .blocked = next { return Demand() }
        func bytes(_ claim: PersistentVolumeClaim?) -> Int64 { claim?.spec.resources?.requests?["storage"]?.bytes ?? 0 }
        let staged = bytes(ownStaging)
        var demand = Demand()
        if !transfer.isInPlace, seal != nil || transfer.method == .handOver {
            let gone = transfer.ending == .move ? sourceClaim : ownStaging
            demand.later = Demand.Amount(claims: gone == nil ? 0 : -1, bytes: -bytes(gone))
            demand.laterOfClass = demand.later
        } else if seal == nil, transfer.method == .retype {
            demand.retyped = Demand.Amount(claims: 1, bytes: bytes(claim))
            demand.laterOfClass = demand.retyped
        } else if seal == nil {
            let size = (givenDestination?.spec.capacity?["storage"] ?? self.size)?.bytes ?? 0
            if isCopied { demand.copies = Demand.Amount(claims: 1, bytes: sourceSize?.bytes ?? 0) }
            let successor = transfer.sizeWanted?.bytes ?? min(size, bytes(claim))
            // A staging claim of the wrong size is removed first.
            let isToBeMade = ownStaging == nil || unfitStaging != nil
            if isToBeMade {
                demand.staging = Demand.Amount(claims: ownStaging == nil ? 1 : 0, bytes: max(0, size - staged))
            }
            demand.later = Demand.Amount(claims: ownStaging == nil ? 0 : -1, bytes: successor - bytes(claim))
            demand.later += Demand.Amount(bytes: -staged)
            demand.laterOfClass = Demand.Amount(claims: ownStaging == nil ? 1 : 0, bytes: successor - staged)
            if !transfer.isInPlace {
                // The staging claim is gone in the end, and its successor is in another namespace.
                demand.later = Demand.Amount(claims: ownStaging == nil ? 0 : -1, bytes: -staged)
                demand.laterOfClass = demand.later
            }
        } else if let claim = sourceClaim, ownStaging != nil {
            demand.later = Demand.Amount(claims: -1, bytes: -staged)
            demand.laterOfClass = Demand.Amount(claims: 0, bytes: min(staged, bytes(claim)) - staged)
        } else if claim == nil {
            // Only the successor is missing.
            let request = seal?.manifest[path: ["spec", "resources", "requests", "storage"]]?.string
            let size = seal?.size ?? request.flatMap { Quantity($0) }
            demand.staging = Demand.Amount(claims: 1, bytes: size?.bytes ?? 0)
            (demand.later, demand.laterOfClass) = (demand.staging, demand.staging)
        }
        return demand
    }
}

extension ClaimState {
    /// The demand of the claim of the destination's name, where that is not the source claim's.
    fileprivate var demandOfTarget: Demand {
        guard !transfer.isInPlace, target == nil else { return Demand() }
        if case .blocked = next { return Demand() }
        let request = ["spec", "resources", "requests", "storage"]
        let sealed = seal.map { $0.size ?? $0.manifest[path: request]?.string.flatMap { Quantity($0) } }
        let size = sealed ?? transfer.sizeWanted ?? claim?.spec.resources?.requests?["storage"]
        let amount = Demand.Amount(claims: 1, bytes: size?.bytes ?? 0)
        return Demand(staging: amount, later: amount)
    }
}

/// The order in which units fit into the quotas of their namespaces.
struct QuotaPlan: Sendable {
    /// The room that a quota leaves.
    private struct Room: Sendable {
        var quota: ResourceQuota
        var resource: String
        var left: Int64
        var isSize: Bool
        var isOfClass: Bool

        func needed(by demand: Demand) -> Int64 {
            var amount = demand.staging
            amount += isOfClass ? demand.retyped : demand.copies
            return isSize ? amount.bytes : amount.claims
        }

        func isEnough(for demand: Demand) -> Bool {
            let needed = needed(by: demand)
            return needed <= 0 || needed <= left
        }

        mutating func take(_ demand: Demand) {
            let later = isOfClass ? demand.laterOfClass : demand.later
            let (rest, overflow) = left.subtractingReportingOverflow(isSize ? later.bytes : later.claims)
            left = overflow ? .max : rest
        }
    }

    /// A unit with its demand in each namespace.
    private struct Candidate: Sendable {
        var unit: Unit
        var demands: [String: Demand] = [:]

        init(_ unit: Unit, isCopied: (ClaimState) -> Bool) {
            self.unit = unit
            for claim in unit.claims {
                demands[claim.name.namespace ?? "", default: Demand()] += claim.demand(isCopied: isCopied(claim))
                demands[claim.transfer.destination.namespace ?? "", default: Demand()] += claim.demandOfTarget
            }
        }

        func fits(in rooms: [Room]) -> Bool { rooms.allSatisfy { $0.isEnough(for: demand(in: $0)) } }

        func demand(in room: Room) -> Demand { demands[room.quota.metadata.namespace ?? ""] ?? Demand() }
    }

    /// The units that fit, each in its turn, and then those that never do.
    private(set) var units: [Unit] = []
    /// The claims that have room only after other units are done.
    private(set) var later: Set<Transfer.ID> = []
    /// The namespaces with a quota. Their units go one by one, in this order.
    private(set) var namespaces: Set<String> = []
    var shortages: [Obstacle] = []

    /// Makes the plan. Units go one by one, and a unit's staging claims are gone when it is done.
    ///
    /// - Parameter isCopied: Returns true where passes over a claim read a stand-in.
    init(
        _ units: [Unit],
        in quotas: [ResourceQuota],
        destinationClass: String,
        isCopied: (ClaimState) -> Bool = { _ in false }
    ) {
        namespaces = Set(quotas.compactMap(\.metadata.namespace))
        var rooms = quotas.flatMap { Self.rooms(of: $0, destinationClass: destinationClass) }
        let atFirst = rooms
        var rest = units.map { Candidate($0, isCopied: isCopied) }
        while let index = rest.firstIndex(where: { $0.fits(in: rooms) }) {
            let next = rest.remove(at: index)
            if !next.fits(in: atFirst) { later.formUnion(next.unit.claims.map(\.id)) }
            for index in rooms.indices { rooms[index].take(next.demand(in: rooms[index])) }
            self.units.append(next.unit)
        }
        self.units += rest.map(\.unit)
        shortages = rooms.compactMap { Self.shortage($0, rest) }
    }

    private static func rooms(of quota: ResourceQuota, destinationClass: String) -> [Room] {
        let ofClass = "\(destinationClass).storageclass.storage.k8s.io/"
        let limited: [(resource: String, isSize: Bool, isOfClass: Bool)] = [
            ("persistentvolumeclaims", false, false), ("count/persistentvolumeclaims", false, false),
            ("requests.storage", true, false), (ofClass + "persistentvolumeclaims", false, true),
            (ofClass + "requests.storage", true, true),
        ]
        return limited.compactMap { resource, isSize, isOfClass in
            quota.left(of: resource).map {
                Room(quota: quota, resource: resource, left: $0, isSize: isSize, isOfClass: isOfClass)
            }
        }
    }

    /// Returns the shortage of a quota for the first unit that does not fit after all that do are done.
    private static func shortage(_ room: Room, _ candidates: [Candidate]) -> Obstacle? {
        let short = candidates.filter { !room.isEnough(for: $0.demand(in: room)) }
        guard let first = short.first else { return nil }
        let demand = first.demand(in: room)
        let needed = room.needed(by: demand)
        let what =
            demand.retyped.claims > 0
            ? "claims"
            : room.isOfClass || demand.copies.claims == 0 ? "staging claims" : "staging claims and the copies"
        func words(_ amount: Int64) -> String { room.isSize ? amount.inBytes : String(amount) }
        let others = short.count > 1 ? ", and \(short.count - 1) more don't fit either" : ""
        return Obstacle(
            namespace: room.quota.metadata.namespace,
            resource: room.quota.title,
            message:
                "leaves \(words(max(0, room.left))) of \(room.resource), but the \(what) of \(first.unit.title) need "
                + "\(words(needed)) at a time\(others)"
        )
    }
}
