//! `sign`: signs an archive anew; nothing but the signature changes.

use std::{ffi::OsString, path::PathBuf};

use super::args::{self, ElsewhereArgs, FormatArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::sign,
    report::{Printer, text},
};

/// Sign an archive, in the place of the signatures it has
///
/// Nothing but the signatures changes. A key is a file, `env://NAME` for a variable of the environment, or `exec:PROGRAM ARGUMENT…` for a command that
/// prints it. The password of encrypted keys is read from `COSIGN_PASSWORD`; keys with different passwords sign one after the other, with --add.
#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// The archive: a file; of one in volumes NAME, NAME.volumes.json or NAME.001
    archive: PathBuf,
    /// Private key; may be given more than once
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<OsString>,
    /// Keep the signatures by other keys
    #[arg(long)]
    add: bool,
    /// Where the archive has no room for more signatures, write it anew
    #[arg(long)]
    make_room: bool,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl SignArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = sign::SignOptions {
            archive: self.archive,
            keys: args::key_sources(context, &self.key),
            password: args::key_password(context),
            add: self.add,
            make_room: self.make_room,
        };
        let outcome = sign::run_with(&options, &self.elsewhere.resolve(), &*printer.reporter())?;
        printer.outcome(self.format.format, &outcome, |o| {
            let more = if o.signatures > o.fingerprints.len() { format!("; it carries {} signatures", o.signatures) } else { String::new() };
            let base = o.base.as_ref().map(text::base).unwrap_or_default();
            format!("{}: signed by {}{more}\n{base}", o.archive.display(), o.fingerprints.join(", "))
        })
    }
}
