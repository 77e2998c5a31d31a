import FoundationEssentials
import Kubernetes

@testable import ClusterSimulator

/// Plays a recorded scenario against a fresh simulated cluster and collects where it answers differently.
struct Replay {
    struct Difference: CustomStringConvertible {
        /// `exchange 3 PATCH …/data .status.phase` or `watch pv data`.
        var place: String
        var text: String
        var description: String { place + ": " + text }
    }

    private let transcript: Transcript
    private var cluster: Cluster
    private var names: NameMap
    /// By the recording's name for the stream and its path: a name is used again.
    private var watches: [[String]: Watch] = [:]
    /// Events by stream, recorded and simulated, as they came.
    private var recordedEvents: [String: [JSON]] = [:]
    private var actualEvents: [String: [JSON]] = [:]
    private(set) var differences: [Difference] = []

    init(_ transcript: Transcript) throws {
        self.transcript = transcript
        cluster = try Self.makeCluster(seed: Scenarios.seed(of: transcript.name))
        names = NameMap(transcript)
        try Scenarios.prepare(transcript, &cluster)
    }

    /// The cluster that the recordings were made on.
    static func makeCluster(seed: UInt64) throws -> Cluster {
        var cluster = Cluster(seed: seed)
        for node in ["node-1", "node-2"] { cluster.addNode(node) }
        for (name, mode, isDefault) in [
            ("src-sc", "Immediate", true), ("dst-sc", "Immediate", false), ("dst-wffc", "WaitForFirstConsumer", false),
        ] as [(String, JSON, Bool)] {
            var applied: JSON = [
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": ["annotations": [:], "name": .string(name)], "provisioner": "kubernetes.io/host-path",
                "reclaimPolicy": "Delete", "volumeBindingMode": mode,
            ]
            let annotation = "storageclass.kubernetes.io/is-default-class"
            if isDefault { applied[path: ["metadata", "annotations", annotation]] = "true" }
            var object = applied
            object[path: ["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"]] = .string(
                String(decoding: applied.compactText, as: UTF8.self) + "\n"
            )
            try cluster.create(.storageClasses, object)
        }
        try cluster.create(.namespaces, ["metadata": ["name": "rec"]])
        return cluster
    }

    mutating func run() throws {
        let start = cluster.now
        for (index, (time, step)) in transcript.steps.enumerated() {
            // The times are those of the answers; what was asked took effect a little earlier.
            cluster.advance(to: start + .milliseconds(Int(time * 1000) - 2))
            drainWatches()
            names.resolve(in: cluster)
            Scenarios.teach(&names, transcript.name, cluster)
            switch step {
            case .exchange(let exchange): play(exchange, index)
            case .watchOpened(let name, let path): openWatch(name, path)
            case .watchEvent(let name, let event):
                if Scenarios.isOfOthers(event["object"], transcript.name) { continue }
                recordedEvents[name, default: []].append(event)
            }
            drainWatches()
            try Scenarios.act(after: index, transcript, &cluster)
        }
        cluster.advance(to: cluster.now + .milliseconds(500))
        drainWatches()
        compareWatches()
    }

    // MARK: Exchanges

    private mutating func play(_ exchange: Transcript.Exchange, _ index: Int) {
        let place = "exchange \(index) \(exchange.method) \(exchange.path)"
        let (request, user) = Scenarios.request(for: exchange, index, transcript.name, names)
        let response: Response
        if Cluster.isStreaming(request) {
            response = stream(request, as: user)
        } else {
            response = cluster.handle(request, as: user)
        }
        if response.status != exchange.status {
            let body = String(decoding: response.body.prefix(600), as: UTF8.self)
            add(place, "recorded status \(exchange.status), but \(response.status) \(body)")
            return
        }
        if let chunks = exchange.chunks {
            compareText(
                chunks.map(Self.withoutMoment).joined(),
                Self.withoutMoment(String(decoding: response.body, as: UTF8.self)),
                place
            )
            return
        }
        guard let answer = exchange.answer else { return }
        if let text = answer.string {
            compareText(text, String(decoding: response.body, as: UTF8.self), place)
            return
        }
        guard let actual = try? JSON(parsing: response.body) else {
            add(place, "the answer is no JSON: \(String(decoding: response.body.prefix(200), as: UTF8.self))")
            return
        }
        learn(answer, actual)
        names.resolve(in: cluster)
        compare(answer, actual, place)
    }

