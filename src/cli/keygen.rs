//! `keygen`: a key pair to sign archives with.

use std::path::PathBuf;

use super::args::FormatArgs;
use crate::{context::Context, failure::Failure, ops, report::Printer};

/// Make a key pair in cosign's format: NAME.key and NAME.pub
///
/// The private key is encrypted with the password in `COSIGN_PASSWORD`; left unset or empty, with the empty password, as cosign does.
#[derive(Debug, clap::Args)]
pub(super) struct KeygenArgs {
    /// Path of the pair without its endings
    #[arg(long, short, default_value = "offline", value_name = "NAME")]
    output: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
}

impl KeygenArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = ops::KeygenOptions { output: self.output, password: context.key_password().unwrap_or_default().to_owned().into() };
        let outcome = ops::keygen(&options)?;
        printer.outcome(self.format.format, &outcome, |o| {
            format!("private key {}\npublic key  {}\nKeep the private key secret; carry the public key to the other side by another way than the archive.\n", o.private_key.display(), o.public_key.display())
        })
    }
}
