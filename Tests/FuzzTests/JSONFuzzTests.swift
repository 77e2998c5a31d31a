import Foundation
import Testing

@testable import Kubernetes

@Suite("Damaged JSON")
struct JSONFuzzTests {
    private static let words = [
        "[", "]", "{", "}", ":", ",", "\"", "\"a\":", "null", "true", "false", "\\\"", "\\u00e9", "\\/", " ", "\t",
    ]
    private static let claim = """
        {"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":{"name":"data","namespace":"shop","uid":"u-1",\
        "resourceVersion":"12","generation":3,"labels":{"a":"b"},"annotations":{"kurl.sh/pvcmigrate-scale":"2"},\
        "finalizers":["kubernetes.io/pvc-protection"],"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p",\
        "uid":"u-2","controller":true}]},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"slow",\
        "volumeMode":"Filesystem","volumeName":"pv-1","resources":{"requests":{"storage":"16Mi"}}},\
        "status":{"phase":"Bound","capacity":{"storage":16777216}}}
        """
    private static let mutator = Mutator(
        samples: [
            claim,
            #"{"kind":"PersistentVolumeClaimList","metadata":{"continue":"t","resourceVersion":"9"},"items":[\#(claim)]}"#,
            #"{"kind":"Status","code":409,"reason":"Conflict","message":"no","details":{"retryAfterSeconds":1}}"#,
            #"[0, -1, 1.5, 1e3, -2.5E-3, "a\"b\\c\/d\n\u00e9\ud83d\ude00", {"a": {"a": [[]], "b": null}}, true]"#,
        ],
        words: words
    )

    @Test("is refused, or is a value that is the same when it was written and read again")
    func values() async throws {
        try await fuzz("JSON values", Self.mutator) { input in
            let value: JSON
            do { value = try JSON(parsing: Data(input)) } catch { return }
            let text = value.text
            let again = try JSON(parsing: text)
            try hold(
                again == value && again.text == text,
                "read again as \(String(decoding: again.text, as: UTF8.self))"
            )
        }
    }

    @Test("of the server is an object, or an error of one short line")
    func objects() async throws {
        let transport = Answer()
        let client = Client(transport: transport, patience: .zero)
        try await fuzz("Objects", Self.mutator) { input in
            for status in [200, 409] {
                transport.set(Response(status: status, body: Data(input)))
                do {
                    let list = try await client.list(PersistentVolumeClaim.self)
                    for claim in list { _ = (claim.phase, claim.metadata.controller, claim.storageClassName) }
                } catch let error as APIError {
                    try hold(!error.message.isEmpty, "the message is empty")
                    try hold(error.message.utf8.count < 5000, "the message has \(error.message.utf8.count) bytes")
                }
            }
        }
    }
}
