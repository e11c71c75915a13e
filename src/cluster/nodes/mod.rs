//! Images into the nodes of a cluster, over nothing but its API.
//!
//! For each node a one-shot Job starts our agent (`agent/`) in an image that the node already has. The agent talks to containerd; this side
//! talks to the agent by `exec` streams. The steps: [`plan`] looks without touching anything; [`import`] starts the agents, asks what is missing,
//! sends each blob once and lets the nodes pass it on, has it unpacked and named while more is on its way, has CRI prove every name,
//! and leaves nothing behind but the images.

mod bootstrap;
mod control;
mod embedded;
mod error;
mod exec;
mod image;
mod namespace;
mod node;
mod plan;
mod schedule;
mod upload;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use tracing::debug;

pub use embedded::embedded;
pub use error::NodesError;
pub use image::{Blobs, NodeImage, PlatformImage};
pub use plan::{ImportPlan, NodePlan, NodeSelection};

use crate::{
    oci::{Digest, Platform},
    progress::SharedReporter,
};
use bootstrap::{AgentSecrets, Packed, Site};
use node::{NodeRun, Run};
use schedule::Schedule;

/// The agent for one platform.
#[derive(Clone)]
pub struct AgentBinary {
    /// What it runs on.
    pub platform: Platform,
    /// The program that starts it.
    pub loader: Bytes,
    /// The agent itself.
    pub agent: Bytes,
}

impl std::fmt::Debug for AgentBinary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AgentBinary({}, {} + {} bytes)", self.platform, self.loader.len(), self.agent.len())
    }
}

/// How to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Namespace for Jobs and Secrets; made if it is not there, and then deleted at the end.
    pub namespace: String,
    /// Which nodes.
    pub nodes: NodeSelection,
    /// Data streams to each node.
    pub streams: usize,
    /// Layers that a node unpacks at a time.
    pub unpack: usize,
    /// Nodes that are worked on at a time.
    pub parallel: usize,
    /// When to give up.
    pub timeout: Duration,
    /// The agents: [`embedded`], or those that travelled with the images.
    pub agents: Vec<AgentBinary>,
    /// Marks everything that this run makes; also the key for [`cleanup`].
    pub run: String,
    /// The image to start agents in, where looking for one would find the wrong one.
    pub bootstrap_image: Option<String>,
    /// Blobs that are not on this side, and that some nodes have and others lack: they go from node to node. Where there are any, all nodes are
    /// worked on at a time, as who has them has to be there while another needs them.
    pub passed_on: BTreeSet<Digest>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            namespace: "offline-system".to_owned(),
            nodes: NodeSelection::All,
            streams: 2,
            unpack: 4,
            parallel: 8,
            timeout: Duration::from_hours(2),
            agents: embedded(),
            run: random(4),
            bootstrap_image: None,
            passed_on: BTreeSet::new(),
        }
    }
}

impl ImportOptions {
    /// For [`holdings`] before an import: what that leaves behind for a moment must not be taken for what the import makes.
    #[must_use]
    pub fn for_holdings(&self) -> Self {
        Self { run: format!("{}h", self.run), passed_on: BTreeSet::new(), ..self.clone() }
    }

    /// Where to go when the namespace is just being deleted.
    fn fallback_namespace(&self) -> String {
        format!("{}-{}", self.namespace, self.run)
    }
}

/// What an import has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOutcome {
    /// Node by node, in the plan's order.
    pub nodes: Vec<NodeOutcome>,
}

/// What an import has done on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOutcome {
    /// The node.
    pub node: String,
    /// Its container runtime, as `containerd://2.1.0`.
    pub runtime: String,
    /// Bytes of blobs sent to it through the API server.
    pub bytes_sent: u64,
    /// Bytes of blobs that it took from other nodes.
    pub bytes_from_peers: u64,
    /// Blobs that it lacked.
    pub blobs: usize,
    /// Layers unpacked and names written. With nothing missing and nothing changed it is 0.
    pub changes: u64,
    /// Names that CRI has confirmed, which is all of them.
    pub names_proven: usize,
    /// Names that CRI reports as pinned: all from containerd 1.6.22 and 1.7.3 on, none before.
    pub names_pinned: usize,
    /// From the Job to the proof.
    pub elapsed: Duration,
}

/// Random bytes in hexadecimal.
fn random(bytes: usize) -> String {
    let mut raw = vec![0; bytes];
    getrandom::fill(&mut raw).expect("the operating system has random numbers");
    raw.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Looks whether an import could work, and how, without touching anything.
///
/// Every node that is meant must be ready, run containerd on Linux, and have an agent and all images for its platform.
pub async fn plan(client: &Client, images: &[NodeImage], options: &ImportOptions) -> Result<ImportPlan, NodesError> {
    plan::plan(client, images, options).await
}

/// Imports images into nodes. Whether it succeeds or fails, no Job, pod or Secret of it stays.
///
/// Dropping the future stops the work but cannot delete anything: call [`cleanup`] then.
pub async fn import(
    client: &Client,
    blobs: Arc<dyn Blobs>,
    images: &[NodeImage],
    options: &ImportOptions,
    reporter: SharedReporter,
) -> Result<ImportOutcome, NodesError> {
    let plan = plan::plan(client, images, options).await?;
    debug!(nodes = plan.nodes.len(), run = options.run, "planned");
    let result = run(client, blobs, plan, options, reporter).await;
    let cleaned = cleanup(client, options).await;
    debug!(run = options.run, "cleaned up");
    let outcome = result?;
    cleaned?;
    Ok(outcome)
}

/// Deletes whatever a run has left in the cluster: its Jobs, pods and Secrets, and the namespace if it is ours and empty.
pub async fn cleanup(client: &Client, options: &ImportOptions) -> Result<(), NodesError> {
    let main = Site::clean(client, &options.namespace, &options.run).await;
    // One that failed is no reason to leave the other.
    let other = Site::clean(client, &options.fallback_namespace(), &options.run).await;
    main.and(other)
}

/// What a node holds of what it would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// The node.
    pub node: String,
    /// Its platform.
    pub platform: Platform,
    /// Blobs that are in its store.
    pub held: BTreeSet<Digest>,
    /// Blobs that are not.
    pub lacking: BTreeSet<Digest>,
}

