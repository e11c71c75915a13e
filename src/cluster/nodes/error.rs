//! How an import into nodes fails. Every error names the node, and the pod, image or blob where there is one.

use std::time::Duration;

use crate::oci::{Digest, ReferenceError};

/// Why images did not get into the nodes.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// The API server failed or refused.
    #[error("{doing}: {source}")]
    Api {
        /// What was being done, on which object.
        doing: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// A namespace that is being deleted, and stays so.
    #[error(
        "namespace {namespace} is being deleted, and so is the one that this run would take instead; what keeps them is told by `kubectl get namespace {namespace} -o yaml`"
    )]
    NamespaceGone {
        /// Which.
        namespace: String,
    },
    /// No node is meant.
    #[error("no Linux node matches {selection}")]
    NoNodes {
        /// What was asked for.
        selection: String,
    },
    /// A node that was named is not there.
    #[error("there is no node `{node}`")]
    NoSuchNode {
        /// Its name.
        node: String,
    },
    /// A node is down.
    #[error("node `{node}` is not ready: {reason}")]
    NotReady {
        /// Its name.
        node: String,
        /// The node's own words.
        reason: String,
    },
    /// A node cannot take images this way.
    #[error("node `{node}` runs {found}; images can be imported into nodes that run containerd on Linux")]
    Unsupported {
        /// Its name.
        node: String,
        /// Operating system or container runtime.
        found: String,
    },
    /// There is no agent for a node's platform.
    #[error("node `{node}` is {platform}, and there is no agent for that; there are agents for {have}")]
    NoAgent {
        /// Its name.
        node: String,
        /// Its platform.
        platform: String,
        /// Platforms that have an agent.
        have: String,
    },
    /// An image is not there for a node's platform.
    #[error("node `{node}` is {platform}, and image {image} is there only for {have}")]
    NoPlatform {
        /// Its name.
        node: String,
        /// Its platform.
        platform: String,
        /// The image.
        image: String,
        /// The image's platforms.
        have: String,
    },
    /// A name that no pod could use.
    #[error("an image cannot be named so: {0}")]
    Name(#[source] ReferenceError),
    /// One name for two images.
    #[error("{name} would be two images: {first} and {second}")]
    NameTwice {
        /// The name.
        name: String,
        /// Digest of one.
        first: Digest,
        /// Digest of the other.
        second: Digest,
    },
    /// No image to start the agent in.
    #[error("node `{node}`: none of the images tried to start the agent in is there ({tried}); pod {pod}: {reason}")]
    NoBootstrap {
        /// The node.
        node: String,
        /// The last pod.
        pod: String,
        /// The images.
        tried: String,
        /// The pod's own reason.
        reason: String,
    },
    /// Admission has changed the pod so that it cannot start offline.
    #[error(
        "the cluster changed the pull policy of pod {pod} on node `{node}` to {policy} (AlwaysPullImages or a policy engine): images in nodes cannot be used in this cluster"
    )]
    PullPolicy {
        /// The node.
        node: String,
        /// The pod.
        pod: String,
        /// The policy.
        policy: String,
    },
    /// The agent's pod does not run.
    #[error("pod {pod} does not run on node `{node}`: {reason}")]
    Pod {
        /// The node.
        node: String,
        /// Namespace and name; the Job's while there is no pod.
        pod: String,
        /// The pod's own reason, with events.
        reason: String,
    },
    /// A stream to the agent could not be opened or broke, too often.
    #[error("the connection to the agent on node `{node}` (pod {pod}) is lost: {reason}")]
    Lost {
        /// The node.
        node: String,
        /// The pod.
        pod: String,
        /// What happened.
        reason: String,
    },
    /// The agent could not do what it was asked.
    #[error("node `{node}`: {reason}")]
    Agent {
        /// The node.
        node: String,
        /// The agent's words.
        reason: String,
    },
    /// The disk of a node is full.
    #[error("the disk of node `{node}` is full: {reason}")]
    Full {
        /// The node.
        node: String,
        /// The agent's words.
        reason: String,
    },
    /// The kubelet would not find some images.
    #[error("on node `{node}` the kubelet would not find {names}")]
    NotProven {
        /// The node.
        node: String,
        /// The names.
        names: String,
    },
    /// A blob cannot be read on this side.
    #[error("cannot read {digest} at {offset}: {source}")]
    Blob {
        /// Which.
        digest: Digest,
        /// Where in it.
        offset: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A blob that only nodes have, and that one of them cannot take from any other.
    #[error("node `{node}` lacks {digest}, which is not on this side, and cannot take it from the nodes that have it")]
    NotPassedOn {
        /// The node.
        node: String,
        /// Which.
        digest: Digest,
    },
    /// It took too long.
    #[error("the import was not done after {} seconds; still at work: {waiting}", after.as_secs())]
    Timeout {
        /// The limit.
        after: Duration,
        /// Nodes that were not done.
        waiting: String,
    },
}

impl NodesError {
    pub(super) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api { doing, source: Box::new(source) }
    }
}
