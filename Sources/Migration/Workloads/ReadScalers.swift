import Kubernetes

extension Scalers {
    /// Lists the scalers of workloads. Where they may not be listed or are not installed, a run does without.
    static func read(from lists: SelectedObjects) async throws -> Scalers {
        async let autoscalers = lists.listIfAny(HorizontalPodAutoscaler.self)
        async let scaledObjects = lists.listIfAny(ScaledObject.self)
        return Scalers(
            autoscalers: try await autoscalers.items,
            scaledObjects: try await scaledObjects.items,
            unreadable: try await autoscalers.unreadable + (try await scaledObjects.unreadable)
        )
    }

}

extension SelectedObjects {
    fileprivate func listIfAny<Object: KubernetesObject>(_ type: Object.Type) async throws -> Readable<Object> {
        do {
            return try await listReadable(type)
        } catch let error as APIError where error.reason == .forbidden || error.reason == .notFound {
            return Readable()
        }
    }
}
