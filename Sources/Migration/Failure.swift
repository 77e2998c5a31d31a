import Kubernetes

/// The reason why a unit could not be migrated.
struct Failure: Error, CustomStringConvertible {
    var place: String
    var reason: String
    var description: String { "\(place): \(reason)" }

    /// Returns the error with the name of its object, where the error does not name it.
    static func located(_ error: any Error, at place: String) -> any Error {
        if error is CancellationError || error is Failure { return error }
        return Failure(place: place, reason: "\(error)")
    }
}

/// A plain reason why something is not done.
public struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}

extension APIError {
    /// True where the cluster may have changed meanwhile, or the effect of the request is unknown.
    var isWorthAnotherLook: Bool {
        switch reason {
        case .conflict, .unavailable, .notFound, .alreadyExists, .expired: true
        default: false
        }
    }
}

extension Journal {
    /// Does something that is worth trying, and warns where it fails.
    @discardableResult
    func orWarn<Value>(_ subject: String, _ work: () async throws -> Value) async -> Value? {
        do {
            return try await work()
        } catch {
            warn(subject, "\(error)")
            return nil
        }
    }

    /// Reports why a unit could not be migrated.
    func tell(_ error: any Error, of unit: Unit) {
        let failure = error as? Failure
        self.error(failure?.place ?? unit.title, failure?.reason ?? "\(error)")
    }
}
