//! The archive: one tar that is an OCI image layout. docs/archive-format.md is its specification.
//!
//! Writing: a [`Builder`] collects, [`Builder::lay_out`] decides every byte's place, a [`Writer`] fills them in parallel.
//! Reading: [`open`] checks the container and gives an [`Unverified`], which only [`Unverified::verify`] turns into an [`Archive`].

mod archive_file;
mod builder;
pub mod content;
mod contents;
mod docker;
mod error;
mod graph;
mod header;
mod journal;
mod limits;
mod medium;
mod names;
mod scan;
mod trust;
mod unverified;
mod writer;

pub use archive_file::Archive;
pub use builder::{Builder, Layout};
pub use contents::{AgentContent, AttachmentContent, ChartContent, Contents, ImageContent, ManifestsContent};
pub use error::{ArchiveError, BuildError, Fault, Flaw};
pub use limits::Limits;
pub use medium::Medium;
pub use names::{INDEX, SIGNATURE};
pub use trust::{SignedBy, Signer, Standing, Trust, Verifier};
pub use unverified::{Unverified, open, open_medium, open_with};
pub use writer::{LayerWriter, Writer};
