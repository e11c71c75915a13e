//! Where charts, manifests and image archives come from: files and folders beside delivery.yaml, all of them taken for hostile.

mod blobs;
mod chart;
mod docker_save;
mod error;
mod image_archive;
mod manifests;
mod tar_index;
mod walk;

pub use chart::chart;
pub use error::SourceError;
pub use image_archive::{LocalArchive, LocalImage};
pub use manifests::manifests;
