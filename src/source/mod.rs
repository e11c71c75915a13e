//! Where charts, manifests and image archives come from: files and folders beside delivery.yaml, chart repositories and registries; all of
//! them taken for hostile.

mod blobs;
mod cache;
mod chart;
mod containerd;
mod dependencies;
mod docker_daemon;
mod docker_save;
mod error;
mod fetch_error;
mod helm_config;
mod http;
mod image_archive;
mod index;
mod locate;
mod manifests;
mod provenance;
mod registry_chart;
mod remote;
mod schemas;
mod tar_index;
mod versions;
mod walk;

pub use cache::Cache;
pub use chart::{SignedChart, chart, signed_chart};
pub use containerd::{ContainerdPlace, ContainerdProblem};
pub use dependencies::{DependencyPin, ResolvedDependency};
pub use docker_daemon::DaemonProblem;
pub use error::{DependencyProblem, ImageProblem, SourceError};
pub use fetch_error::{FetchError, FetchProblem};
pub use image_archive::{LocalArchive, LocalImage};
pub use index::IndexError;
pub use locate::{ChartLocation, ChartPin, ChartRequest, Missing, ResolvedChart};
pub use manifests::manifests;
pub use provenance::ProvenanceError;
pub use remote::{ChartOrigin, Charts, ChartsOptions, Download, Pin};
pub use schemas::SchemaDocuments;
pub use versions::ChartVersion;
