//! `list`: the deliveries that are in the cluster.

use std::collections::BTreeMap;

use serde::Serialize;

use super::install::cluster_failure;
use crate::{
    cluster::{
        Cluster, ClusterError,
        release::{Store, Stored},
    },
    failure::Failure,
};

/// The label with the delivery's name, on the Secrets of its releases. Helm keeps labels that are not its own.
pub(crate) const DELIVERY_LABEL: &str = "offline.dev/delivery";
/// The label with the delivery's version.
pub(crate) const VERSION_LABEL: &str = "offline.dev/version";

/// What `list` is asked.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Only releases of this namespace; all if none is said.
    pub namespace: Option<String>,
}

/// A delivery in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryEntry {
    /// `metadata.name` of the delivery.
    pub name: String,
    /// Its version; the newest, where apps are of different ones (after a rollback of one).
    pub version: String,
    /// Its apps, by namespace and name.
    pub apps: Vec<AppEntry>,
}

/// An app of a delivery in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppEntry {
    /// Name of the app and its release.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Revision of the release.
    pub revision: u32,
    /// State of the release, in Helm's words.
    pub status: String,
    /// Chart and version, as in `postgresql-15.2.1`.
    pub chart: String,
    /// Version of the delivery that brought this revision.
    pub delivery_version: String,
    /// When it was deployed.
    pub updated: String,
}

/// All deliveries.
pub async fn run(cluster: &Cluster, options: &ListOptions) -> Result<Vec<DeliveryEntry>, Failure> {
    let newest = newest(cluster, options.namespace.as_deref(), None).await.map_err(cluster_failure)?;
    Ok(entries(&newest))
}

/// The newest revision of each release that a delivery brought.
pub(super) async fn newest(cluster: &Cluster, namespace: Option<&str>, delivery: Option<&str>) -> Result<Vec<Stored>, ClusterError> {
    let store = match namespace {
        Some(namespace) => Store::of(cluster.client(), namespace),
        None => Store::everywhere(cluster.client()),
    };
    let selector = match delivery {
        Some(name) => format!("owner=helm,{DELIVERY_LABEL}={name}"),
        None => format!("owner=helm,{DELIVERY_LABEL}"),
    };
    let mut newest: BTreeMap<(String, String), Stored> = BTreeMap::new();
    for stored in store.select(&selector).await? {
        newest.insert((stored.release.namespace.clone(), stored.release.name.clone()), stored);
    }
    Ok(newest.into_values().collect())
}

pub(super) fn entries(releases: &[Stored]) -> Vec<DeliveryEntry> {
    let mut deliveries: BTreeMap<String, DeliveryEntry> = BTreeMap::new();
    for stored in releases {
        let name = stored.labels.get(DELIVERY_LABEL).cloned().unwrap_or_default();
        let entry = deliveries.entry(name.clone()).or_insert_with(|| DeliveryEntry { name, version: String::new(), apps: vec![] });
        entry.apps.push(app_entry(stored));
    }
    for delivery in deliveries.values_mut() {
        let latest = delivery.apps.iter().max_by(|a, b| a.updated.cmp(&b.updated));
        delivery.version = latest.map(|app| app.delivery_version.clone()).unwrap_or_default();
    }
    deliveries.into_values().collect()
}

pub(super) fn app_entry(stored: &Stored) -> AppEntry {
    let release = &stored.release;
    let of_chart = |field: &str| release.chart.pointer(&format!("/metadata/{field}")).and_then(serde_json::Value::as_str).unwrap_or("?");
    AppEntry {
        name: release.name.clone(),
        namespace: release.namespace.clone(),
        revision: release.version,
        status: release.info.status.to_string(),
        chart: format!("{}-{}", of_chart("name"), of_chart("version")),
        delivery_version: stored.labels.get(VERSION_LABEL).cloned().unwrap_or_default(),
        updated: release.info.last_deployed.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::release::{Release, Status};

    #[test]
    fn releases_are_grouped_by_delivery() {
        let stored = |name: &str, delivery: &str, version: &str, updated: &str| {
            let mut release = Release {
                name: name.into(),
                namespace: "shop".into(),
                version: 2,
                chart: serde_json::json!({"metadata": {"name": "c", "version": "1.0"}}),
                ..Release::default()
            };
            release.info.status = Status::Deployed;
            release.info.last_deployed = updated.into();
            Stored { release, labels: [(DELIVERY_LABEL.to_owned(), delivery.to_owned()), (VERSION_LABEL.to_owned(), version.to_owned())].into() }
        };
        let all = entries(&[stored("db", "shop", "1.1", "2026-01-02"), stored("web", "shop", "1.0", "2026-01-01"), stored("x", "other", "3", "2026-01-01")]);
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].name.as_str(), all[1].version.as_str(), all[1].apps.len()), ("shop", "1.1", 2));
        assert_eq!(all[1].apps[0].chart, "c-1.0");
    }
}
