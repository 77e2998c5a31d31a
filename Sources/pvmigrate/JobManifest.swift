import Kubernetes
import Migration

/// A Job that runs the program in the cluster, with the ServiceAccount that may do what it does.
struct JobManifest {
    var image: String
    /// The program's arguments.
    var command: [String]
    /// The manifest of a ServiceAccount, and of its rights.
    var rights: @Sendable (_ account: ObjectName) -> String
    /// How long an interrupted run takes at most to bring everything to a safe state.
    var wayBack: Duration

    /// For `kubectl apply`.
    var text: String {
        """
        \(rights(ObjectName(name, in: Migrator.lockNamespace)))---
        # Its pods go on where the one before was; one that died without a word is waited for until its Lease expires.
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: \(name)
          namespace: \(Migrator.lockNamespace)
          labels:
            \(Follower.podLabel.name): \(Follower.podLabel.value)
        spec:
          backoffLimit: 6
          podFailurePolicy:
            rules:
            # What a drain of the node has ended is no failure.
            - action: Ignore
              onPodConditions:
              - type: DisruptionTarget
            # \(exitCodes)
            - action: FailJob
              onExitCodes:
                containerName: \(Follower.container)
                operator: In
                values: [\(ExitCode.hopeless.map { "\($0.rawValue)" }.joined(separator: ", "))]
          template:
            metadata:
              labels:
                \(Follower.podLabel.name): \(Follower.podLabel.value)
              annotations:
                cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
                sidecar.istio.io/inject: "false"
                linkerd.io/inject: disabled
            spec:
              restartPolicy: Never
              serviceAccountName: \(name)
              # More than the way back takes: whoever is told to end starts workloads again first.
              terminationGracePeriodSeconds: \(wayBack.components.seconds)
              securityContext:
                runAsNonRoot: true
                runAsUser: 65532
                runAsGroup: 65532
                seccompProfile:
                  type: RuntimeDefault
              containers:
              - name: \(Follower.container)
                image: \(Self.quoted(image))
                command: ["pvmigrate"]
                args:
        \(command.map { "        - \(Self.quoted($0))" }.joined(separator: "\n"))
                securityContext:
                  allowPrivilegeEscalation: false
                  readOnlyRootFilesystem: true
                  capabilities:
                    drop: ["ALL"]
                resources:
                  requests:
                    cpu: 100m
                    memory: 128Mi
                  limits:
                    memory: 512Mi

        """
    }

    private var exitCodes: String {
        ExitCode.hopeless.map { "\($0.rawValue): \($0.meaning)" }.joined(separator: ". ")
    }

    /// The name of the Job and of its ServiceAccount. With the rights of another command it could end half way.
    private var name: String { "pvmigrate-\(identity)" }

    /// What differs from command to command: a Job can't be changed, and the same command is the same Job (FNV-1a).
    private var identity: String {
        let bytes: [UInt8] = ([image] + command).flatMap { word in Array(word.utf8) + [0] }
        let hash = bytes.reduce(0x811C_9DC5 as UInt32) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// A string of YAML, which any of JSON is. Kubernetes puts variables in place of `$(NAME)`, and one
    /// dollar in place of two.
    private static func quoted(_ text: String) -> String {
        String(JSON.string(text.replacing("$", with: "$$")).line.dropLast())
    }
}