    /// A value for comparison. On which node a pod lands is the scheduler's choice, and matters in one recording.
    private func plain(_ value: JSON) -> JSON {
        Comparison.normalized(value, hidesNodes: transcript.name != "node_bound_volume")
    }

    private mutating func compare(_ answer: JSON, _ actual: JSON, _ place: String) {
        var recorded = plain(names.value(answer))
        var actual = plain(actual)
        // Which causes there are matters, not how often the server repeats one.
        for path in [["details", "causes"]] {
            func unique(_ value: JSON?) -> JSON? {
                value?.array.map { causes in
                    .array(causes.reduce(into: []) { if !$0.contains($1) { $0.append($1) } })
                }
            }
            recorded[path: path] = unique(recorded[path: path])
            actual[path: path] = unique(actual[path: path])
        }
        for (path, text) in Comparison.differences(recorded, actual) { add(place + " " + path, text) }
    }

    private mutating func compareText(_ recorded: String, _ actual: String, _ place: String) {
        if Self.withoutNumbers(recorded) == Self.withoutNumbers(actual) { return }
        add(place, "recorded \(recorded.debugDescription), but \(actual.debugDescription)")
    }

    /// rsync's progress tells of the machine's speed.
    private static func withoutNumbers(_ text: String) -> String {
        guard text.contains("xfr#") else { return text }
        var plain = ""
        for character in text {
            if character.isNumber || ",.: ".contains(character) {
                if plain.last != "0" { plain.append("0") }
            } else {
                plain.append(character)
            }
        }
        return plain
    }

