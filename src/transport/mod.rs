//! Archives that lie elsewhere: read in place from web servers and registries, put to them.
//!
//! Reading: [`open`] gives a [`crate::archive::Medium`] that asks for ranges of bytes, so that nothing is stored. What comes is verified by
//! `archive`, like the bytes of a file; [`lend`] does the same for layers that an archive leaves out. Writing: [`Upload`] and [`push`] send an archive that is complete.

mod cache;
mod error;
mod http;
mod lend;
mod memory;
mod outgoing;
mod parts;
mod push;
mod reach;
mod remote;
mod tus;
mod upload;
mod volumes;
mod web;

pub use error::{TransportError, TransportProblem};
pub use lend::{Asked, lend};
pub use parts::{ARCHIVE, PART, PART_SIZE};
pub use push::{Pushed, push};
pub use reach::{Place, Reach};
pub use remote::{Named, open};
pub use upload::{Method, Upload, UploadError};
