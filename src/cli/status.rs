//! `status`: a delivery in the cluster and its pods.

use std::fmt::Write as _;

use super::args::{self, ClusterArgs, FormatArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::status,
    report::{Printer, text},
};

/// Show an installed delivery: its apps, and what runs where
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Name of the delivery; may be left out where there is only one
    delivery: Option<String>,
    /// Only releases of this namespace; left out, of all
    #[arg(long, short)]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl StatusArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = status::StatusOptions { delivery: self.delivery, namespace: self.namespace };
        let connect = self.cluster.resolve(context);
        let outcome = super::block_on(async {
            let cluster = args::connect(&connect).await?;
            status::run(&cluster, &options).await
        })?;
        printer.outcome(self.format.format, &outcome, |o| {
            let mut out = format!("{} {}\n", o.name, o.version);
            for app in &o.apps {
                let ready = if app.ready { "ready" } else { "not ready" };
                let _ = writeln!(out, "\n{}/{} revision {}, {}, {ready}", app.app.namespace, app.app.name, app.app.revision, app.app.status);
                out.push_str(&text::pods(&app.pods));
            }
            out
        })
    }
}
