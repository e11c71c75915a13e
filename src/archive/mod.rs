//! The archive: one tar that is an OCI image layout. docs/archive-format.md is its specification.
//!
//! Writing: a [`Builder`] collects, [`Builder::lay_out`] decides every byte's place, a [`Writer`] fills them in parallel.
//! Reading: [`open`] checks the container and gives an [`Unverified`], which only [`Unverified::verify`] turns into an [`Archive`].

mod archive_file;
mod attached;
mod base;
mod builder;
mod canonical;
pub mod content;
mod contents;
mod docker;
mod error;
mod excerpt;
mod graph;
mod header;
mod journal;
mod lent;
mod limits;
mod medium;
mod names;
mod room;
mod scan;
mod stream;
mod target;
mod trust;
mod unverified;
pub mod volumes;
mod writer;

pub use archive_file::Archive;
pub use base::{Base, BaseKind, Held};
pub use builder::{Builder, Layout, SIGNATURES_MAX};
pub use contents::{AgentContent, AttachmentContent, ChartContent, Contents, ImageContent, ManifestsContent};
pub use error::{ArchiveError, BuildError, Fault, Flaw};
pub use excerpt::{Excerpt, Shown};
pub use lent::{Lent, LentBlob};
pub use limits::Limits;
pub(crate) use medium::read_exact_at;
pub use medium::{Medium, Signing};
pub use names::{INDEX, SIGNATURE};
pub use stream::verify_stream;
pub use trust::{Refusal, Signature, SignedBy, Signer, Standing, Trust, Verifier};
pub use unverified::{Unverified, open, open_in, open_medium, open_to_sign, open_with};
pub use volumes::{VolumeError, VolumeSize};
pub use writer::{LayerWriter, Writer};
