//! Releases as Secrets `sh.helm.release.v1.NAME.vN` (helm, pkg/storage/driver/secrets.go, pkg/storage/storage.go).

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Client,
    api::{Api, DeleteParams, ListParams, PostParams},
};

use super::{Release, Status, decode, encode};
use crate::cluster::error::ClusterError;

const SECRET_TYPE: &str = "helm.sh/release.v1";
/// The label keys that are Helm's own (driver/util.go, `systemLabels`); others are the user's, and stay.
const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];
/// Revisions that are kept (helm's `--history-max`).
pub const HISTORY_MAX: usize = 10;
/// What a Secret holds (Kubernetes, `MaxSecretSize`).
const SECRET_MAX: usize = 1 << 20;

/// A release with what its Secret says besides.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The release.
    pub release: Release,
    /// The user's labels on its Secret. Helm 3.13 and later keep them.
    pub labels: BTreeMap<String, String>,
}

/// The releases of a namespace, or of all.
#[derive(Clone)]
pub struct Store {
    api: Api<Secret>,
    namespace: Option<String>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Store {
    /// The releases of one namespace.
    pub fn of(client: &Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace), namespace: Some(namespace.to_owned()) }
    }

    /// The releases of all namespaces; only for listing.
    pub fn everywhere(client: &Client) -> Self {
        Self { api: Api::all(client.clone()), namespace: None }
    }

    fn subject(&self, secret: &str) -> String {
        format!("Secret/{}/{secret}", self.namespace.as_deref().unwrap_or("*"))
    }

    /// All revisions of a release, oldest first.
    pub async fn history(&self, name: &str) -> Result<Vec<Stored>, ClusterError> {
        self.select(&format!("owner=helm,name={name}")).await
    }

    /// All releases whose Secrets match a label selector, oldest revision first.
    pub async fn select(&self, selector: &str) -> Result<Vec<Stored>, ClusterError> {
        let list = self.api.list(&ListParams::default().labels(selector)).await;
        let secrets = list.map_err(|e| ClusterError::request("list", self.subject("sh.helm.release.v1.*"), e))?;
        let mut found = Vec::new();
        for secret in secrets.items.into_iter().filter(|secret| secret.type_.as_deref() == Some(SECRET_TYPE)) {
            found.push(read(secret)?);
        }
        found.sort_by(|a, b| key_of(&a.release).cmp(&key_of(&b.release)));
        Ok(found)
    }

    /// Stores a new revision. Fails with a conflict if there is one of the same number: somebody else is at work.
    pub async fn create(&self, stored: &Stored) -> Result<(), ClusterError> {
        let secret = write(stored, "createdAt", None)?;
        let name = secret_name(&stored.release);
        match self.api.create(&PostParams { field_manager: Some("helm".into()), ..PostParams::default() }, &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(pending(&stored.release, stored.release.info.status)),
            Err(error) => Err(ClusterError::request("create", self.subject(&name), error)),
        }
    }

    /// Stores a revision anew, over exactly what is there now.
    pub async fn update(&self, stored: &Stored) -> Result<(), ClusterError> {
        let name = secret_name(&stored.release);
        let wrap = |e| ClusterError::request("update", self.subject(&name), e);
        let current = self.api.get(&name).await.map_err(wrap)?;
        let secret = write(stored, "modifiedAt", Some(current.metadata))?;
        self.api.replace(&name, &PostParams { field_manager: Some("helm".into()), ..PostParams::default() }, &secret).await.map(|_| ()).map_err(wrap)
    }

    /// Removes a revision. That it is gone already is no error.
    pub async fn delete(&self, release: &Release) -> Result<(), ClusterError> {
        let name = secret_name(release);
        match self.api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(ClusterError::request("delete", self.subject(&name), error)),
        }
    }

    /// Makes room for one more revision: removes the oldest beyond the limit, never the deployed one
    /// (pkg/storage/storage.go, `removeLeastRecent`).
    pub async fn prune(&self, history: &[Stored], limit: usize) -> Result<(), ClusterError> {
        for stored in surplus(history, limit) {
            self.delete(&stored.release).await?;
        }
        Ok(())
    }
}

fn surplus(history: &[Stored], limit: usize) -> Vec<&Stored> {
    let excess = (history.len() + 1).saturating_sub(limit);
    let deployed = history.iter().rev().find(|s| s.release.info.status == Status::Deployed).map(|s| s.release.version);
    history.iter().filter(|s| Some(s.release.version) != deployed).take(excess).collect()
}

/// The newest revision, which must not be in the middle of something.
pub fn last_of(history: &[Stored]) -> Result<Option<&Stored>, ClusterError> {
    match history.last() {
        Some(last) if last.release.info.status.is_pending() || last.release.info.status == Status::Uninstalling => {
            Err(pending(&last.release, last.release.info.status))
        }
        last => Ok(last),
    }
}

