//! What the cluster is: its version, and the kinds it knows.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Client, core::ApiResource};

use super::error::ClusterError;

/// One kind that the cluster serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) api: ApiResource,
    pub(crate) namespaced: bool,
}

/// Version and kinds of a cluster, as they were when asked.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    version: String,
    kinds: BTreeMap<(String, String), Kind>,
    groups: Vec<String>,
}

impl Catalog {
    /// Asks the cluster: two requests with aggregated discovery (Kubernetes 1.26), one a group before that.
    pub async fn load(client: &Client) -> Result<Self, ClusterError> {
        let wrap = |e| ClusterError::request("ask for", "the cluster's kinds", e);
        let version = client.apiserver_version().await.map_err(|e| ClusterError::request("ask for", "the cluster's version", e))?;
        let mut catalog = Self { version: version.git_version, ..Self::default() };
        match catalog.load_aggregated(client).await {
            Ok(()) if !catalog.kinds.is_empty() => {}
            // A server that does not know the aggregated form answers with the old documents, which do not parse, or with 406.
            Ok(()) | Err(kube::Error::SerdeError(_)) => catalog.load_each_group(client).await.map_err(wrap)?,
            Err(kube::Error::Api(status)) if status.code == 406 => catalog.load_each_group(client).await.map_err(wrap)?,
            Err(error) => return Err(wrap(error)),
        }
        Ok(catalog)
    }

    async fn load_aggregated(&mut self, client: &Client) -> Result<(), kube::Error> {
        let core = client.list_core_api_versions_aggregated().await?;
        let others = client.list_api_groups_aggregated().await?;
        for group in core.items.into_iter().chain(others.items) {
            let name = group.metadata.and_then(|m| m.name).unwrap_or_default();
            for version in group.versions {
                let group_version = group_version(&name, version.version.as_deref().unwrap_or_default());
                self.groups.push(group_version.clone());
                for resource in version.resources {
                    let kind = resource.response_kind.and_then(|k| k.kind).unwrap_or_default();
                    self.add(&group_version, &kind, resource.resource.unwrap_or_default(), resource.scope.as_deref() == Some("Namespaced"));
                }
            }
        }
        Ok(())
    }

    async fn load_each_group(&mut self, client: &Client) -> Result<(), kube::Error> {
        for version in client.list_core_api_versions().await?.versions {
            let list = client.list_core_api_resources(&version).await?;
            self.add_list(&version, list);
        }
        for group in client.list_api_groups().await?.groups {
            for version in group.versions {
                match client.list_api_group_resources(&version.group_version).await {
                    Ok(list) => self.add_list(&version.group_version, list),
                    // An aggregated API whose server is down (metrics, for one) must not stop everything.
                    Err(kube::Error::Api(status)) if status.code == 503 || status.code == 404 => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn add_list(&mut self, group_version: &str, list: APIResourceList) {
        self.groups.push(group_version.to_owned());
        for resource in list.resources.into_iter().filter(|r| !r.name.contains('/')) {
            self.add(group_version, &resource.kind, resource.name, resource.namespaced);
        }
    }

    fn add(&mut self, group_version: &str, kind: &str, plural: String, namespaced: bool) {
        let api = api_resource(group_version, kind, plural);
        self.kinds.insert((group_version.to_owned(), kind.to_owned()), Kind { api, namespaced });
    }

    /// Adds the kinds of custom resource definitions that are about to be created, so that objects of them can be planned.
    pub fn promise(&mut self, crd: &serde_json::Value) {
        let text = |pointer: &str| crd.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let (group, kind, plural) = (text("/spec/group"), text("/spec/names/kind"), text("/spec/names/plural"));
        let namespaced = text("/spec/scope") == "Namespaced";
        for version in crd.pointer("/spec/versions").and_then(serde_json::Value::as_array).into_iter().flatten() {
            let name = version.get("name").and_then(serde_json::Value::as_str).unwrap_or_default();
            let group_version = group_version(group, name);
            if !self.kinds.contains_key(&(group_version.clone(), kind.to_owned())) {
                self.groups.push(group_version.clone());
                self.add(&group_version, kind, plural.to_owned(), namespaced);
            }
        }
    }

    pub(crate) fn resolve(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.kinds.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// Whether there is such a `group/version`.
    pub(crate) fn serves(&self, api_version: &str) -> bool {
        self.groups.iter().any(|group| group == api_version)
    }

    /// Version of the cluster, as in `v1.34.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What `.Capabilities.APIVersions` holds: every `group/version` and `group/version/Kind` (helm, pkg/action/action.go, `GetVersionSet`).
    pub fn api_versions(&self) -> Vec<String> {
        let kinds = self.kinds.keys().map(|(group_version, kind)| format!("{group_version}/{kind}"));
        let mut all: Vec<String> = self.groups.iter().cloned().chain(kinds).collect();
        all.sort();
        all.dedup();
        all
    }
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn api_resource(group_version: &str, kind: &str, plural: String) -> ApiResource {
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    ApiResource { group: group.to_owned(), version: version.to_owned(), api_version: group_version.to_owned(), kind: kind.to_owned(), plural }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A catalog with the kinds that tests use.
    pub(in crate::cluster) fn sample() -> Catalog {
        let mut catalog = Catalog { version: "v1.34.0".into(), ..Catalog::default() };
        for (group_version, kind, plural, namespaced) in [
            ("v1", "ConfigMap", "configmaps", true),
            ("v1", "Namespace", "namespaces", false),
            ("v1", "Service", "services", true),
            ("apps/v1", "Deployment", "deployments", true),
            ("batch/v1", "Job", "jobs", true),
        ] {
            catalog.groups.push(group_version.into());
            catalog.add(group_version, kind, plural.into(), namespaced);
        }
        catalog
    }

    #[test]
    fn api_versions_are_helms() {
        let mut catalog = sample();
        catalog.promise(&serde_json::json!({"spec": {"group": "acme.io", "scope": "Namespaced", "names": {"kind": "Shop", "plural": "shops"}, "versions": [{"name": "v1"}]}}));
        let all = catalog.api_versions();
        for wanted in ["v1", "v1/ConfigMap", "apps/v1", "apps/v1/Deployment", "acme.io/v1/Shop"] {
            assert!(all.iter().any(|v| v == wanted), "{wanted}");
        }
        assert!(catalog.resolve("acme.io/v1", "Shop").unwrap().namespaced);
        assert_eq!(all.iter().filter(|v| *v == "v1").count(), 1);
    }
}
