import ArgumentParser
import FoundationEssentials
import Glibc
import Kubernetes

/// The command: one migration of a new sandbox cluster, seen from outside.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate-bench",
        abstract: "Migrates claims of an empty cluster and prints, as JSON, how long it took and what it cost.",
        discussion: """
            Creates Deployments with claims, lets pvmigrate move them from one StorageClass to another, or does so by \
            the schedule of the Go tool, and watches from outside when each Deployment stops and starts. In the end \
            every claim has to be on the other class, and every Deployment ready on the files that it wrote before.
            """
    )

    @Option(help: "The cluster's kubeconfig; everything in it belongs to the benchmark.")
    var kubeconfig: String

    @Option(help: "The pvmigrate to measure (default: the Go tool's schedule).")
    var program: String?

    @Option(help: "How many claims.")
    var claims = 8

    @Option(help: "How many Deployments share the claims evenly (default: one for each claim).")
    var workloads: Int?

    @Option(help: "How many files each claim holds; 0 where the sandbox only models its containers.")
    var files = 100

    @Option(help: "How many bytes each file has.")
    var size = 64 << 10

    @Option(help: "How large each claim is, and a file in it that is one hole; in bytes.")
    var apparent = 0

    @Flag(help: "Let the Deployment write all the time; for one claim.")
    var writes = false

    @Argument(help: "Further arguments for pvmigrate, after --.")
    var arguments: [String] = []

    func validate() throws {
        if claims < 1 { throw ValidationError("--claims must be at least 1") }
        // Nobody stops a Deployment without a claim: it would be waited for.
        if let workloads, !(1...claims).contains(workloads) {
            throw ValidationError("--workloads must be between 1 and the number of claims")
        }
        if files < 0 || size < 0 || apparent < 0 {
            throw ValidationError("--files, --size and --apparent must not be negative")
        }
        if writes, claims > 1 { throw ValidationError("--writes is for one claim") }
    }

    func run() async throws {
        let transport = try CurlTransport.make(
            try Configuration.load(kubeconfig: kubeconfig, context: nil, environment: [:], home: nil),
            userAgent: "pvmigrate-bench"
        )
        let client = Client(transport: transport)
        var world = World(client: client, claims: claims, workloads: workloads ?? claims, files: files, size: size)
        world.apparent = apparent
        world.writes = writes
        try await world.create()
        let witness = Witness(client: client)
        async let wrote = writes ? witness.wrote() : 0
        let watch = OutageWatch(client: client, workloads: world.workloadNames)
        async let outages = watch.observe()
        try await watch.begin()
        let before = try await RequestCounts(of: transport)
        let start = ContinuousClock.now
        var usage: Usage?
        if let program {
            let classes = ["--source-sc", World.sourceClass, "--dest-sc", World.destinationClass]
            usage = try await Usage.run([program, "--kubeconfig", kubeconfig] + classes + arguments)
        } else {
            try await GoSchedule(client: client).run()
        }
        let wall = start.duration(to: .now)
        let requests = try await RequestCounts(of: transport) - before
        // First of all, as there is no outage to wait for where nothing was migrated.
        try await world.verify()
        let moments = try await outages
        if writes {
            let (wrote, found) = (try await wrote, try await witness.found())
            guard wrote > 0, found >= wrote else {
                throw BenchError("the writer had written \(wrote) rows, and found \(found)")
            }
        }
        var result: JSON = [
            "claims": .integer(Int64(claims)), "wall": wall.json, "requests": requests.json,
            "outage": .number(median(moments.compactMap(\.untilStarted))),
            "unready": .number(median(moments.compactMap(\.untilReady))),
            "longest": .number(moments.compactMap(\.untilReady).map(\.seconds).max() ?? 0),
        ]
        if let usage {
            result["cpu"] = usage.cpu.json
            result["memory"] = .integer(usage.memory)
        }
        print(String(decoding: result.text, as: UTF8.self))
        // Not by returning: `exit` would take OpenSSL down below the threads of libcurl that still run.
        fflush(nil)
        _exit(0)
    }

    private func median(_ durations: [Duration]) -> Double {
        let sorted = durations.sorted()
        guard !sorted.isEmpty else { return 0 }
        return (sorted[(sorted.count - 1) / 2].seconds + sorted[sorted.count / 2].seconds) / 2
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
    /// Its seconds, to the millisecond.
    var json: JSON { .number((seconds * 1000).rounded() / 1000) }
}

/// Why there is nothing to print.
struct BenchError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
