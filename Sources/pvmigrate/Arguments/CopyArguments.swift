import ArgumentParser
import Migration

/// The flags of how claims are copied.
struct CopyArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The image to copy with; must have rsync on its PATH.", valueName: "image"))
    var rsyncImage = Options(sourceClass: "", destinationClass: "").rsyncImage

    @Option(
        name: .customLong("rsync-flags"),
        help: ArgumentHelp(
            "Further flags for rsync, separated by commas.",
            discussion: "Given several times, each is one flag as it is, commas and all; empty ones don't count.",
            valueName: "flags"
        )
    )
    var rsyncFlags: [String] = []

    @Option(
        name: .customLong("dest-size"),
        help: ArgumentHelp(
            "How large the new volumes are, of the old ones' capacity: 120%. (default: as large)",
            discussion: "The annotation kurl.sh/pvcmigrate-destinationsize gives a claim a size of its own.",
            valueName: "percentage"
        )
    )
    var destinationSize: String?

    @Option(
        help: ArgumentHelp(
            "A partial pod manifest, in YAML or JSON, that is merged into every mover and preflight pod.",
            valueName: "file"
        )
    )
    var moverTemplate: String?

    @Option(help: ArgumentHelp("How many units are migrated side by side.", valueName: "number"))
    var parallel = Options(sourceClass: "", destinationClass: "").parallel

    @Option(help: ArgumentHelp("How many of them may have their pods on the same node.", valueName: "number"))
    var parallelPerNode = Options(sourceClass: "", destinationClass: "").parallelPerNode

    @Option(
        help: ArgumentHelp(
            "How long the copy after the stop may take, where passes before it can make it so: 10s, 2m.",
            discussion:
                "With --live and `pvmigrate stage`, passes are made until one is as short, or they don't get shorter.",
            valueName: "duration"
        )
    )
    var maxOutage = "10s"

    @Option(
        help: ArgumentHelp(
            "What is copied while the workloads run (volume, snapshot, clone or auto).",
            discussion:
                "With --live and `pvmigrate stage`. By itself the volume; where no second pod can mount it, a snapshot.",
            valueName: "source"
        )
    )
    var copyFrom = CopyFrom.auto.rawValue

    @Option(
        help: ArgumentHelp(
            "How many copiers fill an empty volume side by side, before rsync completes it. (default: 8)",
            discussion: "With --rsync-flags or --verbose-copy there is one rsync, which does all.",
            valueName: "number"
        )
    )
    var streams: Int?

    @Option(
        help: ArgumentHelp(
            "How many bytes a second all movers together may copy: 50M, 1.5G. (default: no limit)",
            discussion: "Each mover has a fixed share of it, whether the others use theirs or not.",
            valueName: "bytes"
        )
    )
    var bandwidthLimit: String?

    @Option(
        help: ArgumentHelp(
            "How each copy is checked: none, quick or checksum.",
            discussion: "quick compares sizes, times and all other metadata; checksum the contents of all files, too.",
            valueName: "how"
        )
    )
    var verify = Options.Verification.quick.rawValue

    @Flag(help: "Show rsync's own output, complete.")
    var verboseCopy = false

    func apply(to options: inout Options) throws(UsageError) {
        options.destinationSize = try Check.percentage(destinationSize)
        options.rsyncImage = try Check.image(rsyncImage)
        options.rsyncFlags = try Check.rsyncFlags(rsyncFlags)
        options.moverTemplate = try Check.moverTemplate(moverTemplate)
        options.parallel = try Check.parallel(parallel, "--parallel")
        options.parallelPerNode = try Check.parallel(parallelPerNode, "--parallel-per-node")
        options.maxOutage = try Check.duration(maxOutage, "--max-outage")
        options.copyFrom = try Check.copyFrom(copyFrom)
        options.streams = try streams.map { number throws(UsageError) in try Check.parallel(number, "--streams") }
        options.bandwidthLimit = try Check.bandwidth(bandwidthLimit, with: options)
        options.verification = try Check.verification(verify)
        options.verboseCopy = verboseCopy
    }
}
