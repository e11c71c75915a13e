//! What the program and its agent on a node say to each other. The agent's own code is in the binaries.
//!
//! The agent is started by `exec` in a pod, and the two ends share nothing but that process's stdin and stdout. On them travel
//! [frames](frame): a type, a length, a payload. There are two kinds of streams:
//!
//! - **control** (`offline-agent control`): [`Request`]s as JSON with ids, answered in any order by [`Response`]s; [`Progress`] on the way.
//! - **data** (`offline-agent data`): blobs, one after another. `OPEN` is answered by `OFFSET` (where to go on, or that the blob is there),
//!   `DATA` by `ACK` with the offset that *containerd* has confirmed, never with what the agent has merely received: what was acknowledged
//!   survives the death of the stream. `COMMIT` is answered by `COMMITTED` some time later, while the next blob is already on its way.
//!   `PACK` brings many small blobs at once.
//!
//! Framing needs no end of file, so the oldest WebSocket protocol of `exec`, which cannot carry one, is enough.
#![forbid(unsafe_code)]

pub mod frame;
mod message;

pub use frame::{Decoder, Frame, FrameError, kind};
pub use message::{
    Blob, Failed, Failure, FailureCode, Found, Hello, Image, LinkedDescriptor, Open, Outcome, Pack, Progress, Proof, Record, Request, Response, Task,
};

/// Version of this protocol. Both ends come from one build, so they only check that it is the same.
pub const PROTOCOL: u32 = 2;

/// Port on which an agent serves blobs to the agents of other nodes, in its pod's own network.
pub const PEER_PORT: u16 = 8123;

/// How often an agent gives a sign of life on every stream, in seconds. Load balancers cut what is silent for 30 and more.
pub const HEARTBEAT_SECONDS: u64 = 5;

/// Environment variables that the pod gives to the agent.
pub mod env {
    /// Path of containerd's socket.
    pub const SOCKET: &str = "OFFLINE_SOCKET";
    /// Name of the agent's own pod.
    pub const POD_NAME: &str = "OFFLINE_POD_NAME";
    /// Address of the agent's own pod.
    pub const POD_IP: &str = "OFFLINE_POD_IP";
    /// What other agents must say to be served.
    pub const TOKEN: &str = "OFFLINE_TOKEN";
    /// After so many seconds an agent that nobody stopped ends by itself.
    pub const LIFETIME: &str = "OFFLINE_LIFETIME";
}
