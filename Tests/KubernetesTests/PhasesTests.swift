import FoundationEssentials
import Kubernetes
import Testing

@Suite("Phases, policies and modes")
struct PhasesTests {
    @Test("an unknown value is read, told and written as it is")
    func unknown() throws {
        let text = Data(
            """
            {"metadata":{"name":"pv","uid":"u","resourceVersion":"1"},"status":{"phase":"Mending"},
            "spec":{"persistentVolumeReclaimPolicy":"Archive","accessModes":["ReadWriteOnce","ReadTwice"]}}
            """.utf8
        )
        let volume = try JSONDecoder().decode(PersistentVolume.self, from: text)
        #expect("\(volume.phase) \(volume.reclaimPolicy)" == "Mending Archive")
        #expect(volume.spec.accessModes == [.readWriteOnce, AccessMode(rawValue: "ReadTwice")])
        #expect(JSON(volume.reclaimPolicy) == "Archive")
        #expect(try JSONEncoder().encode([volume.phase]) == Data(#"["Mending"]"#.utf8))
    }
}