/// Asks every node which blobs of these images it holds; nothing is sent. As after an import, no Job, pod or Secret stays.
///
/// Dropping the future stops the work but cannot delete anything: call [`cleanup`] then.
pub async fn holdings(client: &Client, images: &[NodeImage], options: &ImportOptions, reporter: SharedReporter) -> Result<Vec<Holdings>, NodesError> {
    let plan = plan::plan(client, images, options).await?;
    let result = each_node(client, Arc::new(NoBlobs), plan, options, reporter, |node, secrets| async move { node.look(&secrets).await }).await;
    let cleaned = cleanup(client, options).await;
    let holdings = result?;
    cleaned?;
    Ok(holdings)
}

/// Where nothing is to be sent.
struct NoBlobs;

impl Blobs for NoBlobs {
    fn read_at(&self, digest: &Digest, _: u64, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other(format!("nothing is sent, and {digest} was asked for")))
    }
}

async fn run(client: &Client, blobs: Arc<dyn Blobs>, plan: ImportPlan, options: &ImportOptions, reporter: SharedReporter) -> Result<ImportOutcome, NodesError> {
    let nodes = each_node(client, blobs, plan, options, reporter, |node, secrets| async move { node.import(&secrets).await }).await?;
    Ok(ImportOutcome { nodes })
}

/// Starts the agents and does something with each; what it gives is in the plan's order.
async fn each_node<T, F>(
    client: &Client,
    blobs: Arc<dyn Blobs>,
    plan: ImportPlan,
    options: &ImportOptions,
    reporter: SharedReporter,
    work: impl Fn(NodeRun, Arc<AgentSecrets>) -> F,
) -> Result<Vec<T>, NodesError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, NodesError>> + Send + 'static,
{
    let used: BTreeSet<usize> = plan.nodes.iter().map(|n| n.agent).collect();
    let binaries: Vec<(usize, AgentBinary)> = used.into_iter().map(|agent| (agent, options.agents[agent].clone())).collect();
    let packing = tokio::task::spawn_blocking(move || binaries.into_iter().map(|(agent, binary)| (agent, Packed::new(&binary))).collect::<Vec<_>>());
    let (site, there) = Site::prepare(client, options, random(16)).await?;
    debug!(namespace = site.namespace(), "namespace is there");
    let packed = packing.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
    let (site, secrets) = site.furnish(there, options, &packed).await?;
    debug!(namespace = site.namespace(), "Secrets are there");
    let expires = Timestamp::now().checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    let run = Arc::new(Run {
        client: client.clone(),
        options: options.clone(),
        site,
        blobs,
        reporter,
        schedule: Schedule::new(plan.nodes.len(), options.passed_on.clone()),
        peers: Mutex::new(HashMap::new()),
        nodes: plan.nodes.len(),
        expires: format!("{expires:.0}"),
    });
    let waiting: Arc<Mutex<Vec<String>>> = Arc::new(Mutex::new(plan.nodes.iter().map(|n| n.node.clone()).collect()));
    let at_a_time = if options.passed_on.is_empty() { options.parallel } else { plan.nodes.len() };
    let slots = Arc::new(Semaphore::new(at_a_time.max(1)));
    let mut tasks = JoinSet::new();
    for (index, plan) in plan.nodes.into_iter().enumerate() {
        let (slots, waiting, secrets) = (Arc::clone(&slots), Arc::clone(&waiting), Arc::clone(&secrets[&plan.agent]));
        let node = NodeRun::new(Arc::clone(&run), plan, index);
        let name = node.plan.node.clone();
        let work = work(node, secrets);
        tasks.spawn(async move {
            // Never closed, so this cannot fail.
            let _slot = slots.acquire().await;
            let outcome = work.await?;
            waiting.lock().unwrap_or_else(PoisonError::into_inner).retain(|n| *n != name);
            Ok((index, outcome))
        });
    }
    match timeout(options.timeout, collect(tasks)).await {
        Ok(nodes) => nodes,
        Err(_) => Err(NodesError::Timeout { after: options.timeout, waiting: waiting.lock().unwrap_or_else(PoisonError::into_inner).join(", ") }),
    }
}

/// Waits for all; the first failure stops the others.
async fn collect<T: Send + 'static>(mut tasks: JoinSet<Result<(usize, T), NodesError>>) -> Result<Vec<T>, NodesError> {
    let mut nodes = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(result) => {
                let (index, outcome) = result?;
                nodes.insert(index, outcome);
            }
            // A panic is a bug, and is told as one.
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        }
    }
    Ok(nodes.into_values().collect())
}
