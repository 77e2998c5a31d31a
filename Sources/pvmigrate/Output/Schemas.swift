import Kubernetes
import Migration

/// The shapes of all JSON that is printed. Tests hold what is printed to them, and `scripts/docs` makes the manual's tables
/// and JSON Schemas of them.
enum Schemas {
    /// What `--output json` of a migration, a stage, a rollback and an abort prints.
    static let run: [Shape.Member] = [
        .init("outcome", .oneOf(Outcome.Kind.self), "how the run ended"),
        .init("exitCode", .integer, "as the process's"),
        .init("message", .text, "the last line of stderr"),
        options,
        .init("obstacles", objects, "why preflight failed"),
        .init("notes", objects, "what was left alone, such as volumes without a claim, and who scales workloads"),
        units,
        .init(
            "objects",
            .list([
                .init("kind", .text), .init("namespace", .optional(.text)), .init("name", .text),
                .init("action", .oneOf(PlannedObject.Action.self)),
                .init("details", .optional(.text), "the fields that differ, without their values, or why it stays"),
            ]),
            "what a transfer takes along besides claims"
        ),
        .init(
            "claims",
            .list([
                .init("namespace", .optional(.text)), .init("name", .text), .init("size", .text),
                .init("files", .optional(.integer)), .init("bytes", .optional(.integer)),
                .init("bytesNotMoved", .optional(.integer), "the size of a volume that was retyped"),
                .init("copySeconds", .optional(.number)),
                .init("stopSeconds", .optional(.number), "until the workload is asked to start again"),
                .init("outageSeconds", .optional(.number), "until it is ready again"),
                .init(
                    "oldStorage",
                    .optional(.oneOf(["freed", "kept", "retained"])),
                    "of the volume that the claim has left; `retained` is its owner's"
                ),
                .init("keptVolume", .optional(.text)),
                .init("predictedOutageSeconds", .optional(.number), "after the last pass of `--live`"),
                .init("result", .oneOf(Report.Result.self)),
                .init("reason", .optional(.text)),
                .init(
                    "destination",
                    .optional(.object([.init("namespace", .optional(.text)), .init("name", .text)])),
                    "the claim that a transfer makes of it"
                ),
            ]),
            "what became of each claim"
        ),
        .init("stopped", .list(.text), "the workloads that are still at zero"),
        .init("failures", .list(.text), "what failed besides claims"),
    ]

    private static let options = Shape.Member(
        "options",
        .object([
            .init("sourceStorageClass", .optional(.text), "null for a transfer, an upload and a download"),
            .init("destinationStorageClass", .optional(.text), "null for a transfer where each claim keeps its own"),
            namespaces, selection,
            .init("toNamespace", .optional(.text), "where a transfer brings the claims; null without one"),
            .init("directory", .optional(.text), "of an upload or download, on this computer; null for all else"),
            .init(
                "ending",
                .optional(.oneOf(Transfer.Ending.ofHandovers.map(\.rawValue))),
                "of a transfer; null without one"
            ),
        ]),
        "what the run was asked for"
    )

    private static let namespaces = Shape.Member(
        "namespace",
        .optional(.text),
        "null for all; several are separated by commas"
    )
    private static let selection = Shape.Member("selection", .optional(.text), "the other flags that choose claims")

    private static let objects = Shape.list([
        .init("namespace", .text, "empty where there is none"), .init("resource", .text), .init("message", .text),
    ])

    private static let units = Shape.Member(
        "units",
        .list([
            .init(
                "claims",
                .list([
                    .init("namespace", .optional(.text)), .init("name", .text), .init("size", .optional(.text)),
                    .init("volume", .optional(.text), "the source volume"),
                    .init("method", .oneOf(Transfer.Method.self)),
                    .init("state", .oneOf(Stage.self)),
                ])
            ),
            .init(
                "workloads",
                .list([
                    .init("kind", .text), .init("namespace", .optional(.text)), .init("name", .text),
                    .init("replicas", .integer),
                ]),
                "what stops for them"
            ),
        ]),
        "the plan"
    )

    /// What `pvmigrate status --output json` prints.
    static let status: [Shape.Member] = [
        .init(
            "open",
            .optional(.boolean),
            "whether something needs a rerun or a person; null where the cluster could not be looked at"
        ),
        .init("exitCode", .integer, "as the process's"),
        .init("message", .text, "the last line of stderr"),
        .init(
            "options",
            .object([
                .init("sourceStorageClass", .optional(.text), "null for all"),
                .init("destinationStorageClass", .optional(.text), "null for all"), namespaces, selection,
            ]),
            "what was asked for"
        ),
        .init("commands", .list(.text), "what to run to finish what is open"),
        claimsUnderWay,
        .init(
            "workloads",
            .list([
                .init("kind", .text), .init("namespace", .optional(.text)), .init("name", .text),
                .init("scale", .optional(.integer), "null where the mark is no number"),
                .init("replicas", .integer, "as it is now"), .init("state", .text),
                .init("blocked", .boolean, "whether a person has to do something first"),
            ]),
            "what bears the mark of being stopped"
        ),
        .init("leftovers", objects, "what no rerun goes on with"),
        .init(
            "kept",
            .list([
                .init("volume", .text), .init("namespace", .optional(.text)), .init("name", .text, "of the claim"),
                .init("storageClass", .optional(.text)), .init("size", .optional(.text)),
                .init("bytes", .optional(.integer)), .init("since", .optional(.text)),
                .init("reclaimPolicy", .text, "its former one"), .init("successorExists", .boolean),
            ]),
            "the volumes that are kept for a rollback"
        ),
        .init("keptBytes", .optional(.integer), "the sum of their sizes"),
        locks,
        .init("toMigrate", .optional(.integer), "claims of the source class that are not begun; null without it"),
        .init("onDestination", .optional(.integer), "claims that are bound on the destination class; null without it"),
        .init("notes", objects, "what to know besides"),
        .init("unseen", objects, "what could not be looked at"),
    ]

