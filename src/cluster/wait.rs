//! Waiting until a release runs, failing as soon as it cannot.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    diagnosis::{Placement, describe, place, pods_of, trouble},
    error::ClusterError,
    object::{Object, ObjectKey},
    readiness::{State, judge, judge_completion},
};

const POLL: Duration = Duration::from_millis(500);
/// How long a pod may fail to get its image until that is final: nothing will bring it, as the node can reach no registry, but a pod
/// that the kubelet tried before the import ended gets its next try within this time.
const IMAGE_GRACE: Duration = Duration::from_mins(1);

/// How to wait.
#[derive(Debug, Clone, Copy)]
pub struct WaitOptions {
    /// For all objects together. Helm's default is five minutes.
    pub timeout: Duration,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_mins(5) }
    }
}

/// Waits until all objects are ready; `said` hears what is waited for whenever that changes.
pub async fn wait_ready(client: &Client, objects: &[Object], options: WaitOptions, said: &(dyn Fn(String) + Sync)) -> Result<(), ClusterError> {
    wait_until(client, objects, options, judge, said).await
}

/// Waits until Jobs and Pods have ended well.
pub(super) async fn wait_completed(client: &Client, objects: &[Object], options: WaitOptions) -> Result<(), ClusterError> {
    wait_until(client, objects, options, judge_completion, &|_| {}).await
}

async fn wait_until(
    client: &Client,
    objects: &[Object],
    options: WaitOptions,
    judge: fn(&ObjectKey, &Value) -> State,
    said: &(dyn Fn(String) + Sync),
) -> Result<(), ClusterError> {
    let started = Instant::now();
    let mut pending: Vec<&Object> = objects.iter().filter(|object| is_watched(object.key())).collect();
    let mut told = BTreeMap::new();
    let mut image_since = BTreeMap::new();
    loop {
        let mut still = Vec::new();
        for object in pending {
            let key = object.key();
            let Some(live) = object.live(client).await? else {
                return Err(ClusterError::Failed { object: Box::new(key.clone()), state: "somebody deleted it".into(), pods: vec![] });
            };
            match judge(key, &live) {
                State::Ready => {}
                State::Failed(state) => {
                    let pods = troubles(client, key, &live).await;
                    return Err(ClusterError::Failed { object: Box::new(key.clone()), state, pods });
                }
                State::Waiting(state) => {
                    fail_early(client, key, &live, &state, &mut image_since).await?;
                    if started.elapsed() >= options.timeout {
                        let pods = troubles(client, key, &live).await;
                        return Err(ClusterError::Timeout { object: Box::new(key.clone()), waited: started.elapsed(), state, pods });
                    }
                    if told.insert(key.clone(), state.clone()).as_ref() != Some(&state) {
                        said(format!("{key}: {state}"));
                    }
                    still.push(object);
                }
            }
        }
        if still.is_empty() {
            return Ok(());
        }
        pending = still;
        tokio::time::sleep(POLL).await;
    }
}

/// Kinds with a state worth waiting for.
fn is_watched(key: &ObjectKey) -> bool {
    matches!(
        (key.group.as_str(), key.kind.as_str()),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("", "Pod" | "ReplicationController" | "PersistentVolumeClaim")
            | ("batch", "Job")
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
    )
}

async fn fail_early(client: &Client, key: &ObjectKey, live: &Value, state: &str, since: &mut BTreeMap<String, Instant>) -> Result<(), ClusterError> {
    let pods = pods_of(client, key, live).await?;
    let hopeless = |pod: &&Pod| {
        let Some(found) = trouble(pod).filter(super::diagnosis::PodTrouble::is_about_an_image) else { return false };
        let first = *since.entry(found.pod.clone()).or_insert_with(Instant::now);
        found.is_hopeless() || first.elapsed() > IMAGE_GRACE
    };
    let doomed: Vec<Pod> = pods.iter().filter(hopeless).cloned().collect();
    if doomed.is_empty() {
        return Ok(());
    }
    Err(ClusterError::Failed { object: Box::new(key.clone()), state: state.to_owned(), pods: describe(client, &doomed).await })
}

async fn troubles(client: &Client, key: &ObjectKey, live: &Value) -> Vec<super::PodTrouble> {
    match pods_of(client, key, live).await {
        Ok(pods) => describe(client, &pods).await,
        Err(_) => vec![],
    }
}

/// Where the pods of these objects run.
pub async fn placements(client: &Client, objects: &[Object]) -> Result<Vec<Placement>, ClusterError> {
    let mut all = Vec::new();
    for object in objects.iter().filter(|object| is_watched(object.key())) {
        if let Some(live) = object.live(client).await? {
            all.extend(pods_of(client, object.key(), &live).await?.iter().map(place));
        }
    }
    all.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    all.dedup();
    Ok(all)
}
