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

/// What Helm 4 installs after those (`pkg/release/v1/util/kind_sorter.go`).
const INSTALL_HELM4: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

fn install_rank_helm4(kind: &str) -> Option<usize> {
    let last = INSTALL_HELM4.iter().position(|known| *known == kind);
    last.map(|rank| INSTALL.len() + rank).or_else(|| install_rank(kind))
}

/// Sorts for installation by Helm 4; equals keep their order.
pub fn sort_for_install_helm4<T>(items: &mut [T], kind: impl Fn(&T) -> &str) {
    items.sort_by(|left, right| compare(kind(left), kind(right), install_rank_helm4));
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
        let mut helm4 = vec!["Ant", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "Service"];
        sort_for_install_helm4(&mut helm4, |kind| kind);
        assert_eq!(helm4, ["Service", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "Ant"]);
        sort_for_uninstall(&mut kinds, |kind| kind);
        assert_eq!(kinds, ["Service", "Deployment", "Namespace", "", "Ant", "Zebra"]);
    }
}