    private static let claimsUnderWay = Shape.Member(
        "claims",
        .list([
            .init("namespace", .optional(.text)), .init("name", .text),
            .init("stage", .oneOf(MigrationStatus.Claim.Stage.self)), .init("state", .text),
            .init("next", .text, "what a rerun does"),
            .init("blocked", .boolean, "whether a person has to do something first"), .init("rollback", .boolean),
            .init("sourceStorageClass", .optional(.text), "of the way there, for a rollback too"),
            .init("destinationStorageClass", .optional(.text)), .init("sourceVolume", .optional(.text)),
            .init("destinationVolume", .optional(.text)),
        ]),
        "what is under way"
    )

    private static let locks = Shape.Member(
        "locks",
        .list([
            .init("storageClass", .text), .init("sourceStorageClass", .optional(.text), "of the holder's run"),
            .init("destinationStorageClass", .optional(.text)), .init("holder", .text),
            .init("since", .optional(.text)), .init("renewed", .optional(.text)),
            .init("ageSeconds", .optional(.integer), "by this machine's clock"),
            .init("alive", .boolean, "false where the holder seems dead"),
        ]),
        "one for each of a run's two classes"
    )

    /// What `pvmigrate cleanup --output json` prints.
    static let cleanup: [Shape.Member] = [
        .init("exitCode", .integer, "as the process's"),
        .init("message", .text, "the last line of stderr"),
        .init(
            "volumes",
            .list([
                .init("volume", .text), .init("namespace", .optional(.text)), .init("name", .text, "of the claim"),
                .init("storageClass", .optional(.text)), .init("size", .optional(.text)),
                .init("since", .optional(.text)), .init("result", .oneOf(["freed", "removed", "kept", "failed"])),
                .init(
                    "reason",
                    .optional(.text),
                    "null where it was freed; the storage's handle where only the volume object was removed"
                ),
            ]),
            "what became of each kept volume"
        ),
    ]
}

// MARK: Versions

extension Schemas {
    /// What `pvmigrate version --output json` prints.
    private static let version: [Shape.Member] = [
        .init("version", .text, "of pvmigrate"), .init("platform", .text, "such as `linux/amd64`"),
        .init(
            "server",
            .optional(.object([.init("version", .text, "such as `v1.32.1`"), .init("platform", .text)])),
            "the API server; null where none is reached"
        ),
    ]
}

// MARK: Events

extension Schemas {
    /// The lines of `--output jsonl`, by their type.
    static let events: [(type: String, meaning: String, members: [Shape.Member])] = [
        (
            "started", "the first line",
            [
                .init("time", .text), .init("version", .text, "of pvmigrate"),
                .init("command", .oneOf(["migrate", "stage", "rollback", "retype", "transfer", "abort"])), options,
            ]
        ),
        (
            "plan", "what was found; it comes again when the lock is taken, and then counts",
            [units, .init("notes", objects)]
        ),
        (
            "message", "what stderr says",
            [
                .init("level", .oneOf(Message.Level.self)),
                .init("subject", .text, "kind and name; empty for the whole run"), .init("text", .text),
            ]
        ),
        ("step-began", "a step of the pipeline, or `go back`", unit + [.init("step", .text)]),
        (
            "step-ended", "",
            unit + [.init("step", .text), .init("took", .number, "in seconds"), .init("failed", .boolean)]
        ),
        ("outage-began", "the unit's first workload is asked to stop", unit),
        ("outage-ended", "all are ready again", unit + [.init("took", .number, "in seconds")]),
        ("unit-ended", "", unit + [.init("failed", .boolean)]),
        (
            "progress", "how far a copy is, at most once a second",
            [
                .init("claim", .text, "NAMESPACE/NAME"), .init("bytes", .integer, "so far"),
                .init("bytesTotal", .optional(.integer)), .init("rate", .optional(.integer), "in bytes a second"),
                .init("secondsLeft", .optional(.number)),
            ]
        ),
        ("finished", "the last line; it is missing where the process was killed, or ended with 64", run),
    ]

    private static let unit: [Shape.Member] = [
        .init("unit", .text, "its first workload, or its claim"), .init("claims", .list(.text), "NAMESPACE/NAME"),
    ]

    /// All as JSON Schemas, by what prints them.
    static var all: JSON {
        [
            "run": document("pvmigrate --output json", Shape.object(run).schema),
            "status": document("pvmigrate status --output json", Shape.object(status).schema),
            "cleanup": document("pvmigrate cleanup --output json", Shape.object(cleanup).schema),
            "plan": document("pvmigrate plan --output json", Shape.object(plan).schema),
            "version": document("pvmigrate version --output json", Shape.object(version).schema),
            "events": document(
                "A line of pvmigrate --output jsonl",
                ["oneOf": .array(events.map { event($0.type, $0.meaning, $0.members) })]
            ),
        ]
    }

    private static func event(_ type: String, _ meaning: String, _ members: [Shape.Member]) -> JSON {
        let all: [Shape.Member] =
            [
                .init("v", .integer, "the version of this schema"), .init("type", .oneOf([type])),
                .init("seconds", .number, "since the command started"),
            ] + members
        var schema = Shape.object(all).schema
        if !meaning.isEmpty { schema["description"] = .string(meaning) }
        return schema
    }

    private static func document(_ title: String, _ schema: JSON) -> JSON {
        var document = schema
        document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        document["title"] = .string(title)
        return document
    }
}
