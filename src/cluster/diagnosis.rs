//! Why something does not get ready: what its pods, their containers, logs and events say.

use std::{collections::BTreeSet, fmt};

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::{
    Client,
    api::{Api, ListParams, LogParams},
};
use serde_json::Value;

use super::{error::ClusterError, object::ObjectKey};

/// Lines of a log that are shown.
const LOG_LINES: i64 = 15;
const LOG_BYTES: i64 = 16 << 10;
/// Troubled pods that are described; the others say the same.
const PODS_SHOWN: usize = 3;
const EVENTS_SHOWN: usize = 3;

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodTrouble {
    /// `namespace/name` of the pod.
    pub pod: String,
    /// Its node, once it has one.
    pub node: Option<String>,
    /// The container, where one is to blame.
    pub container: Option<String>,
    /// In one word, as in `ErrImageNeverPull`.
    pub reason: String,
    /// In Kubernetes' own words.
    pub message: String,
    /// Last lines of the container's log.
    pub log: Vec<String>,
    /// Last warnings about the pod.
    pub events: Vec<String>,
}

impl PodTrouble {
    /// Reasons that waiting cannot mend.
    pub fn is_hopeless(&self) -> bool {
        matches!(self.reason.as_str(), "ErrImageNeverPull" | "InvalidImageName")
    }

    /// Reasons that end in time at best: the image is not on the node, and the node can reach no registry.
    pub fn is_about_an_image(&self) -> bool {
        self.is_hopeless() || matches!(self.reason.as_str(), "ImagePullBackOff" | "ErrImagePull" | "RegistryUnavailable" | "ImageInspectError")
    }
}

impl fmt::Display for PodTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  pod {}", self.pod)?;
        if let Some(node) = &self.node {
            write!(f, " on {node}")?;
        }
        if let Some(container) = &self.container {
            write!(f, ", container {container}")?;
        }
        write!(f, ": {}", self.reason)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        for event in &self.events {
            write!(f, "\n    event: {event}")?;
        }
        for line in &self.log {
            write!(f, "\n    log: {line}")?;
        }
        Ok(())
    }
}

/// Where a pod runs, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Its node, once it has one.
    pub node: Option<String>,
    /// Its phase, or the reason why it does not run.
    pub state: String,
    /// Whether all its containers are ready.
    pub ready: bool,
    /// Images of its containers.
    pub images: Vec<String>,
}

/// The pods that belong to a workload, in its present version: those with the images of its template.
pub(super) async fn pods_of(client: &Client, key: &ObjectKey, live: &Value) -> Result<Vec<Pod>, ClusterError> {
    let Some(namespace) = &key.namespace else { return Ok(vec![]) };
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let wrap = |e| ClusterError::request("list", format!("the pods of {key}"), e);
    if key.group.is_empty() && key.kind == "Pod" {
        return Ok(api.get_opt(&key.name).await.map_err(wrap)?.into_iter().collect());
    }
    let Some(selector) = selector(key, live) else { return Ok(vec![]) };
    let pods = api.list(&ListParams::default().labels(&selector)).await.map_err(wrap)?.items;
    let images = template_images(live);
    Ok(pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && (images.is_empty() || pod_images(pod).is_superset(&images))).collect())
}

fn selector(key: &ObjectKey, live: &Value) -> Option<String> {
    match (key.group.as_str(), key.kind.as_str()) {
        ("batch", "Job") => Some(format!("job-name={}", key.name)),
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet") => label_selector(live.pointer("/spec/selector")?),
        ("", "ReplicationController") => Some(equalities(live.pointer("/spec/selector")?)),
        _ => None,
    }
}

fn equalities(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

fn label_selector(selector: &Value) -> Option<String> {
    let mut parts = vec![equalities(&selector["matchLabels"])];
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    parts.retain(|part| !part.is_empty());
    (!parts.is_empty()).then(|| parts.join(","))
}

fn template_images(live: &Value) -> BTreeSet<String> {
    let containers = live.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    containers.into_iter().flatten().filter_map(|c| c["image"].as_str().map(str::to_owned)).collect()
}

fn pod_images(pod: &Pod) -> BTreeSet<String> {
    pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten())).filter_map(|c| c.image.clone()).collect()
}

