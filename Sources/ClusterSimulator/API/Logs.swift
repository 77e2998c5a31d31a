import FoundationEssentials
import Kubernetes

/// A request for a container's log.
struct LogQuery: Sendable {
    let podUID: String
    let container: String
    let follows: Bool
    private let previous: Bool
    private let timestamps: Bool
    private let tailLines: Int?
    private let limitBytes: Int?
    /// Only what was written since, in time since the cluster's start.
    private let since: Duration?
    /// The pod is not on a node yet, so that there is nothing to ask.
    let isUnscheduled: Bool

    init(_ query: [String: String], pod: JSON, in cluster: Cluster) throws(Refusal) {
        podUID = pod.uid
        func flag(_ name: String) -> Bool { ["1", "true"].contains(query[name] ?? "") }
        follows = flag("follow")
        previous = flag("previous")
        timestamps = flag("timestamps")
        tailLines = query["tailLines"].flatMap { Int($0) }
        limitBytes = query["limitBytes"].flatMap { Int($0) }.map { max(0, $0) }
        if let seconds = query["sinceSeconds"].flatMap({ Int($0) }) {
            since = cluster.now - .seconds(seconds)
        } else if let moment = query["sinceTime"].flatMap({ Timestamp.seconds($0) }) {
            since = .seconds(moment - cluster.epoch)
        } else {
            since = nil
        }
        let names = ["containers", "initContainers", "ephemeralContainers"].flatMap {
            (pod["spec"]?[$0]?.array ?? []).compactMap { $0["name"]?.string }
        }
        let main = (pod["spec"]?["containers"]?.array ?? []).compactMap { $0["name"]?.string }
        if let asked = query["container"], !asked.isEmpty {
            guard names.contains(asked) else {
                throw .badRequest("container \(asked) is not valid for pod \(pod.name)")
            }
            container = asked
        } else if names.count == 1 || main.count == 1 && names.count == main.count {
            container = names[0]
        } else {
            let marked = pod["metadata"]?["annotations"]?["kubectl.kubernetes.io/default-container"]?.string
            guard let marked, names.contains(marked) else {
                throw .badRequest(
                    "a container name must be specified for pod \(pod.name), choose one of: "
                        + "[\(main.joined(separator: " "))]"
                )
            }
            container = marked
        }
        isUnscheduled = pod["spec"]?["nodeName"] == nil
        if isUnscheduled { return }
        try checkState(of: pod)
    }

    private func checkState(of pod: JSON) throws(Refusal) {
        let statuses = ["containerStatuses", "initContainerStatuses"].flatMap { pod["status"]?[$0]?.array ?? [] }
        let status = statuses.first { $0["name"]?.string == container }
        if previous {
            guard status?["lastState"]?["terminated"] != nil else {
                throw .badRequest("previous terminated container \"\(container)\" in pod \"\(pod.name)\" not found")
            }
            return
        }
        let state = status?["state"]
        if state?["running"] != nil || state?["terminated"] != nil { return }
        if status?["lastState"]?["terminated"] != nil { return }
        let phase = pod["status"]?["phase"]?.string
        if status == nil, phase == "Failed" || phase == "Succeeded" {
            throw .badRequest("container \"\(container)\" in pod \"\(pod.name)\" is not available")
        }
        let reason = state?["waiting"]?["reason"]?.string ?? "ContainerCreating"
        let why = ["ErrImagePull", "ImagePullBackOff"].contains(reason) ? "trying and failing to pull image" : reason
        throw .badRequest("container \"\(container)\" in pod \"\(pod.name)\" is waiting to start: \(why)")
    }

    func log(in cluster: Cluster) -> ContainerLog? {
        let logs = cluster.logs[podUID]?[container]
        return previous ? logs?.previous : logs?.current
    }

    /// The log as it is now.
    func answer(in cluster: Cluster) -> Response {
        if isUnscheduled { return Response(status: 204) }
        var text = Data()
        var position = LogPosition()
        while let piece = next(&position, in: cluster) { text.append(piece) }
        if let limitBytes { text = text.prefix(limitBytes) }
        return Response(status: 200, headers: [("Content-Type", "text/plain")], body: text)
    }

    /// How far a reader has come.
    struct LogPosition: Sendable {
        fileprivate var piece: Int?
        fileprivate var isAtLineStart = true
    }

    /// The next piece of the log, nil where there is none yet.
    func next(_ position: inout LogPosition, in cluster: Cluster) -> Data? {
        guard let log = log(in: cluster) else { return nil }
        let pieces = log.pieces
        // Who follows goes on in the next file.
        var index = position.piece ?? max(log.newest, firstPiece(of: pieces))
        if let since {
            while index < pieces.count, pieces[index].time < since { index += 1 }
        }
        position.piece = index
        guard index < pieces.count else { return nil }
        let piece = pieces[index]
        position.piece = index + 1
        defer { position.isAtLineStart = piece.text.last == UInt8(ascii: "\n") }
        guard timestamps, position.isAtLineStart else { return piece.text }
        let (seconds, attoseconds) = piece.time.components
        let digits = String(attoseconds / 1_000_000_000)
        let fraction = String(repeating: "0", count: 9 - digits.count) + digits
        return Data("\(Timestamp.text(cluster.epoch + Int(seconds)).dropLast()).\(fraction)Z ".utf8) + piece.text
    }

    /// Where `tailLines` begins.
    private func firstPiece(of pieces: [ContainerLog.Piece]) -> Int {
        guard let tailLines else { return 0 }
        var lines = 0
        for index in pieces.indices.reversed() {
            if pieces[index].text.last == UInt8(ascii: "\n") || index == pieces.count - 1 {
                if lines == tailLines { return index + 1 }
                lines += 1
            }
        }
        return 0
    }
}
