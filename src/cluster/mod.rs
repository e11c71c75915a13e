//! The cluster's side: connecting as kubectl does, knowing its kinds, images into its nodes, applying objects, running hooks, waiting,
//! keeping releases as Helm does.
//!
//! Nothing here decides what is to be installed; that is the work of `ops`. Objects arrive as JSON values.

mod again;
pub mod apply;
mod connect;
pub mod deploy;
mod diagnosis;
mod discovery;
mod error;
mod hooks;
mod lookup;
mod managed_fields;
mod memory;
pub mod nodes;
mod object;
mod readiness;
pub mod release;
mod rights;
mod running;
mod wait;

pub use connect::{Cluster, ConnectOptions, kubeconfig_namespace};
pub use diagnosis::{Placement, PodTrouble};
pub use discovery::Catalog;
pub use error::ClusterError;
pub use hooks::{HookRun, run_hooks};
pub use lookup::LiveLookup;
pub use memory::Memory;
pub use object::flatten;
pub use object::{Object, ObjectKey};
pub use rights::{Right, missing_rights};
pub use running::{RunningImage, running_images};
pub use wait::{WaitOptions, placements, wait_ready};

/// Marks what we have made ourselves, of no release (the label that Kubernetes recommends for it).
const MANAGED: (&str, &str) = ("app.kubernetes.io/managed-by", "kubectl-offline");
