public import Kubernetes

/// What goes wrong with one request, for tests.
public enum Fault: Sendable {
    /// Nobody listens: the request has no effect, and the client knows.
    case refuse
    /// The connection breaks before the request takes effect; the client cannot know.
    case cutBefore
    /// The connection breaks after the request took effect.
    case cutAfter
    /// Another answer, and no effect: a 500, a 429, an HTML page.
    case answer(Response)
    /// Another answer after the request took effect: a 504 of a proxy.
    case answerAfter(Response)
    /// No answer until the request's patience is over.
    case silence(takesEffect: Bool)
    /// No answer until the task is cancelled: the client's process dies here.
    case hang(takesEffect: Bool)
    /// The answer's second half is missing.
    case truncate
    /// A read is answered from the cluster as it was some requests ago.
    case stale(requests: Int)
    /// The stream ends after some pieces.
    case endStream(afterPieces: Int)
    /// The watch ends with 410 Expired after some pieces.
    case expireStream(afterPieces: Int)
    /// The stream falls silent after some pieces.
    case silenceStream(afterPieces: Int)
    /// The connection breaks after some pieces of a stream.
    case cutStream(afterPieces: Int)
}

/// Decides for each request, numbered from 1, whether something goes wrong with it.
public typealias Interceptor = @Sendable (_ request: Request, _ number: Int) async -> Fault?

/// Sees every request with its answer and the cluster as it is after it.
public typealias Observer = @Sendable (_ request: Request, _ response: Response, _ cluster: Cluster) -> Void

/// Somebody else at the cluster: may change it right before each request takes effect, and again whenever something
/// has happened in it by itself; then there is no request.
public typealias Meddler = @Sendable (_ request: Request?, _ cluster: inout Cluster) -> Void
