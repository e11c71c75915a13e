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

/// A Kubernetes version as `--kube-version` takes it (k8s.io/apimachinery/pkg/util/version, `ParseGeneric`): two numbers or more, as many as
/// were given; anything after them is dropped.
pub fn parse_kube_version(text: &str) -> Option<String> {
    let text = text.trim_start();
    let body = text.strip_prefix('v').unwrap_or(text);
    let end = body.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(body.len());
    // What is not a number ends the version: `1.29.` is 1.29.
    let parts: Vec<&str> = body[..end].split('.').take_while(|part| !part.is_empty()).collect();
    let major = parts.first()?;
    if parts.len() < 2 || (major.len() > 1 && major.starts_with('0')) {
        return None;
    }
    let numbers: Vec<String> = parts.iter().map(|part| part.parse().map(|number: u64| number.to_string())).collect::<Result<_, _>>().ok()?;
    Some(format!("v{}", numbers.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_versions_lose_their_suffix_and_keep_their_length() {
        for (text, want) in [
            ("1.29", Some("v1.29")),
            ("v1.20.3-gke.1", Some("v1.20.3")),
            ("1.2.3+k3s1", Some("v1.2.3")),
            ("1.29.x", Some("v1.29")),
            ("1.02.3.4", Some("v1.2.3.4")),
            ("x", None),
            ("1", None),
            ("01.2", None),
        ] {
            assert_eq!(parse_kube_version(text).as_deref(), want, "{text}");
        }
    }
}
