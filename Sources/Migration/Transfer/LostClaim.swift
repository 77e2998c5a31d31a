import Kubernetes

extension ClaimState {
    /// True where somebody else deletes or has deleted a claim that is protected and not sealed. Its data is on the
    /// source volume, which nothing reclaims.
    var isLost: Bool {
        guard seal == nil, let source, let uid = source.spec.claimRef?.uid,
            source.metadata.annotation(Marks.sourceUID) == uid, !source.metadata.isTerminating
        else { return false }
        return claim?.metadata.uid != uid || claim?.metadata.isTerminating == true
    }

    /// The instructions for a lost claim: where its data is, and how to get the claim back.
    var wayBack: String {
        guard let source else { return "" }
        let volume = source.metadata.name
        let namespace = name.namespace ?? "default"
        var spec: JSON = [
            "accessModes": .array((source.spec.accessModes ?? []).map { JSON($0) }),
            "resources": ["requests": ["storage": .string(size?.text ?? "0")]],
            "volumeName": .string(volume), "volumeMode": JSON(source.spec.volumeMode ?? .filesystem),
        ]
        spec["storageClassName"] = source.spec.storageClassName.map(JSON.string)
        let manifest: JSON = [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": .string(name.name)], "spec": spec,
        ]
        let isThere = claim != nil
        return "somebody \(claim?.metadata.isTerminating == true ? "deletes" : "has deleted") this claim. Its data is "
            + "complete on the volume \(volume), which is kept (reclaim policy Retain). To get the claim back"
            + (isThere ? ", when the one of that name is gone" : "") + ":\n"
            + "    kubectl patch pv \(volume) --type merge -p "
            + "'{\"spec\":{\"claimRef\":{\"uid\":null,\"resourceVersion\":null}}}'\n"
            + "    kubectl create -n \(namespace) -f - <<< '\(String(decoding: manifest.text, as: UTF8.self))'\n"
            + "  Then run again. If nobody needs the data: kubectl delete pv \(volume), free \(source.handle), and run "
            + "again"
    }
}
