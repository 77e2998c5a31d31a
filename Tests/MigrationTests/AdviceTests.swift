import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

@Suite("Preflight's advice")
struct AdviceTests {
    private static func decoded<Value: Decodable>(_ json: JSON) throws -> Value {
        try JSONDecoder().decode(Value.self, from: json.text)
    }

    private static func metadata(_ name: String) -> JSON {
        ["name": .string(name), "uid": .string(name), "resourceVersion": "1"]
    }

    /// What is advised for one claim of a driver, with these parameters of its two classes.
    private static func ways(
        driver: String = "d",
        _ old: JSON,
        _ new: JSON,
        attributes: JSON? = nil,
        goal: Options.Goal = .migrate,
        obstacles: [Obstacle] = []
    ) throws -> String {
        var options = Options(sourceClass: "slow", destinationClass: "fast")
        options.goal = goal
        var state = ClaimState(Transfer(of: ObjectName("data", in: "shop"), uid: "c"))
        state.source = try decoded([
            "metadata": metadata("v"), "spec": ["csi": ["driver": .string(driver), "volumeHandle": "1"]],
        ])
        var discovery = Discovery()
        discovery.units = [Unit(claims: [state], workloads: [], obstacles: obstacles)]
        discovery.classes = try [("slow", old), ("fast", new)].map { name, parameters in
            try decoded(["metadata": metadata(name), "provisioner": .string(driver), "parameters": parameters])
        }
        let classes: [VolumeAttributesClass] =
            try attributes.map {
                [try decoded(["metadata": metadata("gold"), "driverName": .string(driver), "parameters": $0])]
            } ?? []
        return options.ways(discovery, classes).joined(separator: "\n")
    }

    @Test("names --retype where the driver is the same, with what has to be accepted")
    func retype() throws {
        #expect(try Self.ways([:], [:]) == "the volumes can be of it as they are, without a copy: --retype")
        #expect(try Self.ways(["type": "gp2"], ["type": "gp3"]).contains("--retype --accept type, where they may stay"))
        #expect(try Self.ways([:], [:], goal: .retype) == "")
    }

    @Test("gives the patch of a VolumeAttributesClass where only what it makes differs, and else none")
    func attributes() throws {
        let patch =
            "kubectl patch pvc -n shop data --type merge -p '{\"spec\":{\"volumeAttributesClassName\":\"gold\"}}'"
        let (old, new): (JSON, JSON) = (["iops": "1", "x": "y"], ["iops": "9", "x": "y"])
        #expect(try Self.ways(old, new, attributes: ["iops": "9"]).contains(patch))
        #expect(try !Self.ways(old, new).contains("kubectl"))
        #expect(try !Self.ways(old, new, attributes: ["iops": "8"]).contains("kubectl"))
        #expect(try !Self.ways(old, new, attributes: ["iops": "9", "throughput": "1"]).contains("kubectl"))
        #expect(try !Self.ways(old, ["iops": "9", "x": "z"], attributes: ["iops": "9"]).contains("kubectl"))
    }

    @Test("names the storage's own way", arguments: ["csi.vsphere.vmware.com", "csi-powermax.dellemc.com"])
    func ownWay(driver: String) throws {
        #expect(try Self.ways(driver: driver, [:], [:]).contains("itself"))
    }

    @Test("names KubeVirt's own way where a virtual machine has the claim")
    func virtualMachines() throws {
        let obstacle = Obstacle(
            namespace: "shop",
            resource: "Pod shop/virt-launcher",
            message: "belongs to VirtualMachine shop/vm"
        )
        #expect(try Self.ways([:], [:], obstacles: [obstacle]).contains("updateVolumesStrategy: Migration"))
        #expect(try !Self.ways([:], [:]).contains("KubeVirt"))
    }
}
