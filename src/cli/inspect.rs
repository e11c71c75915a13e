//! `inspect`: what is in an archive.

use std::{fmt::Write as _, path::PathBuf};

use super::args::{ElsewhereArgs, TrustArgs};
use crate::{
    context::Context,
    failure::{Failure, Kind},
    ops::{
        inspect::{self, AttestationInfo, InspectOutcome},
        sbom::{self, SbomFormat},
    },
    report::{Format, Printer, html, text},
};

/// Show what is in an archive
///
/// Without a key the signature is shown and not checked.
#[derive(Debug, clap::Args)]
pub(super) struct InspectArgs {
    /// The archive: a file (of one in volumes NAME, NAME.volumes.json or NAME.001), `https://HOST/PATH`, or `oci://REGISTRY/REPOSITORY:TAG`
    archive: PathBuf,
    /// Write a page (HTML) to this file as well, to be read without a network
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
    #[command(flatten)]
    trust: TrustArgs,
    /// How to print the outcome: for people, as JSON, or as a bill of materials (SPDX 2.3, CycloneDX 1.6)
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: InspectFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum InspectFormat {
    #[default]
    Text,
    Json,
    SpdxJson,
    CyclonedxJson,
}

impl InspectArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = inspect::InspectOptions { archive: self.archive, trust: self.trust.resolve(context) };
        let elsewhere = self.elsewhere.resolve();
        let bill = match self.format {
            InspectFormat::Text | InspectFormat::Json => None,
            InspectFormat::SpdxJson => Some(SbomFormat::Spdx),
            InspectFormat::CyclonedxJson => Some(SbomFormat::CycloneDx),
        };
        if let Some(format) = bill {
            let document = sbom::run(&options, &elsewhere, format, context.source_date_epoch.as_deref())?;
            printer.outcome(Format::Json, &document, |_| String::new())?;
            if self.report.is_none() {
                return Ok(());
            }
        }
        let outcome = inspect::run_with(&options, &elsewhere)?;
        if let Some(file) = &self.report {
            crate::io::write_atomic(file, html::page(&outcome).as_bytes()).map_err(|error| Failure::new(Kind::Other, error))?;
        }
        match self.format {
            InspectFormat::Text => printer.outcome(Format::Text, &outcome, show),
            InspectFormat::Json => printer.outcome(Format::Json, &outcome, show),
            // Printed above.
            InspectFormat::SpdxJson | InspectFormat::CyclonedxJson => Ok(()),
        }
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
    if let Some(base) = &o.base {
        let _ = write!(out, "\n{}", text::base(base));
    }
    let charts: Vec<Vec<String>> =
        o.charts.iter().map(|c| vec![c.name.trim_start_matches("charts/").to_owned(), c.digest.short().to_owned(), text::bytes(c.size)]).collect();
    if !charts.is_empty() {
        let _ = write!(out, "\n{}", text::table(&["CHART", "DIGEST", "SIZE"], &charts));
    }
    if !o.attestations.is_empty() {
        let about = |a: &AttestationInfo| a.subject.as_ref().map_or_else(|| "-".to_owned(), |digest| digest.short().to_owned());
        let rows: Vec<Vec<String>> = o.attestations.iter().map(|a| vec![text::printable(&a.kind), about(a), text::bytes(a.size)]).collect();
        let _ = write!(out, "\n{}", text::table(&["ATTESTATION", "ABOUT", "SIZE"], &rows));
    }
    if !o.files.is_empty() {
        let files: Vec<Vec<String>> = o.files.iter().map(|f| vec![f.path.clone(), text::bytes(f.size)]).collect();
        let _ = write!(out, "\n{}", text::table(&["FILE", "SIZE"], &files));
    }
    out
}
