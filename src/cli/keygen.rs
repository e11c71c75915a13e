//! `keygen`: a key pair to sign archives with.

use std::path::PathBuf;

use super::args::{self, FormatArgs};
use crate::{context::Context, failure::Failure, ops::keygen, redact::Secret, report::Printer};

/// Make a key pair in cosign's format: NAME.key and NAME.pub
///
/// The private key is encrypted with the password in `COSIGN_PASSWORD`; left unset, with the empty password.
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
        let password = args::key_password(context).unwrap_or_else(|| Secret::new(String::new()));
        let outcome = keygen::run(&keygen::KeygenOptions { name: self.output, password })?;
        printer.outcome(self.format.format, &outcome, |o| {
            let keep = "Keep the private key secret. Carry the public key to the other side by another way than the archive.";
            format!("private key  {}\npublic key   {}\nfingerprint  {}\n{keep}\n", o.private.display(), o.public.display(), o.fingerprint)
        })
    }
}
