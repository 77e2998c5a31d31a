import Kubernetes

/// The things that commands work with. It does nothing itself: each step, check and command takes what it needs.
struct Context: Sendable {
    var ends: Ends
    let options: Options
    let limits: Limits
    let journal: Journal
    let findings = Findings()
    /// The recorder of Events; nil where none are wanted.
    let recorder: EventRecorder?
    /// This computer, for copies to and from it; nil for all else.
    let local: (any LocalEnd)?

    init(
        ends: Ends,
        options: Options,
        limits: Limits = Limits(),
        journal: Journal,
        local: (any LocalEnd)? = nil
    ) {
        (self.ends, self.options, self.limits, self.journal) = (ends, options, limits, journal)
        self.local = local
        recorder = options.recordsEvents ? EventRecorder() : nil
    }

    /// Returns a context for other options, without findings.
    func asked(for options: Options) -> Context {
        Context(ends: ends, options: options, limits: limits, journal: journal, local: local)
    }

    var source: Client { ends.source.client }
    var destination: Client { ends.destination.client }
    var time: TimeSource { source.time }
}
