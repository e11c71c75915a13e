//! `trust`: keys that archives may be signed with, pinned by a name.

use std::ffi::OsString;

use clap::Subcommand;

use super::args::{self, FormatArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::trust,
    report::{Printer, text},
};

/// Pin the public keys that archives may be signed with, so that --key may be left out
///
/// They are plain files, NAME.pub in ~/.config/kubectl-offline/trust.
#[derive(Debug, clap::Args)]
pub(super) struct TrustCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Trust a key from now on
    Add {
        /// What it is called here
        name: String,
        /// The public key: a file, `env://NAME`, or `exec:PROGRAM`
        key: OsString,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Show the keys that are trusted
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Trust a key no longer
    Remove {
        /// What it is called here
        name: String,
    },
}

impl TrustCommand {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let folder = context.trust_folder();
        match self.action {
            Action::Add { name, key, format } => {
                let pinned = trust::add(folder.as_deref(), &name, &args::key_source(context, &key))?;
                printer.outcome(format.format, &pinned, |p| format!("{} is trusted: {}\n", p.name, p.fingerprint))
            }
            Action::List { format } => {
                let pinned = folder.as_deref().map(trust::list).transpose()?.unwrap_or_default();
                printer.outcome(format.format, &pinned, |all| {
                    let rows: Vec<Vec<String>> = all.iter().map(|p| vec![p.name.clone(), p.fingerprint.clone()]).collect();
                    text::table(&["NAME", "FINGERPRINT"], &rows)
                })
            }
            Action::Remove { name } => {
                let path = trust::remove(folder.as_deref(), &name)?;
                printer.outcome(crate::report::Format::Text, &path, |path| format!("{name} is trusted no longer: {} is removed\n", path.display()))
            }
        }
    }
}
