import Kubernetes

/// The copy of a block device: a script for a POSIX shell with the programs of busybox or GNU.
///
/// Each piece of the source is compared with the destination's and written where it differs: so runs of zeros stay
/// sparse on a fresh volume, and a repeated copy writes only what is new.
struct DeviceScript: MoverContent, Equatable {
    /// What has to be in the image.
    static let programs = ["sh", "dd", "cmp", "head", "wc", "sha256sum"]

    /// Any but none is by contents: a device has nothing else.
    var verification = Options.Verification.quick

    /// Exit codes of the script's own.
    private enum Code: Int { case empty = 65, input, tooSmall }

    /// Neither busybox nor POSIX can tell a device's size; a byte is there or not. Devices refuse to seek beyond their
    /// end, as what would be written to, where some `dd` then read all that is before it, byte by byte.
    private static let script = #"""
        set -u
        piece=4194304
        fail() { code=$1; shift; echo "device: $*"; exit "$code"; }
        has() {
          dd if=/dev/null bs=1 seek="$2" count=0 1<"$1" && [ "$(dd if="$1" bs=1 skip="$2" count=1 | wc -c)" -eq 1 ]
        } 2>/dev/null
        size() {
          low=0 high=$piece
          while has "$1" "$high"; do low=$((high + 1)) high=$((high * 2)); done
          while [ "$low" -lt "$high" ]; do
            middle=$(((low + high) / 2))
            if has "$1" "$middle"; then low=$((middle + 1)); else high=$middle; fi
          done
          echo "$low"
        }
        for program in \#(programs.joined(separator: " ")); do
          command -v "$program" >/dev/null || fail 127 "$program is not in the image"
        done
        # Held open, so that what is written is not flushed piece by piece.
        case $1 in
          try) exec 9<>/dest; [ "$(size /dest)" -gt 0 ] || fail 65 "/dest holds nothing, or can't be read"; exit ;;
          copy) exec 8</source 9<>/dest ;;
          check) exec 8</source 9</dest ;;
        esac
        source=$(size /source) dest=$(size /dest)
        [ "$source" -gt 0 ] || fail 65 "/source holds nothing, or can't be read"
        if [ "$1" = check ]; then
          # What a smaller destination lacks counts as zeros.
          shared=$source
          [ "$dest" -ge "$source" ] || shared=$dest
          # Both sums at once: they are of different disks, and there are several processors.
          { head -c "$shared" /dest && head -c $((source - shared)) /dev/zero || echo failed; } | sha256sum | {
            sum=$(sha256sum </source) || fail 66 "/source can't be read to its end"
            read -r other _
            echo "size $source"; echo "source ${sum%% *}"; echo "dest $other"
          }
          exit
        fi
        [ "$dest" -ge "$source" ] || fail 67 "the destination has $dest bytes, the source $source"
        i=0 written=0
        while [ $((i * piece)) -lt "$source" ]; do
          length=$((source - i * piece))
          [ "$length" -lt "$piece" ] || length=$piece
          if ! dd if=/source bs=$piece skip=$i count=1 2>/dev/null | {
            dd if=/dest bs=$piece skip=$i count=1 2>/dev/null | head -c "$length" | cmp -s - /proc/self/fd/3
          } 3<&0; then
            said=$(dd if=/source of=/dest bs=$piece skip=$i seek=$i count=1 conv=notrunc 2>&1) || fail 66 "$said"
            written=$((written + length))
          fi
          i=$((i + 1))
          [ $((i % 64)) -ne 0 ] || echo "$((i * 4)) of $((source >> 20)) MiB compared, $((written >> 20)) MiB written"
        done
        said=$(dd if=/dev/null of=/dest conv=notrunc,fsync 2>&1) || fail 66 "$said"
        echo "size $source"; echo "written $written"
        """#

    private static func command(_ mode: String) -> [String] { ["sh", "-c", script, "sh", mode] }

    var tool: String { "the copy of the device" }
    var copyingCommand: [String] { Self.command("copy") }
    var checkingCommand: [String] { Self.command("check") }
    var comparingCommand: [String] { checkingCommand }
    func passCommand(since moment: Int?) -> [String]? { nil }
    var tryingCommand: [String] { Self.command("try") }

    func volumes(_ names: [String], readOnly: Set<String>) -> [String: JSON] {
        ["volumeDevices": .array(names.map { ["name": .string($0), "devicePath": .string("/\($0)")] })]
    }

    func differences(in check: String) -> [String]? {
        let values = Self.values(in: check)
        guard let size = values["size"].flatMap({ Int64($0) }), let source = values["source"],
            let dest = values["dest"],
            [source, dest].allSatisfy({ $0.utf8.count == 64 && $0.allSatisfy(\.isHexDigit) })
        else { return nil }
        if source == dest { return [] }
        return ["device /dest: of the first \(size) bytes the SHA-256 is \(dest), that of the source \(source)"]
    }

    func statistics(in output: String) -> CopyStatistics? {
        let values = Self.values(in: output)
        guard let size = values["size"].flatMap({ Int64($0) }) else { return nil }
        return CopyStatistics(totalBytes: size, transferredBytes: values["written"].flatMap { Int64($0) } ?? 0)
    }

    /// The lines of a name and a value that the script ends with.
    private static func values(in output: String) -> [Substring: String] {
        let pairs = output.split(whereSeparator: \.isNewline).map { $0.split(separator: " ") }.filter { $0.count == 2 }
        return Dictionary(pairs.map { ($0[0], String($0[1])) }, uniquingKeysWith: { $1 })
    }

    func exit(_ code: Int) -> MoverExit {
        var exit = MoverExit(rsync: code)
        switch code {
        case Code.empty.rawValue: exit.meaning = "the device holds nothing, or can't be read"
        case Code.input.rawValue: exit.meaning = "error in device I/O"
        case Code.tooSmall.rawValue: exit.meaning = "the destination is smaller than the source"
        case 127, 128: exit.meaning = "the image must have \(Self.programs.joined(separator: ", ")); see --rsync-image"
        case 137, 143: break
        default: (exit.meaning, exit.isWorthRepeating) = ("the shell failed", false)
        }
        return exit
    }

    func advice(output: String) -> String? {
        let text = output.lowercased()
        guard text.contains("operation not permitted") || text.contains("permission denied") else {
            return MoverExit.advice(output: output)
        }
        return "only root, or the device's group, can read and write a device: a policy keeps the mover from being root"
    }
}

extension DeviceScript {
    var withoutRoot: DeviceScript { self }
    func served(at address: String) -> DeviceScript? { nil }
    var repeated: DeviceScript { self }
    var isFlushed: Bool { true }
    var isToBeChecked: Bool { verification != .none }
    func whyFinal(_ differences: [String]) -> String? { nil }
    func isHarmless(_ code: Int, output: String) -> Bool { false }
    func reduced(after code: Int, output: String) -> (content: any MoverContent, loss: Loss)? { nil }
}
