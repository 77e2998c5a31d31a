import Kubernetes

extension Cluster {
    /// What the admission plug-in OwnerReferencesPermissionEnforcement refuses, where it is on.
    ///
    /// Whoever changes the owners of an object must be allowed to delete it. Whoever has it block the deletion of an
    /// owner must be allowed to update that owner's finalizers.
    func checkOwners(of object: JSON, before: JSON?, _ resource: Resource, _ user: User?) throws(Refusal) {
        guard behaviour.enforcesOwnerReferences, let user else { return }
        let owners = object.list("metadata", "ownerReferences")
        let known = before?.list("metadata", "ownerReferences") ?? []
        if owners == known { return }
        if before != nil {
            let deletion = access("delete", resource, in: object.namespace, object.name)
            if !isAllowed(user, deletion) {
                throw .forbidden(
                    resource,
                    object.name,
                    "cannot set an ownerRef on a resource you can't delete: , <nil>"
                )
            }
        }
        for owner in owners where owner["blockOwnerDeletion"] == true {
            let blocked = known.contains { $0["uid"] == owner["uid"] && $0["blockOwnerDeletion"] == true }
            if !blocked { try checkFinalizers(of: owner, by: user, object, resource) }
        }
    }

    private func checkFinalizers(
        of owner: JSON,
        by user: User,
        _ object: JSON,
        _ resource: Resource
    ) throws(Refusal) {
        let (version, kind) = (owner.text("apiVersion"), owner.text("kind"))
        guard let owners = resources.find(apiVersion: version, kind: kind) else {
            throw .forbidden(
                resource,
                object.name,
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion \(version) "
                    + "Kind \(kind): no matches for kind \"\(kind)\" in version \"\(version)\""
            )
        }
        let update = access("update", owners, "/finalizers", in: object.namespace, owner.text("name"))
        if isAllowed(user, update) { return }
        throw .forbidden(
            resource,
            object.name,
            "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , "
                + "<nil>"
        )
    }

    private func access(
        _ verb: String,
        _ resource: Resource,
        _ subresource: String = "",
        in namespace: String,
        _ name: String
    ) -> AccessAttributes {
        AccessAttributes(
            verb: verb,
            group: resource.group,
            resource: resource.plural + subresource,
            namespace: resource.namespaced ? namespace : nil,
            name: name
        )
    }
}
