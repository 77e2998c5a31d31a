import Foundation
import Glibc

/// Builds the command line that gives a process its own view of the machine: the host's programs read-only, volumes at
/// their mount paths, own processes, own `/tmp`.
struct ProcessSandbox: Sendable {
    /// The directory that holds all volumes, one tree for each node.
    let root: String
    /// Where bubblewrap is; without it `unshare` and bind mounts do, which only root may.
    let bubblewrap: String?

    static let hostDirectories = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc"]
    /// What images have besides: root's home, and what sshd locks itself in.
    static let emptyDirectories = ["/root", "/run/sshd"]
    static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The directory that holds a mounted volume's content.
    func directory(of storage: Storage, node: String, pod: String) -> String {
        switch storage {
        case .node(let handle): "\(root)/nodes/\(node)/volumes/\(Self.fileName(handle))"
        case .shared(let handle): "\(root)/shared/\(Self.fileName(handle))"
        case .pod(let name): "\(podDirectory(pod))/volumes/\(Self.fileName(name))"
        case .files(let files, _):
            "\(podDirectory(pod))/files/\(Self.fileName(files.keys.sorted().joined(separator: ",")))"
        }
    }

    func podDirectory(_ pod: String) -> String { "\(root)/pods/\(Self.fileName(pod))" }

    /// A handle as one name in a directory; `/` cannot be part of one, and `.` must not lead out of it.
    static func fileName(_ handle: String) -> String {
        let name = handle.replacingOccurrences(of: "/", with: "_")
        return name == "." || name == ".." || name.isEmpty ? "_" + name : name
    }

    /// Makes a mount's directory where it is not there yet, and gives its path.
    ///
    /// - Throws: what the file manager said, or `EINVAL` for a subPath that leads out of the volume.
    func prepare(_ mount: Mount, node: String, pod: String) throws -> String {
        var directory = directory(of: mount.storage, node: node, pod: pod)
        let manager = FileManager.default
        if let size = mount.deviceSize { return try prepareDevice(directory, size: size) }
        if !manager.fileExists(atPath: directory) {
            try manager.createDirectory(atPath: directory, withIntermediateDirectories: true)
            // As the hostPath provisioner makes them: any user of a container may write.
            chmod(directory, 0o777)
        }
        if let group = mount.group { try give(directory, to: gid_t(group)) }
        if case .files(let files, let mode) = mount.storage {
            for (name, content) in files {
                try Data(content.utf8).write(to: URL(filePath: directory + "/" + name))
                chmod(directory + "/" + name, mode_t(mode))
            }
        }
        guard !mount.subPath.isEmpty else { return directory }
        guard !mount.subPath.split(separator: "/").contains("..") else { throw POSIXError(.EINVAL) }
        directory += "/" + mount.subPath
        if !manager.fileExists(atPath: directory) {
            try manager.createDirectory(atPath: directory, withIntermediateDirectories: true)
        }
        return directory
    }

    /// Gives a volume's files to a group, where its directory is not the group's yet: as the kubelet does for the pod's
    /// fsGroup.
    private func give(_ directory: String, to group: gid_t) throws {
        var status = stat()
        guard geteuid() == 0, stat(directory, &status) == 0, status.st_gid != group else { return }
        let files = try FileManager.default.subpathsOfDirectory(atPath: directory).map { directory + "/" + $0 }
        for path in files + [directory] {
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFLNK else { continue }
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            chown(path, status.st_uid, group)
            chmod(path, status.st_mode & 0o7777 | (isDirectory ? 0o2770 : 0o660))
        }
    }

