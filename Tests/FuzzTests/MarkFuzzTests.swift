import Foundation
import Kubernetes
import Testing

@testable import Migration

@Suite("Damaged marks")
struct MarkFuzzTests {
    @Test("are no seal, or one with all that is read of it")
    func seals() async throws {
        let mutator = Mutator(
            samples: [
                #"{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":"shop","#
                    + #""uid":"u-1","annotations":{"a":"b"}},"spec":{"volumeName":"pv-1","storageClassName":"slow","#
                    + #""accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}"#
            ],
            words: ["{", "}", "[", "]", ":", ",", "\"", "null"]
        )
        try await fuzz("Seals", mutator) { input in
            let volume: JSON = [
                "metadata": [
                    "name": "pv-2", "uid": "u-2", "resourceVersion": "1",
                    "annotations": .object([Marks.manifest: .string(String(decoding: input, as: UTF8.self))]),
                ],
                "spec": [:],
            ]
            let read = try JSONDecoder().decode(PersistentVolume.self, from: volume.text)
            guard let seal = Seal(of: read) else { return }
            try hold(JSON(parsing: seal.manifest.text) == seal.manifest, "the manifest is another when read again")
            _ = (seal.name, seal.sourceVolume, seal.sourceClass, seal.accessModes)
        }
    }

    @Test("are no owner of data, or one that is not root and is read again as it is written")
    func owners() async throws {
        let mutator = Mutator(
            samples: [#"{"fsGroup":7,"runAsGroup":6,"runAsUser":5,"supplementalGroups":[8,9]}"#],
            words: ["{", "}", "[", "]", ":", ",", "\"", "null", "-", "0"]
        )
        try await fuzz("Owners", mutator) { input in
            guard let owner = DataOwner(mark: String(decoding: input, as: UTF8.self)) else { return }
            try hold(DataOwner(mark: owner.mark) == owner, "the owner is another when read again: \(owner.mark)")
            try hold(owner.podContext["runAsUser"]?.integer ?? 0 > 0, "the owner is root: \(owner.mark)")
        }
    }

    @Test("of a stopped workload are no record, or one with its UID and a scale that the API takes")
    func records() async throws {
        let mutator = Mutator(
            samples: [
                #"{"apiVersion":"v1","kind":"Pod","namespace":"shop","name":"web","uid":"u","claims":["data"],"scale":1,"#
                    + #""manifest":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop"}}}"#,
                #"{"apiVersion":"v1","kind":"Pod","namespace":"shop","name":"x","uid":"u","claims":[],"scale":2147483648}"#,
                #"{"apiVersion":"a.b/v1","kind":"R","namespace":"shop","name":"db","uid":"u","claims":[],"scale":3,"#
                    + #""patch":{"spec":{"paused":true}},"inverse":{"spec":{"paused":null}}}"#,
            ],
            words: ["{", "}", "[", "]", ":", ",", "\"", "null", "-", "9999999999", "1e9"]
        )
        func volume(bearing text: String) throws -> PersistentVolume {
            let volume: JSON = [
                "metadata": [
                    "name": "pv-1", "uid": "u-1", "resourceVersion": "1",
                    "annotations": .object([Marks.stopped + "u": .string(text)]),
                ],
                "spec": [:],
            ]
            return try JSONDecoder().decode(PersistentVolume.self, from: volume.text)
        }
        try await fuzz("Records", mutator) { input in
            let read = try volume(bearing: String(decoding: input, as: UTF8.self))
            guard let record = StoppedRecord(of: "u", on: read) else { return }
            try hold(record.uid == "u" && 0...Int(Int32.max) ~= record.scale, "\(record)")
            try hold(
                StoppedRecord(of: "u", on: try volume(bearing: record.text())) == record,
                "another when read again"
            )
        }
    }

    @Test("of a workload are no scale, or one that the API takes")
    func scales() async throws {
        let mutator = Mutator(samples: ["2", "0", "10000"], words: ["-", "+", " "])
        try await fuzz("Scales", mutator) { input in
            let set: JSON = [
                "metadata": [
                    "name": "db", "namespace": "shop", "uid": "u", "resourceVersion": "1",
                    "annotations": .object([Marks.scale: .string(String(decoding: input, as: UTF8.self))]),
                ],
                "spec": [
                    "replicas": 0, "selector": [:], "template": ["spec": ["containers": []]],
                    "volumeClaimTemplates": [["metadata": ["name": "data"]]],
                ],
            ]
            let workload = try #require(
                Workload(try JSONDecoder().decode(WorkloadObject.self, from: set.text), of: .statefulSets)
            )
            do {
                let scale = try workload.markedScale() ?? 0
                try hold(0...Int(Int32.max) ~= scale, "the scale is \(scale)")
            } catch let error as Refusal {
                try hold(error.description.utf8.count < 5000, "the message has \(error.description.utf8.count) bytes")
            }
        }
    }
}
