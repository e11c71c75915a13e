//! The JSON in frames.

use serde::{Deserialize, Serialize};

/// The agent's first words on a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`](crate::PROTOCOL) of the agent.
    pub protocol: u32,
    /// Address of its pod; none if the pod was not told.
    pub address: Option<String>,
}

/// A blob by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// `sha256:…`
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
}

/// Begins a blob on a data stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Lease that holds the blob until an image does.
    pub lease: String,
    /// The blob.
    pub blob: Blob,
}

/// Small blobs that come together; their bytes follow in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Lease that holds the blobs until images do.
    pub lease: String,
    /// The blobs.
    pub blobs: Vec<Blob>,
}

/// A question on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the asker; the answer has the same.
    pub id: u64,
    /// What is to be done.
    pub task: Task,
}

/// What an agent can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Task {
    /// Makes a lease that keeps containerd's garbage collection away; also reports what runs here.
    Begin {
        /// The lease's name.
        lease: String,
        /// When containerd may drop it by itself, RFC 3339.
        expires: String,
    },
    /// Which of these blobs are not in the store? Those that are there are put under the lease.
    Missing {
        /// The lease's name.
        lease: String,
        /// The blobs.
        blobs: Vec<Blob>,
    },
    /// Unpacks images, labels their content and records their names, waiting for each blob where it has not arrived yet.
    Import {
        /// The lease's name.
        lease: String,
        /// The images.
        images: Vec<Image>,
        /// How many layers are unpacked at a time.
        parallel: usize,
    },
    /// These blobs have just been stored by another stream: an import that waits for them need not poll.
    Arrived {
        /// Digests.
        digests: Vec<String>,
    },
    /// Takes a blob from another node's agent.
    Fetch {
        /// The lease's name.
        lease: String,
        /// Address of the other agent, `host:port`.
        peer: String,
        /// What the other agent wants to hear.
        token: String,
        /// The blob.
        blob: Blob,
    },
    /// Asks the CRI service for each name, exactly as the kubelet does.
    Prove {
        /// Names as pods write them.
        names: Vec<String>,
    },
    /// Deletes the lease: from here on the images themselves hold everything.
    End {
        /// The lease's name.
        lease: String,
        /// Whether what nothing holds any more is to be collected at once.
        collect: bool,
    },
}

/// A descriptor, as far as containerd needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedDescriptor {
    /// Media type.
    pub media_type: String,
    /// `sha256:…`
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
}

/// An image to import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// From the root (an index, perhaps) down to the manifest for this node's platform.
    pub path: Vec<LinkedDescriptor>,
    /// The names to make.
    pub records: Vec<Record>,
}

/// A name for an image, as pods write it, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Fully qualified: `docker.io/library/nginx:1.27` or `…@sha256:…`.
    pub name: String,
    /// Index or manifest.
    pub target: LinkedDescriptor,
}

/// An answer on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The request's id.
    pub id: u64,
    /// How it went.
    pub outcome: Outcome,
}

/// How a request went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// Done; nothing to tell.
    Done,
    /// To `Begin`.
    Begun {
        /// containerd's version.
        version: String,
        /// The snapshotter that CRI uses on this node.
        snapshotter: String,
    },
    /// To `Missing`.
    Missing {
        /// What is not there, with how many bytes of it are.
        blobs: Vec<Found>,
    },
    /// To `Import`.
    Imported {
        /// Layers that had to be unpacked.
        unpacked: u64,
        /// Image records that were created or changed.
        recorded: u64,
    },
    /// To `Fetch`.
    Fetched {
        /// Bytes that came over the network.
        bytes: u64,
    },
    /// To `Prove`.
    Proven {
        /// One for each name, in order.
        proofs: Vec<Proof>,
    },
    /// It failed.
    Failed(Failure),
}

/// A blob that is not in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its digest.
    pub digest: String,
    /// Bytes that an earlier attempt left, from which a new one goes on.
    pub offset: u64,
}

/// What the CRI service says about a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The name.
    pub name: String,
    /// The image's id, where the name was found.
    pub id: Option<String>,
    /// Whether CRI tells the kubelet not to collect it.
    pub pinned: bool,
}

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The request's id.
    pub id: u64,
    /// Bytes done, of the same kind as the request's blobs: compressed.
    pub done: u64,
    /// Bytes to do.
    pub total: u64,
}

/// A blob that failed on a data stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The blob's digest; empty if it was a pack.
    pub digest: String,
    /// Why.
    pub failure: Failure,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort of failure, for programs.
    pub code: FailureCode,
    /// What happened, for people.
    pub message: String,
}

/// Sorts of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// containerd refused or could not be reached.
    Runtime,
    /// Content is not what its digest or its image says.
    Content,
    /// The other agent could not be reached or refused.
    Peer,
    /// The disk is full.
    Full,
    /// The other side does not keep to the protocol.
    Protocol,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_as_documented() {
        let request = Request { id: 7, task: Task::Missing { lease: "l".into(), blobs: vec![Blob { digest: "sha256:a".into(), size: 3 }] } };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(text, r#"{"id":7,"task":{"op":"missing","lease":"l","blobs":[{"digest":"sha256:a","size":3}]}}"#);
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        let response = Response { id: 7, outcome: Outcome::Failed(Failure { code: FailureCode::Full, message: "m".into() }) };
        let text = serde_json::to_string(&response).unwrap();
        assert_eq!(text, r#"{"id":7,"outcome":{"is":"failed","code":"full","message":"m"}}"#);
        assert_eq!(serde_json::from_str::<Response>(&text).unwrap(), response);
    }
}