    /// Makes a file as large as a block volume where it is not there yet, in place of the device.
    private func prepareDevice(_ path: String, size: Int64) throws -> String {
        guard !FileManager.default.fileExists(atPath: path) else { return path }
        let folder = URL(filePath: path).deletingLastPathComponent().path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        guard FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o660]),
            truncate(path, off_t(size)) == 0
        else { throw POSIXError(.ENOSPC) }
        return path
    }

    /// The arguments that run a container, the program first.
    func arguments(for run: ContainerRun, directories: [String]) -> [String] {
        let command = withRights(of: run, run.command)
        let mounts = zip(run.mounts, directories).sorted { $0.0.path < $1.0.path }
        if let bubblewrap {
            return [bubblewrap] + bubblewrapOptions(run, mounts) + ["--"] + command
        }
        // What unshare itself has to say is not the container's.
        let start = "exec unshare --mount --pid --fork --kill-child sh -c \"$0\" sh \"$@\" 2> /dev/null"
        return ["sh", "-c", start, unshareScript(run, mounts)] + command
    }

    /// The arguments that run a command in a container's view.
    ///
    /// - Parameter process: the container's first one.
    func arguments(for command: [String], beside process: pid_t, of run: ContainerRun) -> [String] {
        ["nsenter", "--target", "\(process)", "--mount", "--pid", "--root"]
            // The only user that an ordinary one can map is the container's root already.
            + (geteuid() == 0 ? [] : ["--user", "--preserve-credentials"])
            + ["--", "env", "--ignore-environment", "--chdir", run.workingDirectory]
            + environment(of: run).map { "\($0.key)=\($0.value)" }.sorted() + withRights(of: run, command)
    }

    /// A command with what gives it a container's user, groups and capabilities.
    private func withRights(of run: ContainerRun, _ command: [String]) -> [String] {
        var command = command
        if run.user != 0 || run.group != 0 {
            command =
                [
                    "setpriv", "--reuid=\(run.user)", "--regid=\(run.group)", "--inh-caps=-all",
                    run.groups.isEmpty
                        ? "--clear-groups" : "--groups=\(run.groups.map(String.init).joined(separator: ","))",
                ] + command
        }
        if let capabilities = run.capabilities, run.user == 0, geteuid() == 0 {
            let kept = capabilities.sorted().map { ",+\($0.lowercased())" }.joined()
            command = ["setpriv", "--bounding-set=-all\(kept)", "--inh-caps=-all"] + command
        }
        return command
    }

    private func bubblewrapOptions(_ run: ContainerRun, _ mounts: [(Mount, String)]) -> [String] {
        var options = ["--die-with-parent", "--new-session", "--unshare-pid", "--as-pid-1", "--clearenv"]
        if geteuid() != 0 {
            // One user is all that an ordinary user can map: owners other than him cannot be kept.
            // Among his own files the container's root may do what root may: read what has no read permission, say.
            options += ["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL"]
        }
        for directory in Self.hostDirectories where FileManager.default.fileExists(atPath: directory) {
            options += ["--ro-bind", directory, directory]
        }
        options += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777"]
        options += [run.hasReadOnlyRoot ? "--dir" : "--tmpfs", "/tmp"]
        for directory in Self.emptyDirectories { options += ["--dir", directory] }
        for directory in Self.parents(of: mounts.map(\.0.path)) { options += ["--perms", "0755", "--dir", directory] }
        for (mount, directory) in mounts {
            options += [mount.readOnly ? "--ro-bind" : "--bind", directory, mount.path]
        }
        if run.hasReadOnlyRoot { options += ["--remount-ro", "/"] }
        for (name, value) in environment(of: run).sorted(by: { $0.key < $1.key }) {
            options += ["--setenv", name, value]
        }
        return options + ["--chdir", run.workingDirectory]
    }

    /// The directories above some paths, which bubblewrap would make for root alone; those above come first.
    private static func parents(of paths: [String]) -> [String] {
        let all = paths.flatMap { path -> [String] in
            let parts = path.split(separator: "/")
            return parts.indices.dropFirst().map { "/" + parts[..<$0].joined(separator: "/") }
        }
        return Set(all).filter { path in !hostDirectories.contains { path == $0 || path.hasPrefix($0 + "/") } }.sorted()
    }

    /// The same without bubblewrap: a shell sets the mounts up in a tmpfs and makes it the root directory.
    private func unshareScript(_ run: ContainerRun, _ mounts: [(Mount, String)]) -> String {
        let new = quoted(podDirectory(run.id.pod) + "/root")
        var lines = [
            "exec 2>&1", "set -e", "mount --make-rprivate /", "mkdir -p \(new)", "mount -t tmpfs tmpfs \(new)",
            "cd \(new)",
            "mkdir -p proc dev tmp", "chmod 1777 tmp",
        ]
        lines += Self.emptyDirectories.map { "mkdir -p .\($0)" }
        for directory in Self.hostDirectories where FileManager.default.fileExists(atPath: directory) {
            let target = quoted("." + directory)
            lines += [
                "mkdir -p \(target)", "mount --bind \(directory) \(target)", "mount -o remount,bind,ro \(target)",
            ]
        }
        lines += ["mount -t proc proc proc", "mount --rbind /dev dev"]
        for (mount, directory) in mounts {
            let target = quoted("./" + mount.path)
            let place =
                mount.deviceSize == nil
                // A single file is mounted over one that is there.
                ? "[ ! -d \(quoted(directory)) ] || mkdir -p \(target)"
                : "mkdir -p \"$(dirname \(target))\" && touch \(target)"
            lines += [place, "mount --bind \(quoted(directory)) \(target)"]
            if mount.readOnly { lines.append("mount -o remount,bind,ro \(target)") }
        }
        if run.hasReadOnlyRoot { lines.append("mount -o remount,ro .") }
        let variables = environment(of: run).map { quoted("\($0.key)=\($0.value)") }.sorted().joined(separator: " ")
        lines.append(
            "exec env -i \(variables) chroot . sh -c \(quoted("cd \(quoted(run.workingDirectory)) && exec \"$@\"")) sh \"$@\""
        )
        return lines.joined(separator: "\n")
    }

    private func environment(of run: ContainerRun) -> [String: String] {
        ["PATH": Self.searchPath, "HOME": "/root", "LC_ALL": "C.UTF-8"].merging(run.environment) { $1 }
    }

    private func quoted(_ text: String) -> String { "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'" }

    /// Where a program is, or nil.
    static func program(_ name: String, path: String = searchPath) -> String? {
        if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }
}
