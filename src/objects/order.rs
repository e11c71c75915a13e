//! The order in which kinds are installed and uninstalled: Helm's `releaseutil.InstallOrder`.

use std::cmp::Ordering;

/// Kinds in the order of their installation; others come after, by name.
const INSTALL: [&str; 36] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// Uninstalling goes backwards, but Helm takes services down earlier than that.
const UNINSTALL_HEAD: [&str; 4] = ["APIService", "Ingress", "IngressClass", "Service"];

/// A kind's place in the order of installation; none for kinds Helm does not know.
pub fn install_rank(kind: &str) -> Option<usize> {
    INSTALL.iter().position(|known| *known == kind)
}

fn uninstall_rank(kind: &str) -> Option<usize> {
    let head = UNINSTALL_HEAD.iter().position(|known| *known == kind);
    head.or_else(|| install_rank(kind).map(|rank| UNINSTALL_HEAD.len() + INSTALL.len() - rank))
}

fn compare(left: &str, right: &str, rank: fn(&str) -> Option<usize>) -> Ordering {
    match (rank(left), rank(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

/// Sorts for installation; equals keep their order.
pub fn sort_for_install<T>(items: &mut [T], kind: impl Fn(&T) -> &str) {
    items.sort_by(|left, right| compare(kind(left), kind(right), install_rank));
}

/// Sorts for removal; equals keep their order.
pub fn sort_for_uninstall<T>(items: &mut [T], kind: impl Fn(&T) -> &str) {
    items.sort_by(|left, right| compare(kind(left), kind(right), uninstall_rank));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_helm() {
        let mut kinds = vec!["Zebra", "Deployment", "Service", "Ant", "Namespace", ""];
        sort_for_install(&mut kinds, |kind| kind);
        assert_eq!(kinds, ["Namespace", "Service", "Deployment", "", "Ant", "Zebra"]);
        sort_for_uninstall(&mut kinds, |kind| kind);
        assert_eq!(kinds, ["Service", "Deployment", "Namespace", "", "Ant", "Zebra"]);
    }
}
