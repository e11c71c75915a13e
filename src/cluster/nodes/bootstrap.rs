//! The agent gets onto a node: a namespace, the agent as Secrets, a Job in an image that the node has. And all of it away again.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use k8s_openapi::{
    ByteString,
    api::{
        batch::v1::Job,
        core::v1::{Event, Pod, Secret},
    },
};
use kube::{
    Api, Client, Error as KubeError,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use offline_agent::env;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{AgentBinary, ImportOptions, NodesError, control, exec, namespace, plan::NodePlan};
use crate::{cluster::MANAGED, oci::Digest};

/// Marks what one run has made.
pub(super) const RUN: &str = "offline.dev/import";
/// Bytes in a Secret: at most 1 MiB is allowed, and as JSON they are a third more.
const PART: usize = 768 << 10;
/// How long a pod may take to run once its image is found.
const START: Duration = Duration::from_mins(2);
/// How long an agent that may not run yet is waited for when it is spoken to.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a pod may be unable to start its container before that counts.
const GRACE: Duration = Duration::from_secs(15);
/// How long things may take to go away.
const GONE: Duration = Duration::from_secs(30);

/// Where a run keeps its things.
#[derive(Clone)]
pub(super) struct Site {
    client: Client,
    namespace: String,
    run: String,
    token: String,
    lifetime: Duration,
}

/// The Secrets of each agent, by its place among the options' agents.
pub(super) type Furniture = BTreeMap<usize, Arc<AgentSecrets>>;

/// The Secrets that hold one agent.
#[derive(Debug)]
pub(super) struct AgentSecrets {
    names: Vec<String>,
    sha256: String,
    owned: AtomicBool,
}

/// An agent as it goes into Secrets.
pub(super) struct Packed {
    loader: Bytes,
    deflated: Vec<u8>,
    digest: Digest,
}

impl Packed {
    /// Takes a tenth of a second; a higher level takes five of them, to save one part in fifty.
    pub(super) fn new(binary: &AgentBinary) -> Self {
        let deflated = miniz_oxide::deflate::compress_to_vec(&binary.agent, 6);
        Self { loader: binary.loader.clone(), deflated, digest: Digest::of(&binary.agent) }
    }
}

/// A pod that runs.
pub(super) struct RunningPod {
    pub(super) name: String,
    /// The control stream by which we came to know that it runs.
    pub(super) stream: Option<exec::Stream>,
}

/// How a Job's pod is coming along.
enum State {
    Running(String),
    Waiting(String),
    NoImage { pod: String, reason: String },
    Stuck { pod: String, reason: String },
    Failed { pod: String, reason: String },
}

impl Site {
    /// Makes sure of the namespace, as far as that is possible at once. False: it is about to vanish.
    pub(super) async fn prepare(client: &Client, options: &ImportOptions, token: String) -> Result<(Self, bool), NodesError> {
        let (run, lifetime) = (options.run.clone(), options.timeout);
        let site = Self { client: client.clone(), namespace: options.namespace.clone(), run, token, lifetime };
        let there = namespace::ensure(client, &site.namespace).await?;
        Ok((site, there))
    }

    /// Puts the agents there. Where the namespace is being deleted, by a run that ends at this moment, they are put into another one; it is waited
    /// for only where that is being deleted as well.
    pub(super) async fn furnish(mut self, mut there: bool, options: &ImportOptions, agents: &[(usize, Packed)]) -> Result<(Self, Furniture), NodesError> {
        let started = Instant::now();
        loop {
            for namespace in [options.namespace.clone(), options.fallback_namespace()] {
                self.namespace = namespace;
                if (mem::take(&mut there) || namespace::ensure(&self.client, &self.namespace).await?)
                    && let Some(furniture) = self.furnished(agents).await?
                {
                    return Ok((self, furniture));
                }
            }
            if started.elapsed() > GONE {
                return Err(NodesError::NamespaceGone { namespace: options.namespace.clone() });
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// None: the namespace is about to vanish.
    async fn furnished(&self, agents: &[(usize, Packed)]) -> Result<Option<Furniture>, NodesError> {
        let mut furniture = Furniture::new();
        for (agent, packed) in agents {
            match self.secrets(packed).await {
                Ok(secrets) => furniture.insert(*agent, Arc::new(secrets)),
                Err(error) if namespace::is_vanishing(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        Ok(namespace::claim(&self.client, &self.namespace, &self.run).await?.then_some(furniture))
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    fn labels(&self) -> BTreeMap<String, String> {
        [(RUN.to_owned(), self.run.clone()), (MANAGED.0.to_owned(), MANAGED.1.to_owned())].into()
    }

    /// Stores an agent as Secrets. They are immutable: the kubelet refreshes mounted Secrets in running pods, and a mixture of two versions is no
    /// agent. They are named by what is in them, the token too: the kubelet never asks again for an immutable Secret that a pod still uses, not even
    /// for a new one of the same name (`pkg/kubelet/util/manager/watch_based_manager.go`).
    async fn secrets(&self, packed: &Packed) -> Result<AgentSecrets, NodesError> {
        let digest = &packed.digest;
        let token = Digest::of(self.token.as_bytes());
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut parts = parts(&packed.loader, &packed.deflated);
        if let Some(first) = parts.first_mut() {
            first.insert("token".to_owned(), ByteString(self.token.clone().into_bytes()));
        }
        let made = parts.into_iter().enumerate().map(|(i, data)| {
            let name = format!("offline-agent-{}-{}-{i}", digest.short(), token.short());
            let metadata = ObjectMeta { name: Some(name.clone()), labels: Some(self.labels()), ..ObjectMeta::default() };
            let secret = Secret { immutable: Some(true), metadata, data: Some(data), ..Secret::default() };
            let api = &api;
            async move {
                match api.create(&PostParams::default(), &secret).await {
                    Ok(_) => Ok(name),
                    Err(KubeError::Api(status)) if status.code == 409 => Ok(name),
                    Err(e) => Err(NodesError::api(format!("making Secret {}/{name}", self.namespace))(e)),
                }
            }
        });
        let names = try_join_all(made).await?;
        Ok(AgentSecrets { names, sha256: digest.hex().to_owned(), owned: AtomicBool::new(false) })
    }

    /// Makes a Job the owner of the Secrets that its agent came from: should this program die, they go when the Job goes.
    ///
    /// Only the first, and only once its pod runs: a Job that is given up for another bootstrap image must not take them along.
    async fn give(&self, secrets: &AgentSecrets, job: &Job) {
        let (Some(name), Some(uid)) = (&job.metadata.name, &job.metadata.uid) else { return };
        if secrets.owned.swap(true, Ordering::Relaxed) {
            return;
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"metadata": {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}]}}));
        let given = secrets.names.iter().map(async |secret| api.patch_metadata(secret, &PatchParams::default(), &patch).await);
        // Without an owner they are deleted by us at the end, as they are with one.
        join_all(given).await;
    }

    /// Starts the agent on a node and waits until it runs, trying one bootstrap image after another.
    pub(super) async fn start(&self, index: usize, plan: &NodePlan, secrets: &AgentSecrets) -> Result<RunningPod, NodesError> {
        let api: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut last = (String::new(), "there is nothing to try".to_owned());
        for (attempt, image) in plan.bootstrap.iter().enumerate() {
            let name = format!("offline-{}-{index}-{attempt}", self.run);
            let job = self.job(&name, plan, secrets, image);
            let made = api.create(&PostParams::default(), &job).await;
            let made = made.map_err(NodesError::api(format!("making Job {}/{name} for node {}", self.namespace, plan.node)))?;
            match self.wait(&name, &plan.node).await? {
                Ok(pod) => {
                    self.give(secrets, &made).await;
                    return Ok(pod);
                }
                Err((pod, reason)) => last = (pod, reason),
            }
            let _ = api.delete(&name, &DeleteParams::background().grace_period(0)).await;
        }
        let tried = plan.bootstrap.join(", ");
        Err(NodesError::NoBootstrap { node: plan.node.clone(), pod: last.0, tried, reason: last.1 })
    }

    fn job(&self, name: &str, plan: &NodePlan, secrets: &AgentSecrets, image: &str) -> Job {
        let sources: Vec<_> = secrets.names.iter().map(|n| json!({"secret": {"name": n}})).collect();
        let token = json!({"secretKeyRef": {"name": secrets.names.first(), "key": "token"}});
        let lifetime = self.lifetime.as_secs().max(60);
        let job = json!({
            "metadata": {"name": name, "labels": self.labels()},
            // If this program dies the cluster puts an end to the pod, and then to the Job.
            "spec": {"backoffLimit": 0, "activeDeadlineSeconds": lifetime, "ttlSecondsAfterFinished": 60, "template": {
                "metadata": {"labels": self.labels()},
                "spec": {
                    // Not the scheduler: cordoned and tainted nodes need images too.
                    "nodeName": plan.node, "tolerations": [{"operator": "Exists"}],
                    "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false, "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "agent", "image": image, "imagePullPolicy": "Never", "workingDir": "/",
                        "command": ["/offline/loader", "/offline", secrets.sha256, "idle"],
                        "env": [
                            {"name": env::POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                            {"name": env::POD_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                            {"name": env::SOCKET, "value": format!("/runtime/{}", plan.socket.file)},
                            {"name": env::LIFETIME, "value": lifetime.to_string()},
                            {"name": env::TOKEN, "valueFrom": token},
                        ],
                        // Privileged: where SELinux enforces, nothing less may connect to the socket.
                        "securityContext": {"privileged": true, "runAsUser": 0, "readOnlyRootFilesystem": true},
                        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
                        "terminationMessagePolicy": "FallbackToLogsOnError",
                        "volumeMounts": [{"name": "agent", "mountPath": "/offline", "readOnly": true}, {"name": "runtime", "mountPath": "/runtime"}],
                    }],
                    "volumes": [
                        // Secrets lie in memory, and unlike ConfigMaps never on a file system mounted noexec.
                        {"name": "agent", "projected": {"defaultMode": 0o755, "sources": sources}},
                        // The folder, not the socket: a containerd that restarts makes a new one.
                        {"name": "runtime", "hostPath": {"path": plan.socket.folder, "type": "Directory"}},
                    ],
                },
            }},
        });
        serde_json::from_value(job).expect("the literal above is a Job")
    }

    /// `Err` inside: the image is not there.
    async fn wait(&self, job: &str, node: &str) -> Result<Result<RunningPod, (String, String)>, NodesError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let parameters = ListParams::default().labels(&format!("job-name={job}"));
        let started = Instant::now();
        loop {
            let found = pods.list(&parameters).await.map_err(NodesError::api(format!("looking for the pod of Job {}/{job}", self.namespace)))?;
            let state = found.items.first().map_or_else(|| State::Waiting("there is no pod yet".to_owned()), state);
            if let Some(policy) = found.items.first().and_then(changed_policy) {
                return Err(NodesError::PullPolicy { node: node.to_owned(), pod: self.of(&name(&found.items[0])), policy });
            }
            let (pod, reason) = match state {
                State::Running(name) => return Ok(Ok(RunningPod { name, stream: None })),
                State::NoImage { pod, reason } => return Ok(Err((self.of(&pod), reason))),
                State::Failed { pod, reason } => (pod, reason),
                State::Stuck { pod, reason } if started.elapsed() > GRACE => (pod, reason),
                State::Waiting(reason) if started.elapsed() > START => (found.items.first().map_or_else(|| job.to_owned(), name), reason),
                State::Waiting(_) if found.items.is_empty() && started.elapsed() > Duration::from_secs(5) => {
                    match self.events(job).await {
                        // Refused by admission: no amount of waiting helps.
                        Some(event) if event.contains("forbidden") || event.contains("denied") => (job.to_owned(), event),
                        _ => {
                            sleep(Duration::from_secs(1)).await;
                            continue;
                        }
                    }
                }
                _ => {
                    if let Some(running) = self.answering(found.items.first()).await {
                        return Ok(Ok(running));
                    }
                    sleep(Duration::from_millis(if started.elapsed() < Duration::from_secs(5) { 50 } else { 500 })).await;
                    continue;
                }
            };
            let events = self.events(&pod).await.filter(|e| !reason.contains(e.as_str()));
            let reason = events.map_or_else(|| reason.clone(), |e| format!("{reason} ({e})"));
            return Err(NodesError::Pod { node: node.to_owned(), pod: self.of(&pod), reason });
        }
    }

    /// Asks the agent itself. The kubelet looks only once a second at what runs (pkg/kubelet/pleg/generic.go), and tells it later still.
    async fn answering(&self, pod: Option<&Pod>) -> Option<RunningPod> {
        let name = name(pod?);
        let stream = timeout(ANSWER, exec::open(&self.client, &self.namespace, &name, &control::COMMAND, exec::Purpose::Control)).await.ok()?.ok()?;
        Some(RunningPod { name, stream: Some(stream) })
    }

    fn of(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// What the cluster last said about an object that is a warning.
    async fn events(&self, object: &str) -> Option<String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let parameters = ListParams::default().fields(&format!("involvedObject.name={object},type=Warning")).limit(20);
        let events = api.list(&parameters).await.ok()?.items;
        events.into_iter().filter_map(|e| e.message).next_back()
    }

    /// Whether an agent's pod still runs; else its reason.
    pub(super) async fn still_runs(&self, pod: &str, node: &str) -> Result<(), NodesError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let gone = |reason: String| NodesError::Pod { node: node.to_owned(), pod: self.of(pod), reason };
        match api.get_opt(pod).await {
            // An API server that cannot be asked is not a pod that has ended.
            Err(_) => Ok(()),
            Ok(None) => Err(gone("it was deleted".to_owned())),
            Ok(Some(found)) => match state(&found) {
                // The agent was there before the kubelet said so: one that is only waited for may well run.
                State::Running(_) | State::Waiting(_) => Ok(()),
                State::NoImage { reason, .. } | State::Stuck { reason, .. } | State::Failed { reason, .. } => Err(gone(reason)),
            },
        }
    }

    /// Deletes what the run has made, and the namespace if it is ours and nothing else is in it.
    pub(super) async fn clean(client: &Client, namespace: &str, run: &str) -> Result<(), NodesError> {
        let ours = ListParams::default().labels(&format!("{RUN}={run}"));
        let now = DeleteParams::background().grace_period(0);
        let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let failed = |what: &str| NodesError::api(format!("deleting the {what} of this run in namespace {namespace}"));
        // Jobs first: they would make their pods again.
        let (a, b) = (jobs.delete_collection(&now, &ours).await, secrets.delete_collection(&now, &ours).await);
        let c = pods.delete_collection(&now, &ours).await;
        a.map_err(failed("Jobs"))?;
        b.map_err(failed("Secrets"))?;
        c.map_err(failed("pods"))?;
        let started = Instant::now();
        loop {
            let left = pods.list(&ours).await.map_err(failed("pods"))?.items.len() + jobs.list(&ours).await.map_err(failed("Jobs"))?.items.len();
            if left == 0 {
                break;
            }
            if started.elapsed() > GONE {
                return Err(NodesError::Pod {
                    node: "?".to_owned(),
                    pod: format!("{namespace}/{RUN}={run}"),
                    reason: format!("{left} objects of this run are still there {} seconds after they were deleted", GONE.as_secs()),
                });
            }
            sleep(Duration::from_millis(50)).await;
        }
        namespace::remove_if_empty(client, namespace).await
    }
}

/// Loader and deflated agent, cut so that each part fits a Secret, in as few parts as possible.
fn parts(loader: &[u8], deflated: &[u8]) -> Vec<BTreeMap<String, ByteString>> {
    let mut parts: Vec<(usize, BTreeMap<String, ByteString>)> = vec![(loader.len(), [("loader".to_owned(), ByteString(loader.to_vec()))].into())];
    for (i, chunk) in deflated.chunks(PART).enumerate() {
        let at = parts.iter().position(|(size, _)| size + chunk.len() <= PART).unwrap_or_else(|| {
            parts.push((0, BTreeMap::new()));
            parts.len() - 1
        });
        parts[at].0 += chunk.len();
        parts[at].1.insert(format!("agent.{i}"), ByteString(chunk.to_vec()));
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

fn changed_policy(pod: &Pod) -> Option<String> {
    let policy = pod.spec.as_ref()?.containers.first()?.image_pull_policy.clone()?;
    (policy != "Never").then_some(policy)
}

fn state(pod: &Pod) -> State {
    let status = pod.status.clone().unwrap_or_default();
    let said = [&status.reason, &status.message].iter().filter_map(|t| t.as_deref()).collect::<Vec<_>>().join(": ");
    let container = status.container_statuses.as_deref().and_then(|c| c.first()).and_then(|c| c.state.clone()).unwrap_or_default();
    match status.phase.as_deref() {
        Some("Running") if container.running.is_some() => return State::Running(name(pod)),
        Some("Failed" | "Succeeded") => {
            let ended = container.terminated.map(|t| {
                let text = [t.reason, t.message].into_iter().flatten().map(|m| m.trim().to_owned()).collect::<Vec<_>>().join(": ");
                format!("it ended with exit code {} ({text})", t.exit_code)
            });
            return State::Failed { pod: name(pod), reason: ended.unwrap_or_else(|| if said.is_empty() { "it has ended".to_owned() } else { said }) };
        }
        _ => {}
    }
    let Some(waiting) = container.waiting else {
        return State::Waiting(if said.is_empty() { "it was not started by the kubelet".to_owned() } else { said });
    };
    let why = waiting.reason.unwrap_or_default();
    let reason = waiting.message.map_or_else(|| why.clone(), |message| format!("{why}: {message}"));
    match why.as_str() {
        "ErrImageNeverPull" | "InvalidImageName" => State::NoImage { pod: name(pod), reason },
        "ContainerCreating" | "PodInitializing" | "" => State::Waiting(reason),
        _ => State::Stuck { pod: name(pod), reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    fn container(state: &serde_json::Value) -> serde_json::Value {
        json!([{"name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}])
    }

    #[test]
    fn a_pod_is_asked_for_its_own_reason() {
        let waiting = |reason: &str| pod(&json!({"phase": "Pending", "containerStatuses": container(&json!({"waiting": {"reason": reason, "message": "m"}}))}));
        assert!(matches!(state(&waiting("ErrImageNeverPull")), State::NoImage { reason, .. } if reason == "ErrImageNeverPull: m"));
        assert!(matches!(state(&waiting("CreateContainerError")), State::Stuck { reason, .. } if reason == "CreateContainerError: m"));
        assert!(matches!(state(&waiting("ContainerCreating")), State::Waiting(_)));
        let ended = pod(
            &json!({"phase": "Failed", "containerStatuses": container(&json!({"terminated": {"exitCode": 70, "reason": "Error", "message": "offline-loader: no"}}))}),
        );
        assert!(matches!(state(&ended), State::Failed { reason, .. } if reason == "it ended with exit code 70 (Error: offline-loader: no)"));
        let evicted = pod(&json!({"phase": "Failed", "reason": "Evicted", "message": "disk pressure"}));
        assert!(matches!(state(&evicted), State::Failed { reason, .. } if reason == "Evicted: disk pressure"));
        let running = pod(&json!({"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": container(&json!({"running": {}}))}));
        assert!(matches!(state(&running), State::Running(name) if name == "p"));
    }

    #[test]
    fn parts_fit_secrets_and_join_again() {
        for (loader, agent, want) in [(400 << 10, 300 << 10, 1), (400 << 10, 600 << 10, 2), (700 << 10, 2000 << 10, 4)] {
            let deflated: Vec<u8> = (0..agent).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let parts = parts(&vec![1; loader], &deflated);
            assert_eq!(parts.len(), want);
            assert!(parts.iter().all(|p| p.values().map(|v| v.0.len()).sum::<usize>() <= PART));
            let all: BTreeMap<String, ByteString> = parts.into_iter().flatten().collect();
            let joined: Vec<u8> = (0..all.len() - 1).flat_map(|i| all[&format!("agent.{i}")].0.clone()).collect();
            assert_eq!(joined, deflated);
        }
    }
}
