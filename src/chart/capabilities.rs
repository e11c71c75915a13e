//! What a cluster can do, as far as templates may ask: Helm v3.22's defaults (client-go v0.37).

/// The Kubernetes that Helm v3.22 assumes without a cluster.
pub const DEFAULT_KUBE_VERSION: &str = "v1.37.0";

/// The version templates see as `.Capabilities.HelmVersion.Version`.
pub const HELM_VERSION: &str = "v3.22.0";

/// The same of Helm 4.3.
pub const HELM4_VERSION: &str = "v4.3";

/// The Go that both are built with, `.Capabilities.HelmVersion.GoVersion` (recorded: `helm version`).
pub(in crate::chart) const HELM_GO_VERSION: &str = "go1.26.8";

/// The client-go of Helm 4.3, `.Capabilities.HelmVersion.KubeClientVersion` (recorded: `helm version`).
pub(in crate::chart) const HELM4_KUBE_CLIENT: &str = "v1.37";

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

/// A Kubernetes version as `--kube-version` takes it (apimachinery, util/version, `ParseGeneric`): two or more numbers, anything after
/// them dropped. Else what is wrong, in its words.
pub fn parse_kube_version(text: &str) -> Result<Vec<u64>, String> {
    // Numbers joined by single dots; what follows is another matter.
    let body = text.trim_start();
    let body = body.strip_prefix('v').unwrap_or(body);
    let mut components = Vec::new();
    let mut rest = body;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            break;
        }
        components.push(&rest[..digits]);
        match rest[digits..].strip_prefix('.') {
            Some(after) => rest = after,
            None => break,
        }
    }
    match components.as_slice() {
        [] => return Err(format!("could not parse {text:?} as version")),
        [_] => return Err(format!("illegal version string {text:?}")),
        [first, ..] if first.starts_with('0') && *first != "0" => {
            return Err(format!("illegal zero-prefixed version component {first:?} in {text:?}"));
        }
        _ => {}
    }
    let number = |component: &&str| {
        component.parse().map_err(|_| {
            format!("illegal non-numeric version component {component:?} in {text:?}: strconv.ParseUint: parsing {component:?}: value out of range")
        })
    };
    components.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: `helm template --kube-version`.
    #[test]
    fn kube_versions_lose_their_suffix() {
        let good: [(&str, &[u64]); 8] = [
            ("1.29", &[1, 29]),
            ("v1.20.3-gke.1", &[1, 20, 3]),
            ("1.2.3+k3s1", &[1, 2, 3]),
            ("v1.2.3.4", &[1, 2, 3, 4]),
            ("1.02", &[1, 2]),
            ("1.2.", &[1, 2]),
            (" 1.2", &[1, 2]),
            ("1.2 x", &[1, 2]),
        ];
        for (text, want) in good {
            assert_eq!(parse_kube_version(text).unwrap(), want, "{text}");
        }
        for (text, want) in [
            ("x", "could not parse \"x\" as version"),
            ("1", "illegal version string \"1\""),
            ("01.2", "illegal zero-prefixed version component \"01\" in \"01.2\""),
        ] {
            assert_eq!(parse_kube_version(text).unwrap_err(), want);
        }
    }
}
