//! `inspect`: what is in an archive.

use std::{fmt::Write as _, path::PathBuf};

use super::args::{FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::inspect::{self, InspectOutcome},
    report::{Printer, text},
};

/// Show what is in an archive
///
/// Without a key the signature is shown and not checked.
#[derive(Debug, clap::Args)]
pub(super) struct InspectArgs {
    /// The archive: a file, `https://HOST/PATH`, or `oci://REGISTRY/REPOSITORY:TAG`
    archive: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl InspectArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let outcome = inspect::run(&inspect::InspectOptions { archive: self.archive, trust: self.trust.resolve(context) })?;
        printer.outcome(self.format.format, &outcome, show)
    }
}

fn show(o: &InspectOutcome) -> String {
    let list = |items: Vec<String>| items.join(", ");
    let mut out = format!("{} {}   {}   {}\n", o.name, o.version, text::bytes(o.size), text::standing(&o.signature));
    let _ = writeln!(out, "platforms  {}", list(o.platforms.iter().map(ToString::to_string).collect()));
    if let Some(registry) = &o.registry {
        let _ = writeln!(out, "registry   {registry}");
    }
    let apps: Vec<Vec<String>> = o.apps.iter().map(|a| vec![a.name.clone(), a.namespace.clone(), a.source.clone(), a.depends_on.join(",")]).collect();
    let _ = write!(out, "\n{}", text::table(&["APP", "NAMESPACE", "SOURCE", "DEPENDS ON"], &apps));
    let images: Vec<Vec<String>> = o
        .images
        .iter()
        .map(|i| {
            vec![
                i.reference.to_string(),
                i.digest.short().to_owned(),
                text::bytes(i.size),
                text::bytes(i.shared),
                list(i.platforms.iter().map(ToString::to_string).collect()),
            ]
        })
        .collect();
    let _ = write!(out, "\n{}", text::table(&["IMAGE", "DIGEST", "SIZE", "SHARED", "PLATFORMS"], &images));
    if !o.files.is_empty() {
        let files: Vec<Vec<String>> = o.files.iter().map(|f| vec![f.path.clone(), text::bytes(f.size)]).collect();
        let _ = write!(out, "\n{}", text::table(&["FILE", "SIZE"], &files));
    }
    out
}