/// The revision whose objects are in the cluster: the deployed one, else the newest that failed or was replaced
/// (pkg/action/upgrade.go, `prepareUpgrade`).
pub fn base_of(history: &[Stored]) -> Option<&Stored> {
    let newest = |status: &[Status]| history.iter().rev().find(|s| status.contains(&s.release.info.status));
    newest(&[Status::Deployed]).or_else(|| newest(&[Status::Failed, Status::Superseded]))
}

fn pending(release: &Release, status: Status) -> ClusterError {
    ClusterError::Pending { namespace: release.namespace.clone(), name: release.name.clone(), status: status.to_string(), revision: release.version }
}

fn key_of(release: &Release) -> (&str, &str, u32) {
    (&release.namespace, &release.name, release.version)
}

fn secret_name(release: &Release) -> String {
    format!("sh.helm.release.v1.{}.v{}", release.name, release.version)
}

fn read(secret: Secret) -> Result<Stored, ClusterError> {
    let metadata = secret.metadata;
    let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
    let bad = |reason: String| ClusterError::StoredRelease { namespace: namespace.clone(), secret: name.clone(), reason };
    let data = secret.data.as_ref().and_then(|data| data.get("release")).ok_or_else(|| bad("it has no key `release`".into()))?;
    let mut release = decode(&data.0).map_err(|e| bad(e.to_string()))?;
    if release.namespace.is_empty() {
        release.namespace = namespace;
    }
    let labels = metadata.labels.unwrap_or_default().into_iter().filter(|(key, _)| !SYSTEM_LABELS.contains(&key.as_str())).collect();
    Ok(Stored { release, labels })
}

fn write(stored: &Stored, stamp: &str, current: Option<ObjectMeta>) -> Result<Secret, ClusterError> {
    let release = &stored.release;
    let name = secret_name(release);
    let bad = |reason: String| ClusterError::StoredRelease { namespace: release.namespace.clone(), secret: name.clone(), reason };
    let data = encode(release).map_err(|e| bad(e.to_string()))?;
    if data.len() > SECRET_MAX {
        return Err(ClusterError::ReleaseTooLarge { name: release.name.clone(), size: data.len(), limit: SECRET_MAX });
    }
    let mut labels = stored.labels.clone();
    let current_labels = current.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    labels.extend(current_labels.into_iter().filter(|(key, _)| key == "createdAt"));
    labels.insert(stamp.to_owned(), jiff::Timestamp::now().as_second().to_string());
    labels.insert("name".into(), release.name.clone());
    labels.insert("owner".into(), "helm".into());
    labels.insert("status".into(), release.info.status.to_string());
    labels.insert("version".into(), release.version.to_string());
    let metadata = ObjectMeta { name: Some(name), labels: Some(labels), resource_version: current.and_then(|m| m.resource_version), ..ObjectMeta::default() };
    let data = BTreeMap::from([("release".to_owned(), ByteString(data.into_bytes()))]);
    Ok(Secret { metadata, type_: Some(SECRET_TYPE.into()), data: Some(data), ..Secret::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(version: u32, status: Status) -> Stored {
        let mut release = Release { name: "web".into(), namespace: "shop".into(), version, ..Release::default() };
        release.info.status = status;
        Stored { release, labels: BTreeMap::from([("offline.dev/delivery".into(), "shop".into())]) }
    }

    #[test]
    fn secrets_are_helms() {
        let secret = write(&stored(3, Status::Deployed), "createdAt", None).unwrap();
        assert_eq!(secret.metadata.name.as_deref(), Some("sh.helm.release.v1.web.v3"));
        let labels = secret.metadata.labels.clone().unwrap();
        for (key, value) in [("name", "web"), ("owner", "helm"), ("status", "deployed"), ("version", "3"), ("offline.dev/delivery", "shop")] {
            assert_eq!(labels.get(key).map(String::as_str), Some(value));
        }
        let back = read(secret).unwrap();
        assert_eq!((back.release.version, back.labels.len()), (3, 1));
    }

    #[test]
    fn the_oldest_go_but_not_the_deployed_one() {
        let mut history: Vec<Stored> = (1..=10).map(|v| stored(v, Status::Superseded)).collect();
        history[0].release.info.status = Status::Deployed;
        let gone: Vec<u32> = surplus(&history, 10).into_iter().map(|s| s.release.version).collect();
        assert_eq!(gone, [2]);
        assert!(surplus(&history[..5], 10).is_empty());
    }

    #[test]
    fn the_base_is_what_is_in_the_cluster() {
        let history = [stored(1, Status::Superseded), stored(2, Status::Deployed), stored(3, Status::Failed)];
        assert_eq!(base_of(&history).unwrap().release.version, 2);
        assert_eq!(base_of(&history[..1]).unwrap().release.version, 1);
        assert_eq!(last_of(&history).unwrap().unwrap().release.version, 3);
        let error = last_of(&[stored(4, Status::PendingUpgrade)]).unwrap_err();
        assert!(error.to_string().starts_with("release shop/web is in state pending-upgrade at revision 4"), "{error}");
    }
}
