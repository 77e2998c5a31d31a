import FoundationEssentials
import Kubernetes

extension PersistentVolumeClaim {
    /// What the mark of an upload says that has begun with the claim and not finished; nil without one.
    ///
    /// Anybody who may change the claim can write it. So it only holds things back.
    var filling: String? { metadata.annotation(Marks.filling) }

    /// The reason why nothing may be started on it, or be done with it; nil where there is none.
    var whyHalfFilled: Refusal? {
        filling.map {
            Refusal(
                "\(title) is only half filled: an upload has begun (\($0.shortened(to: 300))), and not finished. Run that "
                    + "upload again to finish; to do without it: pvmigrate abort upload --as-it-is --pvc \(name)"
            )
        }
    }
}

/// Keeps workloads stopped whose claims are only half filled.
struct HalfFilled: Sendable {
    private let client: Client

    init(_ context: Context) { client = context.source }

    /// - Throws: `Refusal` where a claim that the workload mounts is only half filled; `APIError` where that is not known.
    func check(_ workload: Workload) async throws {
        let claims = await workload.mountedClaims.sorted().sideBySide { name in
            await Result.of { try await client.find(PersistentVolumeClaim.self, name) }
        }
        for claim in claims { if let why = try claim.get()?.whyHalfFilled { throw Refusal("stays stopped: \(why)") } }
    }

    /// Marks a claim, or takes its mark off.
    ///
    /// - Parameter words: What identifies the upload; nil to take the mark off.
    func mark(_ state: ClaimState, _ words: String?) async throws -> ClaimState {
        var state = state
        for attempt in 1... {
            guard let claim = state.claim, claim.filling != words else { return state }
            do {
                let mark: JSON = .object([Marks.filling: words.map(JSON.string) ?? .null])
                let change: JSON = ["metadata": ["annotations": mark]]
                state.claim = try await client.patch(
                    PersistentVolumeClaim.self,
                    claim.name,
                    .merge(onto: claim.metadata, change)
                )
            } catch let error as APIError where error.isWorthAnotherLook && attempt < Self.attempts {
                let now = try await client.find(PersistentVolumeClaim.self, claim.name)
                guard let now, now.metadata.uid == claim.metadata.uid else {
                    throw Failure(place: state.title, reason: "was deleted by somebody")
                }
                state.claim = now
            }
        }
        return state
    }

    /// The number of attempts at a claim that others change meanwhile.
    private static let attempts = 10
}

extension Unit {
    /// Returns the obstacles of workloads that could not be started again, since other claims of theirs are only half
    /// filled.
    func halfFilled(in inventory: Inventory) -> [Obstacle] {
        let own = Set(claims.map(\.name))
        return workloads.flatMap { workload in
            let others = workload.mountedClaims.sorted().filter { !own.contains($0) }
            return others.compactMap { inventory.claims[$0]?.whyHalfFilled }.map {
                Obstacle(
                    namespace: workload.name.namespace,
                    resource: workload.title,
                    message: "could not be started again: \($0)"
                )
            }
        }
    }
}