/// What a pod's status says is wrong, if anything; without asking the cluster.
pub(super) fn trouble(pod: &Pod) -> Option<PodTrouble> {
    let status = pod.status.as_ref()?;
    let blank = |container: Option<String>, reason: &str, message: &str| PodTrouble {
        pod: format!("{}/{}", pod.metadata.namespace.as_deref().unwrap_or_default(), pod.metadata.name.as_deref().unwrap_or_default()),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        container,
        reason: reason.to_owned(),
        message: message.trim().to_owned(),
        log: vec![],
        events: vec![],
    };
    let unschedulable = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unschedulable {
        return Some(blank(None, condition.reason.as_deref().unwrap_or("Unschedulable"), condition.message.as_deref().unwrap_or_default()));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let mut worst = None;
    for container in containers {
        if let Some((reason, message)) = container_trouble(container) {
            let found = blank(Some(container.name.clone()), &reason, &message);
            if found.is_about_an_image() {
                return Some(found);
            }
            worst = worst.or(Some(found));
        }
    }
    worst.or_else(|| {
        (status.phase.as_deref() == Some("Failed"))
            .then(|| blank(None, status.reason.as_deref().unwrap_or("Failed"), status.message.as_deref().unwrap_or_default()))
    })
}

fn container_trouble(container: &ContainerStatus) -> Option<(String, String)> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.clone().unwrap_or_default();
        if !matches!(reason.as_str(), "" | "PodInitializing" | "ContainerCreating") {
            return Some((reason, waiting.message.clone().unwrap_or_default()));
        }
    }
    if let Some(ended) = state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
        return Some((
            ended.reason.clone().unwrap_or_else(|| "Error".into()),
            format!("exit code {} {}", ended.exit_code, ended.message.as_deref().unwrap_or_default()),
        ));
    }
    let restarted = container.restart_count > 0 && !container.ready;
    restarted.then(|| ("Restarting".to_owned(), format!("{} restarts", container.restart_count)))
}

/// The first troubled pods of a workload, with logs and events. Failing to learn more is no failure of its own.
pub(super) async fn describe(client: &Client, pods: &[Pod]) -> Vec<PodTrouble> {
    let mut troubles = Vec::new();
    for pod in pods {
        let Some(mut found) = trouble(pod).or_else(|| unready(pod)) else { continue };
        found.events = events(client, pod).await;
        if !found.is_about_an_image() {
            found.log = log_tail(client, pod, found.container.as_deref()).await;
        }
        troubles.push(found);
        if troubles.len() == PODS_SHOWN {
            break;
        }
    }
    troubles
}

/// A pod that runs and is not ready says nothing itself; its events (probes, mounts) do.
fn unready(pod: &Pod) -> Option<PodTrouble> {
    let placement = place(pod);
    (!placement.ready && placement.state != "Succeeded").then(|| PodTrouble {
        pod: format!("{}/{}", placement.namespace, placement.pod),
        node: placement.node,
        container: None,
        reason: format!("{}, not ready", placement.state),
        message: String::new(),
        log: vec![],
        events: vec![],
    })
}

async fn events(client: &Client, pod: &Pod) -> Vec<String> {
    let (Some(namespace), Some(uid)) = (&pod.metadata.namespace, &pod.metadata.uid) else { return vec![] };
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let Ok(list) = api.list(&ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning"))).await else { return vec![] };
    let mut events = list.items;
    events.sort_by_key(|event| event.last_timestamp.clone());
    let told = events.into_iter().rev().take(EVENTS_SHOWN);
    told.map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default().trim())).collect()
}

async fn log_tail(client: &Client, pod: &Pod, container: Option<&str>) -> Vec<String> {
    let (Some(namespace), Some(name)) = (&pod.metadata.namespace, &pod.metadata.name) else { return vec![] };
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let first = || pod.spec.as_ref().and_then(|spec| spec.containers.first()).map(|c| c.name.clone());
    let container = container.map(str::to_owned).or_else(first);
    for previous in [false, true] {
        let params = LogParams { container: container.clone(), tail_lines: Some(LOG_LINES), limit_bytes: Some(LOG_BYTES), previous, ..LogParams::default() };
        if let Ok(text) = api.logs(name, &params).await
            && !text.trim().is_empty()
        {
            return text.lines().map(str::to_owned).collect();
        }
    }
    vec![]
}

/// Where a pod is.
pub(super) fn place(pod: &Pod) -> Placement {
    let status = pod.status.as_ref();
    let ready = status.and_then(|s| s.conditions.as_ref()).is_some_and(|list| list.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    let phase = status.and_then(|s| s.phase.clone()).unwrap_or_else(|| "Unknown".into());
    let state = if ready { phase } else { trouble(pod).map_or(phase, |found| found.reason) };
    Placement {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        pod: pod.metadata.name.clone().unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        state,
        ready,
        images: pod_images(pod).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "web-1", "namespace": "shop"}, "spec": {"nodeName": "node2", "containers": [{"name": "c", "image": "a/b:1"}]}, "status": status})).unwrap()
    }

    #[test]
    fn says_what_is_wrong() {
        let waiting = |reason: &str| {
            pod(
                &json!({"phase": "Pending", "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "m"}}}]}),
            )
        };
        let found = trouble(&waiting("ErrImageNeverPull")).unwrap();
        assert!(found.is_hopeless());
        assert_eq!(found.to_string(), "  pod shop/web-1 on node2, container c: ErrImageNeverPull: m");
        assert_eq!(trouble(&waiting("ContainerCreating")), None);
        assert!(!trouble(&waiting("CrashLoopBackOff")).unwrap().is_about_an_image());
        let unschedulable = pod(&json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]}));
        assert_eq!(trouble(&unschedulable).unwrap().reason, "Unschedulable");
        let running = pod(&json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
        assert_eq!((trouble(&running), place(&running).ready), (None, true));
    }

    #[test]
    fn selectors_as_text() {
        let live = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "x", "operator": "DoesNotExist"}]});
        assert_eq!(label_selector(&live).unwrap(), "app=web,tier in (a,b),!x");
        assert_eq!(label_selector(&json!({})), None);
    }
}
