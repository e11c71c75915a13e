//! `list`: deliveries in the cluster.

use super::args::{self, ClusterArgs, FormatArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::list,
    report::{Printer, text},
};

/// List the deliveries that are installed
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only releases of this namespace; left out, of all
    #[arg(long, short)]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl ListArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = list::ListOptions { namespace: self.namespace };
        let connect = self.cluster.resolve(context);
        let outcome = super::block_on(async {
            let cluster = args::connect(&connect).await?;
            list::run(&cluster, &options).await
        })?;
        printer.outcome(self.format.format, &outcome, |o| {
            let row = |d: &list::DeliveryEntry, a: &list::AppEntry| {
                vec![
                    d.name.clone(),
                    a.delivery_version.clone(),
                    a.name.clone(),
                    a.namespace.clone(),
                    a.revision.to_string(),
                    a.status.clone(),
                    a.chart.clone(),
                    a.updated.clone(),
                ]
            };
            let rows: Vec<Vec<String>> = o.iter().flat_map(|d| d.apps.iter().map(move |a| row(d, a))).collect();
            text::table(&["DELIVERY", "VERSION", "APP", "NAMESPACE", "REVISION", "STATUS", "CHART", "UPDATED"], &rows)
        })
    }
}
