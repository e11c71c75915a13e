//! What the cluster remembers of a delivery besides its releases: the version that nothing older may follow.
//!
//! It is a `ConfigMap` of its own, in a namespace of its own: releases come and go, and the namespace of the import goes with each run.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Client,
    api::{Api, PostParams},
};

use super::{apply::ensure_namespace, error::ClusterError, rights::Right};

/// Where it is kept.
pub const NAMESPACE: &str = "offline-deliveries";
const VERSION: &str = "version";
const MANAGED: (&str, &str) = ("app.kubernetes.io/managed-by", "kubectl-offline");
/// How often it is tried against others who write at the same time.
const ATTEMPTS: usize = 5;

/// The version of a delivery that was installed last, where the cluster remembers one.
pub async fn remembered(client: &Client, delivery: &str) -> Result<Option<String>, ClusterError> {
    let found = api(client).get_opt(&name(delivery)).await.map_err(|e| ClusterError::request("read", subject(delivery), e))?;
    Ok(found.and_then(|map| map.data?.remove(VERSION)))
}

/// Remembers a version.
pub async fn remember(client: &Client, delivery: &str, version: &str) -> Result<(), ClusterError> {
    ensure_namespace(client, NAMESPACE).await?;
    let (api, name) = (api(client), name(delivery));
    let parameters = PostParams { field_manager: Some(MANAGED.1.into()), ..PostParams::default() };
    let mut attempt = 1;
    loop {
        let current = api.get_opt(&name).await.map_err(|e| ClusterError::request("read", subject(delivery), e))?;
        let done = match current {
            Some(map) if map.data.as_ref().and_then(|data| data.get(VERSION)).is_some_and(|known| known == version) => return Ok(()),
            Some(map) => api.replace(&name, &parameters, &written(&name, version, map.metadata.resource_version)).await,
            None => api.create(&parameters, &written(&name, version, None)).await,
        };
        match done {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(ClusterError::request("write", subject(delivery), error)),
        }
    }
}

/// What the account must be allowed to do.
pub fn rights(namespace_exists: bool) -> Vec<Right> {
    let mut rights: Vec<Right> = ["get", "create", "update"].map(|verb| Right::new(verb, "", "configmaps", Some(NAMESPACE))).into();
    if !namespace_exists {
        rights.push(Right::new("create", "", "namespaces", None));
    }
    rights
}

fn api(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), NAMESPACE)
}

fn name(delivery: &str) -> String {
    format!("delivery.{delivery}")
}

fn subject(delivery: &str) -> String {
    format!("ConfigMap/{NAMESPACE}/{}", name(delivery))
}

fn written(name: &str, version: &str, resource_version: Option<String>) -> ConfigMap {
    let labels = BTreeMap::from([(MANAGED.0.to_owned(), MANAGED.1.to_owned())]);
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), resource_version, ..ObjectMeta::default() };
    ConfigMap { metadata, data: Some([(VERSION.to_owned(), version.to_owned())].into()), ..ConfigMap::default() }
}
