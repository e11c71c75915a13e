//! `install`: a verified archive becomes running pods.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::args::{self, BlobsArgs, ClusterArgs, ElsewhereArgs, FormatArgs, TrustArgs};
use crate::{
    chart::values::Kind as SetKind,
    context::Context,
    delivery::record::Record,
    failure::{Failure, Kind},
    ops::{
        install::{self, InstallOptions, InstallOutcome, Override, Renderer, Via},
        read_values, verify,
    },
    report::{Printer, text},
};

/// Verify an archive, bring its images to the nodes, install its apps and wait until they run
///
/// Run again with a newer archive it upgrades; with the same one it changes nothing.
#[derive(Debug, clap::Args)]
pub(super) struct InstallArgs {
    /// The archive: a file (of one in volumes NAME, NAME.volumes.json or NAME.001), `https://HOST/PATH`, or `oci://REGISTRY/REPOSITORY:TAG`
    archive: PathBuf,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
    #[command(flatten)]
    blobs: BlobsArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How images get to the nodes
    #[arg(long, value_enum, default_value = "nodes")]
    via: ViaArg,
    /// Values file for an app; may be given more than once, later ones win
    #[arg(long, value_name = "APP=FILE")]
    values: Vec<String>,
    /// Set a value of an app
    #[arg(long, value_name = "APP.KEY=VALUE")]
    set: Vec<String>,
    /// Set a string value of an app
    #[arg(long, value_name = "APP.KEY=VALUE")]
    set_string: Vec<String>,
    /// How long each app may take until it is ready
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    timeout: Duration,
    /// Install an archive that is older than what was installed before
    #[arg(long)]
    allow_downgrade: bool,
    /// Check everything, tell what would be done, change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ViaArg {
    /// Straight into every node's container runtime
    Nodes,
    /// Into a registry of the other side
    Registry,
}

impl InstallArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let reporter = printer.reporter();
        let archive = Arc::new(verify::open_with(&self.archive, &self.blobs.put(self.elsewhere.resolve()), &self.trust.resolve(context), &*reporter)?);
        let mut options = InstallOptions::new(Arc::clone(&archive), Renderer::engine());
        options.via = match self.via {
            ViaArg::Nodes => Via::Nodes,
            ViaArg::Registry => Via::Registry,
        };
        options.overrides = overrides(archive.record(), &self.values, &self.set, &self.set_string)?;
        options.timeout = self.timeout;
        options.dry_run = self.dry_run;
        options.allow_downgrade = self.allow_downgrade;
        let connect = self.cluster.resolve(context);
        let outcome = super::run_to_end(async move |stop: watch::Receiver<bool>| {
            options.cancel = Some(stop);
            let cluster = args::connect(&connect).await?;
            install::run(&cluster, &options, &reporter).await
        })?;
        printer.outcome(self.format.format, &outcome, show)
    }
}

/// Files first, then `--set`, then `--set-string`: the order in which Helm lets later ones win.
fn overrides(record: &Record, files: &[String], set: &[String], set_string: &[String]) -> Result<Vec<Override>, Failure> {
    let mut all = Vec::new();
    for text in files {
        let (app, path) = text.split_once('=').ok_or_else(|| wrong("--values", text, "APP=FILE"))?;
        all.push(Override::Values { app: app.to_owned(), values: read_values(path.as_ref())? });
    }
    for (flag, texts, kind) in [("--set", set, SetKind::Typed), ("--set-string", set_string, SetKind::Text)] {
        for text in texts {
            // App names may hold dots, so the longest one that fits is meant.
            let fits = |name: &&str| text.strip_prefix(*name).is_some_and(|rest| rest.starts_with('.'));
            let app = record.apps.iter().map(|a| a.name.as_str()).filter(fits).max_by_key(|name| name.len());
            let app = app.or_else(|| text.split_once('.').map(|(app, _)| app)).ok_or_else(|| wrong(flag, text, "APP.KEY=VALUE"))?;
            all.push(Override::Set { app: app.to_owned(), kind, text: text[app.len() + 1..].to_owned() });
        }
    }
    Ok(all)
}

fn wrong(flag: &str, text: &str, wanted: &str) -> Failure {
    Failure::new(Kind::Usage, format!("`{flag} {text}` is not understood: wanted {wanted}"))
}

/// `90s`, `5m`, `1h30m`: Go's durations as kubectl and helm take them.
fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is no duration: wanted for example 90s, 5m or 1h30m");
    let (mut total, mut number) = (0_u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(error()),
        };
        let count: u64 = number.parse().map_err(|_| error())?;
        total = count.checked_mul(unit).and_then(|n| total.checked_add(n)).ok_or_else(error)?;
        number.clear();
    }
    if number.is_empty() && total > 0 { Ok(Duration::from_secs(total)) } else { Err(error()) }
}

fn show(o: &InstallOutcome) -> String {
    let would = if o.dry_run { "would be " } else { "" };
    let mut out = format!("{} {}\n", o.delivery, o.version);
    if !o.nodes.is_empty() {
        let rows: Vec<Vec<String>> = o
            .nodes
            .iter()
            .map(|n| vec![n.node.clone(), n.runtime.clone(), text::bytes(n.bytes_sent), text::bytes(n.bytes_from_peers), n.names.to_string()])
            .collect();
        let _ = write!(out, "\n{}", text::table(&["NODE", "RUNTIME", "SENT", "FROM NODES", "NAMES"], &rows));
    }
    for app in &o.apps {
        let _ = writeln!(out, "\n{}/{} {} {would}{}, revision {}, {}", app.namespace, app.name, app.chart, text::change(app.change), app.revision, app.status);
        if !app.pods.is_empty() {
            out.push_str(&text::pods(&app.pods));
        }
    }
    for warning in &o.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_kubectl_takes_them() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds));
        }
        for bad in ["", "5", "m", "5x", "-5m", "0s", "99999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