    private static func withoutMoment(_ line: String) -> String {
        line.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard let space = line.firstIndex(of: " "), line[..<space].hasSuffix("Z") else { return String(line) }
            return String(line[line.index(after: space)...])
        }.joined(separator: "\n")
    }

    /// Takes over the names of an object that both sides show.
    private mutating func learn(_ recorded: JSON, _ actual: JSON) {
        let left = recorded["metadata"]
        let right = actual["metadata"]
        names.learnVersion(recorded: left?["resourceVersion"]?.string, actual: right?["resourceVersion"]?.string)
        for field in ["uid", "name", "continue"] {
            guard let before = left?[field]?.string, let after = right?[field]?.string else { continue }
            names.learn(recorded: before, actual: after)
        }
        let identity = ["volumeAttributes", "storage.kubernetes.io/csiProvisionerIdentity"]
        for field in [["volumeHandle"], identity] {
            guard let before = recorded[path: ["spec", "csi"] + field]?.string,
                let after = actual[path: ["spec", "csi"] + field]?.string
            else { continue }
            names.learn(recorded: before, actual: after)
        }
        if let before = recorded["items"]?.array, let after = actual["items"]?.array, before.count == after.count {
            for (left, right) in zip(before, after) where left.name == right.name { learn(left, right) }
        }
        for volume in recorded["spec"]?["volumes"]?.array ?? [] {
            guard let name = volume["name"]?.string, name.hasPrefix("kube-api-access-") else { continue }
            for other in actual["spec"]?["volumes"]?.array ?? [] {
                guard let name2 = other["name"]?.string, name2.hasPrefix("kube-api-access-") else { continue }
                names.learn(recorded: name, actual: name2)
            }
        }
    }

    /// The lines that a stream has by now.
    private mutating func stream(_ request: Request, as user: User) -> Response {
        switch cluster.open(request, as: user) {
        case .answer(let response): return response
        case .log(let query): return query.answer(in: cluster)
        case .watch(var watch):
            var body = Data()
            while case .piece(let piece) = watch.next(in: cluster) { body.append(piece) }
            return Response(status: 200, body: body)
        }
    }

    // MARK: Watches

    private mutating func openWatch(_ name: String, _ path: String) {
        guard case .watch(let watch) = cluster.open(Request(.get, names.text(path)), as: .admin) else {
            add("watch " + name, "was refused")
            return
        }
        // A first try that was refused does not count.
        if recordedEvents[name]?.allSatisfy({ $0["type"] == "ERROR" }) == true {
            recordedEvents[name] = []
            actualEvents[name] = []
        }
        watches[[name, path]] = watch
    }

    private mutating func drainWatches() {
        for key in watches.keys.sorted(by: { $0[1] < $1[1] }) {
            guard var watch = watches[key] else { continue }
            while case .piece(let piece) = watch.next(in: cluster) {
                if let event = try? JSON(parsing: piece) { actualEvents[key[0], default: []].append(event) }
            }
            watches[key] = watch
        }
    }

    private mutating func compareWatches() {
        names.resolve(in: cluster)
        for name in recordedEvents.keys.sorted() {
            let recorded = (recordedEvents[name] ?? []).map { names.value($0) }
            let actual = actualEvents[name] ?? []
            compareLives(name, lives(recorded), lives(actual))
            compareOrder(name, recorded, actual)
        }
    }

    /// What happened to each object: the sequence of its events as far as a client would act on them.
    private func lives(_ events: [JSON]) -> [String: [JSON]] {
        var lives: [String: [JSON]] = [:]
        for event in events {
            guard let object = event["object"], object["metadata"]?["name"] != nil else { continue }
            let entry: JSON = ["type": event["type"] ?? "", "state": plain(Comparison.digest(object))]
            let name = object["kind"] == "Event" ? (object["involvedObject"]?["name"]?.string ?? "") : object.name
            if lives[name]?.last?["state"] == entry["state"], entry["type"] == "MODIFIED" { continue }
            lives[name, default: []].append(entry)
        }
        return lives
    }

    private mutating func compareLives(_ stream: String, _ recorded: [String: [JSON]], _ actual: [String: [JSON]]) {
        for name in Set(recorded.keys).union(actual.keys).sorted() {
            let (left, right) = (recorded[name] ?? [], actual[name] ?? [])
            if Self.isSame(left, right) { continue }
            func lines(_ life: [JSON]) -> String { life.map { "\n      " + Comparison.short($0) }.joined() }
            add("watch \(stream) \(name)", "\n    recorded:\(lines(left))\n    but:\(lines(right))")
        }
    }

    /// Whether two lives are the same, where one watch may have begun a moment later than the other.
    private static func isSame(_ left: [JSON], _ right: [JSON]) -> Bool {
        let (long, short) = left.count >= right.count ? (left, right) : (right, left)
        let missed = long.count - short.count
        guard missed <= 2, let first = short.first, first["type"] == "ADDED" else { return long == short }
        return long[missed]["state"] == first["state"] && long.dropFirst(missed + 1) == short.dropFirst()
            && long[...missed].dropFirst().allSatisfy { $0["type"] == "MODIFIED" }
    }

    /// The order in which objects with names of their own came and went.
    private mutating func compareOrder(_ stream: String, _ recorded: [JSON], _ actual: [JSON]) {
        func order(_ events: [JSON]) -> [String] {
            events.compactMap { event in
                guard event["type"] != "MODIFIED", let object = event["object"], object["kind"] != "Event",
                    object["metadata"]?["generateName"] == nil || object.name.hasPrefix("web-")
                else { return nil }
                return (event["type"]?.string ?? "") + " " + object.name
            }
        }
        let (left, right) = (order(recorded), order(actual))
        if left != right { add("watch \(stream) order", "recorded \(left), but \(right)") }
    }

    private mutating func add(_ place: String, _ text: String) {
        differences.append(Difference(place: place, text: text))
    }
}
