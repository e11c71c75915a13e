//! What a cluster can do, as far as templates may ask: Helm v3.22's defaults (client-go v0.37).

/// The Kubernetes that Helm v3.22 assumes without a cluster.
pub const DEFAULT_KUBE_VERSION: &str = "v1.37.0";

/// The version templates see as `.Capabilities.HelmVersion.Version`.
pub const HELM_VERSION: &str = "v3.22.0";

/// The same of Helm 4.3.
pub const HELM4_VERSION: &str = "v4.3";

/// API versions that Helm v3.22 assumes without a cluster, in its order: client-go's scheme, then apiextensions.
pub const DEFAULT_API_VERSIONS: [&str; 57] = [
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// A Kubernetes version as `--kube-version` takes it (`version.ParseGeneric`): two or three numbers, anything after them dropped.
pub fn parse_kube_version(text: &str) -> Option<String> {
    let body = text.trim().strip_prefix('v').unwrap_or(text.trim());
    let end = body.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(body.len());
    let numbers: Vec<u64> = body[..end].split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    match numbers[..] {
        [major, minor] => Some(format!("v{major}.{minor}.0")),
        [major, minor, patch] => Some(format!("v{major}.{minor}.{patch}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_versions_lose_their_suffix() {
        for (text, want) in [("1.29", Some("v1.29.0")), ("v1.20.3-gke.1", Some("v1.20.3")), ("1.2.3+k3s1", Some("v1.2.3")), ("x", None), ("1", None)] {
            assert_eq!(parse_kube_version(text).as_deref(), want, "{text}");
        }
    }
}
