import Kubernetes

/// What a kubelet knows of a pod on its node.
struct PodOnNode: Sendable {
    let key: ObjectKey
    let uid: String
    let node: String
    /// When the kubelet first saw it, as the API writes it.
    let started: String
    let acceptedAt: Duration
    /// By container name.
    var containers: [String: ContainerOnNode] = [:]
    var address: String?
    /// When the sandbox is ready and volumes are looked for.
    var setUpDue: Duration
    var isSetUp = false
    /// When volumes are looked for again.
    var retryDue: Duration?
    /// Asked to end: the pod was deleted, or its deadline has passed.
    var isTerminating = false
    /// Why the kubelet ended it by itself.
    var failure: (reason: String, message: String)?
    /// When the status is to be written.
    var statusDue: Duration?
    /// When the sandbox goes, after the last container; from then on the pod's phase is final.
    var sandboxStopDue: Duration?
    var sandboxGone = false
    /// When the pod's object is to go, as the last thing.
    var deletionDue: Duration?
    /// The node authorizer has refused a claim: until then the kubelet does not look again.
    var forbiddenUntil: Duration?
    /// An Event has said already why the volumes are not there.
    var complained: String?

    func id(_ container: String) -> ContainerID {
        ContainerID(pod: uid, container: container, restarts: containers[container]?.restarts ?? 0)
    }
}

/// What a kubelet knows of a container.
struct ContainerOnNode: Sendable {
    struct Termination: Sendable {
        var code: Int
        var reason: String
        var message: String?
        var startedAt: String
        var finishedAt: String
    }

    enum State: Sendable {
        case waiting(reason: String, message: String?)
        /// Handed to the runtime, which has not reported yet.
        case starting
        case running(since: String)
        case terminated(Termination)
    }

    var state = State.waiting(reason: "ContainerCreating", message: nil)
    var last: Termination?
    var restarts = 0
    var ready = false
    /// How often it was begun, pulls of its image included.
    var attempts = 0
    /// When it may be begun again; nil where it is not to be.
    var due: Duration?
    var wasCreated = false

    var isRunning: Bool { if case .running = state { true } else { false } }
    var termination: Termination? { if case .terminated(let termination) = state { termination } else { nil } }
}
