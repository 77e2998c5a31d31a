import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

@Suite("The pod that serves a source volume")
struct SourceServerTests {
    /// Answers that it has created a pod with one UID, and that the pod of that name has another.
    private struct Server: Transport {
        let uid: String

        func send(_ request: Request) async throws -> Response {
            let pod: JSON = [
                "apiVersion": "v1", "kind": "Pod",
                "metadata": [
                    "name": "server", "namespace": "shop", "uid": .string(request.method == .post ? "ours" : uid),
                    "resourceVersion": "1",
                ],
                "spec": ["containers": []],
            ]
            return Response(status: request.method == .post ? 201 : 200, body: pod.text)
        }

        func open(_ request: Request) async throws -> StreamingResponse {
            throw TransportError(.configuration, "nothing is followed here")
        }
    }

    @Test(
        "is the one that was created, and not another that somebody has put in its place",
        arguments: ["ours", "theirs"]
    )
    func replaced(uid: String) async throws {
        let migrator = Migrator(
            client: Client(transport: Server(uid: uid), time: .continuous),
            options: Options(sourceClass: "slow", destinationClass: "fast"),
            journal: Journal(time: .continuous) { _ in }
        )
        let server = SourceServer(
            name: ObjectName("server", in: "shop"),
            image: "image",
            annotations: [:],
            volume: ["persistentVolumeClaim": ["claimName": "data"]],
            placement: Placement(),
            deadline: 60,
            template: nil
        )
        if uid == "ours" {
            #expect(try await Serving(migrator.context).createPod(of: server).metadata.uid == "ours")
        } else {
            let failure = await #expect(throws: Failure.self) {
                try await Serving(migrator.context).createPod(of: server)
            }
            #expect(failure?.reason.contains("somebody has deleted the pod that this run made") == true)
        }
    }
}
