public import Kubernetes

/// A simulated cluster behind the client's transport.
public actor ClusterSimulator: Transport {
    var cluster: Cluster
    let time: TimeSource

    public init(_ cluster: Cluster, time: TimeSource, runtime: (any ContainerRuntime)? = nil) {
        self.cluster = cluster
        self.time = time
    }

    /// The cluster as it is now; a new simulator can go on from it.
    public var snapshot: Cluster { cluster }

    /// Lets time pass and controllers work until the task is cancelled.
    public func run() async throws {}

    public func send(_ request: Request) async throws -> Response { cluster.handle(request, as: .admin) }

    public func open(_ request: Request) async throws -> StreamingResponse { fatalError("not yet") }
}
