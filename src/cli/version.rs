//! `version`: what this program is and which agents it carries.

use serde::Serialize;

use super::args::FormatArgs;
use crate::{cluster::nodes, failure::Failure, report::Printer};

/// Print the version, and the platforms whose nodes it can import into
#[derive(Debug, clap::Args)]
pub(super) struct VersionArgs {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    agents: Vec<String>,
}

impl VersionArgs {
    pub(super) fn run(self, printer: &Printer) -> Result<(), Failure> {
        let version = Version { version: env!("CARGO_PKG_VERSION"), agents: nodes::embedded().iter().map(|agent| agent.platform.to_string()).collect() };
        printer.outcome(self.format.format, &version, |v| format!("kubectl-offline {}\nagents: {}\n", v.version, v.agents.join(", ")))
    }
}
