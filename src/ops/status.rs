//! `status`: one delivery in the cluster, down to where its pods run.

use serde::Serialize;

use super::{
    install::{app_failure, cluster_failure},
    list::{AppEntry, app_entry, entries, newest},
};
use crate::{
    cluster::{Catalog, Cluster, Object, Placement, flatten, placements, release::Stored},
    failure::{Failure, Kind},
    goyaml,
};

/// What `status` is asked.
#[derive(Debug, Clone, Default)]
pub struct StatusOptions {
    /// Name of the delivery; may be left out where there is only one.
    pub delivery: Option<String>,
    /// Only releases of this namespace; all if none is said.
    pub namespace: Option<String>,
}

/// A delivery and its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStatus {
    /// `metadata.name` of the delivery.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its apps.
    pub apps: Vec<AppStatus>,
}

/// An app and its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// The release.
    #[serde(flatten)]
    pub app: AppEntry,
    /// Whether all its pods are ready.
    pub ready: bool,
    /// Its pods.
    pub pods: Vec<Placement>,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Nothing of that name.
    #[error("the cluster has no delivery `{0}`")]
    Unknown(String),
    /// Nothing at all.
    #[error("the cluster has no delivery")]
    Nothing,
    /// Which one?
    #[error("the cluster has several deliveries, say which: {}", .0.join(", "))]
    Several(Vec<String>),
}

/// One delivery.
pub async fn run(cluster: &Cluster, options: &StatusOptions) -> Result<DeliveryStatus, Failure> {
    let releases = newest(cluster, options.namespace.as_deref(), options.delivery.as_deref()).await.map_err(cluster_failure)?;
    let mut deliveries = entries(&releases);
    let refuse = |error| Failure::new(Kind::Cluster, error);
    if deliveries.len() > 1 {
        return Err(Failure::new(Kind::Usage, StatusError::Several(deliveries.into_iter().map(|d| d.name).collect())));
    }
    let Some(delivery) = deliveries.pop() else {
        return Err(refuse(options.delivery.clone().map_or(StatusError::Nothing, StatusError::Unknown)));
    };
    let catalog = Catalog::load(cluster.client()).await.map_err(cluster_failure)?;
    let mut apps = Vec::new();
    for stored in &releases {
        let pods = pods(cluster, &catalog, stored).await?;
        let ready = pods.iter().all(|pod| pod.ready || pod.state == "Succeeded");
        apps.push(AppStatus { app: app_entry(stored), ready, pods });
    }
    Ok(DeliveryStatus { name: delivery.name, version: delivery.version, apps })
}

async fn pods(cluster: &Cluster, catalog: &Catalog, stored: &Stored) -> Result<Vec<Placement>, Failure> {
    let release = &stored.release;
    let documents = goyaml::parse_all(&release.manifest).map_err(|e| app_failure(Kind::Cluster, &release.name, e))?;
    let objects: Vec<Object> = flatten(documents).into_iter().filter_map(|document| Object::resolve(catalog, document, &release.namespace).ok()).collect();
    placements(cluster.client(), &objects).await.map_err(cluster_failure)
}
