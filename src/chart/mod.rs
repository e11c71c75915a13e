//! The Helm engine: charts are loaded, given values, rendered, and split into manifests and hooks.
//!
//! Nothing here does I/O: charts come as [`crate::tree::FileTree`] or as the bytes of a .tgz. What Helm v3.22 does is the
//! specification, faults that charts rely on included; real `helm template` is the judge (tests/fixtures/conformance).

mod capabilities;
mod chance;
mod dependencies;
pub mod engine;
pub mod error;
mod funcs;
mod gotmpl;

mod ignore;
mod load;
mod load_error;
mod loading;
mod lock;
mod log;
mod lower;
mod manifests;
mod metadata;
mod meter;
mod model;
mod package;
mod parsed;
mod prepare;
mod reach;
mod release_name;
mod render;
mod rendered;
mod trace;
mod unpack;
mod value;
pub mod values;

pub(crate) use crate::semver;
pub use capabilities::{DEFAULT_API_VERSIONS, DEFAULT_KUBE_VERSION, HELM_VERSION, HELM4_VERSION, parse_kube_version};
pub use dependencies::DependencyError;
pub use load::from_manifests;
pub use load_error::ChartError;
pub use lock::DependencyLock;
pub use manifests::{Hook, HookEvent, Manifest, ManifestError};
pub use metadata::{Dependency, Maintainer, Metadata};
pub use model::{Chart, ChartFile, CrdFile};
pub use package::package;
pub use parsed::Parsed;
pub use prepare::PrepareError;
pub use reach::{Reach, Wanted, Way};
pub use release_name::{is_release_name, name_from_template};
pub use render::{RenderError, RenderOptions, crds, kube_version, kube_version_for, render, render_logged};
pub use rendered::{Processed, Rendered, TemplateText, section};
pub use values::RemoteSchemas;
