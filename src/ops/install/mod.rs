//! `install`.
mod error;
pub use error::InstallError;
pub(crate) use error::{app_failure, cluster_failure};
