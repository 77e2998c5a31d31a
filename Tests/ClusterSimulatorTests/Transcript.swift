import FoundationEssentials
import Kubernetes
import Testing

/// A recorded scenario (`testdata/transcripts/README.md` says how it was made).
struct Transcript: Sendable, CustomTestStringConvertible {
    struct Exchange: Sendable {
        var method: String
        var path: String
        var contentType: String?
        var body: JSON?
        var status: Int
        /// JSON, a string where the body was no JSON, or nil where there was none.
        var answer: JSON?
        /// The pieces of a followed log.
        var chunks: [String]?
        var note: String?
    }

    enum Step: Sendable {
        case exchange(Exchange)
        case watchOpened(name: String, path: String)
        case watchEvent(name: String, JSON)
    }

    let name: String
    /// In recorded order, each with the seconds since the start.
    let steps: [(time: Double, step: Step)]

    var testDescription: String { name }

    static let directory: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/") + "/testdata/transcripts"
    }()

    static let names: [String] = [
        "access_review", "admission", "claim_lost", "claim_of_another_class", "copy_pod", "csi_retype_without_copy",
        "custom_scale", "custom_scale_unset", "default_class", "delete_claim_in_use", "deployment_annotations",
        "deployment_scale", "discovery", "dry_run_of_a_successor", "ephemeral_volume", "errors", "events_and_usage",
        "eviction_and_budget", "hand_over_to_another_namespace", "lease", "list_pages", "log_of_carriage_returns",
        "mover_shapes", "namespace_terminating", "node_bound_volume", "owner_enforcement", "owners",
        "provision_and_delete", "rebind_lost_race", "server_side_apply", "statefulset_recreate", "statefulset_scale",
        "swap_by_clearing_claimref", "swap_volumes", "unprovisionable", "usurper_of_a_reserved_volume",
        "wait_for_first_consumer",
    ]

    init(named name: String) throws {
        self.name = name
        let text = try Data(contentsOf: URL(filePath: "\(Self.directory)/\(name).json"))
        let json = try JSON(parsing: text)
        steps = (json["exchanges"]?.array ?? []).compactMap { entry in
            let time = Self.seconds(entry["t"])
            if let request = entry["request"], let response = entry["response"] {
                let exchange = Exchange(
                    method: request["method"]?.string ?? "",
                    path: request["path"]?.string ?? "",
                    contentType: request["headers"]?["content-type"]?.string,
                    body: request["body"],
                    status: Int(response["status"]?.integer ?? 0),
                    answer: response["body"],
                    chunks: response["chunks"]?.array?.compactMap { $0["text"]?.string },
                    note: entry["note"]?.string
                )
                return (time, .exchange(exchange))
            }
            guard let name = entry["watch"]?.string else { return nil }
            if let event = entry["event"] { return (time, .watchEvent(name: name, event)) }
            if let path = entry["path"]?.string { return (time, .watchOpened(name: name, path: path)) }
            return nil
        }
    }

    private static func seconds(_ value: JSON?) -> Double {
        switch value {
        case .integer(let whole): Double(whole)
        case .number(let number): number
        default: 0
        }
    }

    /// Every object that the recording shows, in the order of appearance.
    var objects: [JSON] {
        var found: [JSON] = []
        for (_, step) in steps {
            switch step {
            case .exchange(let exchange):
                guard let answer = exchange.answer, exchange.status < 300 else { continue }
                if let items = answer["items"]?.array {
                    let kind = (answer["kind"]?.string ?? "").dropLast("List".count)
                    for var item in items {
                        item["kind"] = .string(String(kind))
                        item["apiVersion"] = answer["apiVersion"]
                        found.append(item)
                    }
                } else {
                    found.append(answer)
                }
            case .watchEvent(_, let event):
                if let object = event["object"] { found.append(object) }
            case .watchOpened: continue
            }
        }
        return found.filter { $0["metadata"]?["uid"] != nil }
    }
}
