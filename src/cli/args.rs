//! Groups of flags that several commands share.

use std::path::PathBuf;

use crate::report::Format;

/// How data is printed.
#[derive(Debug, clap::Args)]
pub(super) struct FormatArgs {
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: Format,
}

/// Whom to trust.
#[derive(Debug, clap::Args)]
pub(super) struct TrustArgs {
    /// Public key that must have signed the archive
    #[arg(long, value_name = "PUB")]
    pub(super) key: Option<PathBuf>,
    /// Accept an archive that nobody signed, or whose signer is not known; what was accepted is printed and recorded
    #[arg(long, conflicts_with = "key")]
    pub(super) allow_unsigned: bool,
}

/// Which cluster, as kubectl is told.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterArgs {
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Name of the kubeconfig context
    #[arg(long, visible_alias = "kube-context", value_name = "NAME")]
    pub(super) context: Option<String>,
}
