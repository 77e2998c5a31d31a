import Foundation
import Migration
import Testing

@testable import pvmigrate

@Suite("Output")
struct OutputTests {
    @Test("keeps a table's columns aligned and each row on one line")
    func table() {
        let table = Table(
            header: ["NAMESPACE", "RESOURCE", "MESSAGE"],
            rows: [
                ["shop", "Pod é-0", "refused:\n  first\n\tsecond\r\n"], ["-", "StorageClass fast", "\u{1b}[2Jgone"],
                ["a-long-namespace", "x", ""],
            ]
        )
        #expect(
            table.text == """
                NAMESPACE          RESOURCE            MESSAGE
                shop               Pod é-0             refused: first second
                -                  StorageClass fast   ?[2Jgone
                a-long-namespace   x

                """
        )
    }

    @Test(
        "gives each message its time, its weight and its subject",
        arguments: [
            (Duration.milliseconds(12_349), Message.Level.info, "Pod a/b", "runs", "[   12.3s] Pod a/b: runs\n"),
            (.zero, .info, "", "migrating", "[    0.0s] migrating\n"),
            (.seconds(3), .warning, "Pod a/b", "late", "[    3.0s] warning: Pod a/b: late\n"),
            (.seconds(12_345_678), .error, "x", "y", "[12345678.0s] error: x: y\n"),
            (
                .seconds(1), .error, "x", "failed. Its last lines:\n\n    one\n  two\u{7}\n",
                "[    1.0s] error: x: failed. Its last lines:\n    one\n    two?\n"
            ),
            (
                .seconds(1), .output, "x", "a\r  10%\r\u{1b}[K",
                "[    1.0s] x: a\n[    1.0s] x:   10%\n[    1.0s] x: ?[K\n"
            ),
            (.seconds(1), .output, "x", "", "[    1.0s] x: \n"),
        ]
    )
    func lines(elapsed: Duration, level: Message.Level, subject: String, text: String, line: String) {
        #expect(Log.line(elapsed, level, subject, text) == line)
    }

    @Test("of --help shows every flag with its default, and what the lists of steps and checks say")
    func help() throws {
        #expect(
            Help.text.hasPrefix(
                """
                OVERVIEW: Moves the PersistentVolumeClaims of one StorageClass to another, keeping their names.

                USAGE: pvmigrate --source-sc <name> --dest-sc <name> [flags]
                       pvmigrate status [--source-sc <name>] [--dest-sc <name>] [flags]
                       pvmigrate abort --source-sc <name> --dest-sc <name> [flags]
                       pvmigrate rollback --source-sc <name> --dest-sc <name> [--discard-changes] [flags]
                       pvmigrate cleanup --keep-days <days> [--dry-run] [flags]
                       pvmigrate rbac [--namespace <names>] [--set-defaults] [--dest-size <percentage>]

                OPTIONS:
                  --source-sc <name>      The StorageClass to migrate from. Required.
                  --dest-sc <name>        The StorageClass to migrate to. Required.
                  -n, --namespace <names> Only the claims of these namespaces. (default: all)
                  --exclude-namespace <names>
                                          Not the claims of these namespaces.
                  -l, --selector <labels> Only the claims with these labels, as kubectl selects them.
                  --pvc <namespace/name>  Only this claim; may be given several times.
                  --exclude <namespace/name>
                                          Not this claim; may be given several times.
                  --rsync-image <image>   The image to copy with; must have rsync on its PATH. (default:
                                          eeacms/rsync:2.3)
                  --rsync-flags <flags>   Further flags for rsync, separated by commas.
                        Given several times, each is one flag as it is, commas and all; empty ones don't count.
                  --mover-template <file> A partial pod manifest, in YAML or JSON, that is merged into every mover
                                          and preflight pod.
                  --dest-size <percentage>
                                          How large the new volumes are, of the old ones' capacity: 120%. (default:
                                          as large)
                        The annotation kurl.sh/pvcmigrate-destinationsize gives a claim a size of its own.
                  --set-defaults          Make the destination class the default class afterwards.
                  --verbose-copy          Show rsync's own output, complete.
                  --skip-source-validation
                                          Migrate from a class that does not exist any more.
                  --preflight-validation-only
                                          Only check whether the migration would work.
                  --skip-preflight-validation
                                          Migrate without checking first.
                  --pod-ready-timeout <seconds>
                                          How long a pod of preflight may take to run. (default: 60)
                  --delete-pv-timeout <seconds>
                                          How long the volume of a temporary claim may take to go. (default: 300)
                  --keep-source           Keep each source volume, so that `pvmigrate rollback` can swap its claim
                                          back to it.
                  --dry-run               Show what would be done, and change nothing.
                  --kubeconfig <file>     The kubeconfig. (default: $KUBECONFIG, the pod's service account,
                                          ~/.kube/config)
                  --context <name>        The kubeconfig's context. (default: its current one)
                  --output <format>       How results are written on stdout. (values: text, json; default: text)
                  --version               Show the version.
                  -h, --help              Show help information.

                OTHER COMMANDS, each with a --help of its own:
                  status            Tells what is under way, stopped, left over, or kept for a rollback; changes nothing.
                  abort             Takes back what a run has left half done, and removes what it had copied.
                  rollback          Swaps claims back to the source volumes that were kept with --keep-source.
                  cleanup           Removes the volumes that were kept for a rollback, once they are old enough.
                  rbac              Prints a manifest for kubectl apply: a ServiceAccount that may do what a run does, and no more.

                PIPELINE:

                """
            )
        )
        let steps = Pipeline.first + Pipeline.unitSteps.map { ($0.name, $0.summary) } + Pipeline.last
        let lines = steps.map { "  \($0.name.padded(to: 17)) \($0.summary)\n" }
        var rest = Help.text[...]
        for line in lines {
            let place = try #require(rest.range(of: line), "\(line)")
            rest = rest[place.upperBound...]
        }
        for check in Preflight.checks { #expect(rest.contains("  \(check.name.padded(to: 17)) \(check.summary)\n")) }
        for code in [
            "0    done", "1    failed", "2    preflight failed", "3    something is still stopped", "64   wrong usage",
        ] {
            #expect(rest.contains("\n  \(code)"))
        }
        for key in Outcome.keys { #expect(rest.contains(key)) }
        #expect(Help.text.split(separator: "\n").allSatisfy { $0.count <= 120 })
    }
}
