import ArgumentParser
import Migration

/// The flags of how preflight checks.
struct PreflightArguments: ParsableArguments {
    @Flag(help: "Migrate from a class that does not exist any more.")
    var skipSourceValidation = false

    @Option(help: ArgumentHelp("How long a pod of preflight may take to run.", valueName: "seconds"))
    var podReadyTimeout = 60

    @Option(
        name: .customLong("delete-pv-timeout"),
        help: ArgumentHelp("How long the volume of a temporary claim may take to go.", valueName: "seconds")
    )
    var deleteVolumeTimeout = 300

    func apply(to options: inout Options) throws(UsageError) {
        options.skipSourceValidation = skipSourceValidation
        options.podReadyTimeout = try Check.seconds(podReadyTimeout, "--pod-ready-timeout")
        options.deleteVolumeTimeout = try Check.seconds(deleteVolumeTimeout, "--delete-pv-timeout")
    }
}
