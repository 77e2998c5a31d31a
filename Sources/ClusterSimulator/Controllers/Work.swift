/// One thing that a controller has to do at a moment; the same work waits only once.
enum Work: Hashable, Sendable {
    case nothing
}
