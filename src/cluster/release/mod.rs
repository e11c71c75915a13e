//! Releases, stored exactly as Helm stores them, so that real Helm and we take over from each other at any time.

mod codec;
mod model;
mod store;

pub use codec::{CodecError, decode, encode};
pub use model::{Hook, HookExecution, Info, Release, Status, now};
pub use store::{HISTORY_MAX, Store, Stored, base_of, last_of};
