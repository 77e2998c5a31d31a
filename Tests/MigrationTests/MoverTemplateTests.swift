import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("A template of the person's for movers")
struct MoverTemplateTests {
    private static let template: JSON = [
        "kind": "Pod",
        "metadata": ["labels": ["team": "storage"], "annotations": ["note": "x"]],
        "spec": [
            "nodeSelector": ["kubernetes.io/hostname": "node-2"], "priorityClassName": .null,
            "tolerations": [["key": "dedicated", "operator": "Exists"]],
            "imagePullSecrets": [["name": "registry"]], "serviceAccountName": "mover",
            "securityContext": ["fsGroup": 7],
            "volumes": [["name": "extra", "emptyDir": [:]]],
            "containers": [
                [
                    "name": "any", "resources": ["requests": ["cpu": "1"], "limits": ["memory": "1Gi"]],
                    "securityContext": ["readOnlyRootFilesystem": true],
                    "volumeMounts": [["name": "extra", "mountPath": "/extra"]],
                ]
            ],
        ],
    ]

    private static func mover(onlyOn node: String? = nil, template: JSON) throws -> JSON {
        var placement = Placement(of: ClaimState(Transfer(of: ObjectName("data", in: "shop"), uid: "")))
        placement.node = node
        placement.onlyThere = node != nil
        return MoverPod(
            name: ObjectName("migrate-data", in: "shop"),
            sourceClaim: "data",
            sourceUID: "1",
            stagingClaim: "data-pvcmigrate",
            image: "rsync",
            content: RsyncFlags(),
            placement: placement,
            deadline: 100,
            template: try MoverTemplate(template)
        ).manifest
    }

    @Test("objects merge, lists are appended, and the one container goes into each of the mover's")
    func merges() throws {
        let pod = try Self.mover(onlyOn: "node-1", template: Self.template)
        #expect(pod[path: ["metadata", "name"]] == "migrate-data")
        #expect(pod[path: ["metadata", "labels", "team"]] == "storage")
        #expect(pod[path: ["metadata", "annotations", Marks.kind]] == .string(Marks.Kind.mover))
        let spec = try #require(pod["spec"])
        #expect(spec["serviceAccountName"] == "mover" && spec["restartPolicy"] == "Never")
        #expect(spec["priorityClassName"] == nil, "an empty key of YAML means nothing")
        #expect(spec["tolerations"]?.array?.last == ["key": "dedicated", "operator": "Exists"])
        #expect((spec["tolerations"]?.array?.count ?? 0) > 1)
        #expect(spec["volumes"]?.array?.compactMap { $0["name"]?.string } == ["source", "dest", "extra"])
        for (list, name, program) in [
            ("initContainers", MoverPod.copyContainer, "sh"), ("containers", MoverPod.checkContainer, "rsync"),
        ] {
            let container = try #require(spec[list]?.array?.first)
            #expect(container["name"]?.string == name && container["command"] == [.string(program)])
            #expect(container[path: ["resources", "requests", "cpu"]] == "1")
            #expect(container[path: ["securityContext", "readOnlyRootFilesystem"]] == true)
            #expect(container[path: ["securityContext", "allowPrivilegeEscalation"]] == false)
            let paths = container["volumeMounts"]?.array?.compactMap { $0["mountPath"]?.string }
            #expect(paths == ["/source", "/dest", "/extra"])
        }
    }

    @Test("a node affinity narrows where the mover may run, and never widens it")
    func affinity() throws {
        let path = ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]
        var template: JSON = [:]
        template[path: ["spec"] + path] = [
            ["matchExpressions": [["key": "zone", "operator": "In", "values": ["a"]]]],
            ["matchExpressions": [["key": "zone", "operator": "In", "values": ["b"]]]],
        ]
        let terms = try Self.mover(onlyOn: "node-1", template: template)[path: ["spec"] + path]?.array ?? []
        #expect(terms.count == 2)
        for term in terms {
            #expect(term["matchFields"]?.array?.first?["values"] == ["node-1"])
            #expect(term["matchExpressions"]?.array?.count == 1)
        }
        let alone = try Self.mover(template: template)[path: ["spec"] + path]
        #expect(alone == template[path: ["spec"] + path])
    }

    @Test(
        "what would break the copy is refused, and named",
        arguments: [
            ("metadata.name", ["metadata": ["name": "mine"]]),
            ("metadata.finalizers", ["metadata": ["finalizers": ["x/y"]]]),
            ("metadata.annotations.\(Marks.kind)", ["metadata": ["annotations": .object([Marks.kind: "x"])]]),
            ("kind must be Pod", ["kind": "Deployment"]),
            ("spec must be a mapping", ["spec": []]),
            ("spec.restartPolicy", ["spec": ["restartPolicy": "Always"]]),
            ("spec.initContainers", ["spec": ["initContainers": [["name": "x"]]]]),
            ("spec.volumes[0].name can't be dest", ["spec": ["volumes": [["name": "dest", "emptyDir": [:]]]]]),
            ("may have one element", ["spec": ["containers": [[:], [:]]]]),
            ("spec.containers[0].command", ["spec": ["containers": [["command": ["sh"]]]]]),
            ("spec.containers[0].args", ["spec": ["containers": [["args": ["x"]]]]]),
            ("spec.containers[0].restartPolicy", ["spec": ["containers": [["restartPolicy": "Always"]]]]),
            ("--rsync-image", ["spec": ["containers": [["image": "x"]]]]),
            (
                "volumeMounts[0].mountPath can't be /dest/x",
                ["spec": ["containers": [["volumeMounts": [["name": "x", "mountPath": "/dest/x"]]]]]]
            ),
        ] as [(String, JSON)]
    )
    func refusals(words: String, template: JSON) throws {
        let refusal = #expect(throws: Migration.Refusal.self) { try MoverTemplate(template) }
        #expect(refusal?.description.contains(words) == true, "\(refusal?.description ?? "")")
    }

    @Test("a field that Kubernetes does not know is refused by preflight, in the server's words")
    func unknownField() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.options.moverTemplate = try MoverTemplate([
            "spec": ["tolerations": [["keey": "x"]], "containers": [["resources": ["request": ["cpu": "1"]]]]]
        ])
        let result = try scene.preflight()
        let words =
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: "
            + "unknown field \"spec.containers[0].resources.request\", "
        #expect(
            result.table.contains { $0.contains(words) && $0.contains("unknown field \"spec.tolerations[0].keey\"") }
        )
        result.expectNoTrace()
    }

    @Test("preflight's pods bear the template too: with requests and limits they meet a quota that wants them")
    func quota() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.add(
            .resourceQuotas,
            ["metadata": ["name": "compute"], "spec": ["hard": ["requests.cpu": "4", "limits.memory": "4Gi"]]]
        )
        let without = try scene.preflight()
        #expect(without.table.contains { $0.contains("failed quota: compute: must specify") })
        scene.options.moverTemplate = try MoverTemplate(Self.template)
        try scene.add(.serviceAccounts, ["metadata": ["name": "mover"]])
        let with = try scene.preflight()
        #expect(with.table == [])
        with.expectNoTrace()
    }

    @Test("a migration's movers run where the template says")
    func migration() throws {
        var world = World()
        world.addClaim("data")
        world.settle()
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.moverTemplate = try MoverTemplate(["spec": ["nodeSelector": ["kubernetes.io/hostname": "node-2"]]])
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true)
        #expect(run.messages.contains { $0.contains("copying on node node-2") })
    }
}
