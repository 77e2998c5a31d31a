import Kubernetes
import Migration

extension Schemas {
    /// What `pvmigrate plan --output json` prints. As YAML it is the same in this order.
    static let plan: [Shape.Member] = [
        .init("apiVersion", .oneOf([PlanDocument.apiVersion])), .init("kind", .oneOf([PlanDocument.kind])),
        .init(
            "spec",
            .object([
                .init("command", .list(.text), "as it was given; every other flag has its default"),
                .init("cluster", .object(plannedCluster), "what the plan depends on"),
            ])
        ),
    ]

    private static let plannedCluster: [Shape.Member] = [
        .init("classes", .list([.init("name", .text), .init("uid", .text), .init("provisioner", .text)])),
        .init(
            "claims",
            .list([
                .init("namespace", .text), .init("name", .text), .init("uid", .text),
                .init("volume", .optional(.text)), .init("volumeUID", .optional(.text)),
                .init("storageClass", .optional(.text)), .init("size", .optional(.text)),
                .init("method", .oneOf(Transfer.Method.self)),
                .init(
                    "destination",
                    .object([
                        .init("namespace", .text), .init("name", .text), .init("storageClass", .optional(.text)),
                        .init("size", .optional(.text)),
                    ])
                ),
            ])
        ),
        .init(
            "workloads",
            .list([
                .init("kind", .text), .init("namespace", .text), .init("name", .text), .init("uid", .optional(.text)),
                .init("replicas", .integer),
            ]),
            "what is stopped meanwhile"
        ),
        .init(
            "objects",
            .list([
                .init("apiVersion", .text), .init("kind", .text), .init("namespace", .text), .init("name", .text),
                .init("uid", .text), .init("generation", .optional(.integer)),
                .init("resourceVersion", .optional(.text)),
                .init("action", .oneOf(PlannedObject.Action.self)), .init("details", .optional(.text)),
                .init("overwritten", .optional(.text)),
            ]),
            "what a transfer takes along besides claims; their content is never shown"
        ),
    ]
}
